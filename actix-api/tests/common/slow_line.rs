//! A line between a client and the server that carries less than is sent.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::interval;

/// What the line's near end takes into its own buffer: as little as the system allows.
const BUFFER_BYTES: u32 = 4096;

const STEP: Duration = Duration::from_millis(10);

/// An address that leads to the server once, with so many bytes per second on the way from it.
pub(crate) async fn slow_line(server: SocketAddr, bytes_per_second: usize) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (client, _) = listener.accept().await?;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        let (mut from_server, mut to_server) = socket.connect(server).await?.into_split();
        let (mut from_client, mut to_client) = client.into_split();
        let up = tokio::io::copy(&mut from_client, &mut to_server);
        let down = async {
            let mut steps = interval(STEP);
            let mut piece = vec![0; bytes_per_second * STEP.as_millis() as usize / 1000];
            loop {
                steps.tick().await;
                let read = from_server.read(&mut piece).await?;
                to_client.write_all(&piece[..read]).await?;
                if read == 0 {
                    return std::io::Result::Ok(());
                }
            }
        };
        tokio::try_join!(up, down).map(|_| ())
    });
    address
}
