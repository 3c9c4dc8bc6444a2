//! A TCP connection that a test can cut: neither end says goodbye.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on to a server.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    cuts: watch::Sender<u32>,
    task: JoinHandle<()>,
}

impl Cable {
    /// Leads to `HOST:PORT`.
    ///
    /// # Errors
    /// When the machine has no port left.
    pub async fn to(target: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (cuts, cut) = watch::channel(0);
        let task = tokio::spawn(accept(listener, target.to_owned(), cut));
        Ok(Self { address, cuts, task })
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts what is connected now; who comes afterwards is connected again.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: String, cut: watch::Receiver<u32>) {
    while let Ok((client, _)) = listener.accept().await {
        let (target, mut cut) = (target.clone(), cut.clone());
        cut.mark_unchanged();
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(target).await {
                tokio::select! {
                    () = pass(client, server) => {}
                    _ = cut.changed() => {}
                }
            }
        });
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream) {
    // Both ends notice by themselves how it ended.
    let _ended = copy_bidirectional(&mut client, &mut server).await;
}
