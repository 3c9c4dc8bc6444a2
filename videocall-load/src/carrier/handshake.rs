//! Opens a WebTransport session on a QUIC connection (draft-ietf-webtrans-http3), with as much of
//! HTTP/3 as that takes.
//!
//! wtransport's own client passes each datagram through a task that looks at all of the session's
//! streams; for a thousand sessions that is a third of the load's work.

use anyhow::{Context as _, bail, ensure};
use wtransport::VarInt;
use wtransport::proto::frame::{Frame, FrameKind};
use wtransport::proto::headers::Headers;
use wtransport::proto::session::{SessionRequest, SessionResponse};
use wtransport::proto::settings::Settings;
use wtransport::proto::stream_header::StreamHeader;
use wtransport::quinn::{Connection, RecvStream, SendStream};

/// What an answer to a request for a session may have at most.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// What stands in front of a session's streams and datagrams. The session is that of the connection's
/// first stream, 0.
pub(super) const BIDIRECTIONAL: [u8; 3] = [0x40, 0x41, 0];
pub(super) const UNIDIRECTIONAL: [u8; 3] = [0x40, 0x54, 0];
pub(super) const DATAGRAM: [u8; 1] = [0];

/// Streams that have to stay open as long as the session.
pub(super) struct Held {
    _settings: SendStream,
    _request: (SendStream, RecvStream),
}

/// Asks for a session.
pub(super) async fn request(connection: &Connection, url: &str) -> anyhow::Result<Held> {
    let mut settings = connection.open_uni().await?;
    settings.write_all(&our_settings()?).await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    ensure!(u64::from(send.id()) == 0, "the request is not the first stream");
    let request = SessionRequest::new(url).context("not an address of WebTransport")?;
    let mut bytes = Vec::new();
    request.headers().generate_frame().write(&mut bytes)?;
    send.write_all(&bytes).await?;
    let response = SessionResponse::try_from(answer(&mut receive).await?)?;
    let code = response.code();
    ensure!(code.is_successful(), "the relay answers {code}");
    Ok(Held {
        _settings: settings,
        _request: (send, receive),
    })
}

fn our_settings() -> anyhow::Result<Vec<u8>> {
    let settings = Settings::builder()
        .qpack_max_table_capacity(VarInt::from_u32(0))
        .qpack_blocked_streams(VarInt::from_u32(0))
        .enable_webtransport()
        .enable_h3_datagrams()
        .webtransport_max_sessions(VarInt::from_u32(1))
        .build();
    let mut bytes = Vec::new();
    StreamHeader::new_control().write(&mut bytes)?;
    settings.generate_frame().write(&mut bytes)?;
    Ok(bytes)
}

async fn answer(stream: &mut RecvStream) -> anyhow::Result<Headers> {
    let mut bytes = Vec::new();
    loop {
        let chunk = stream.read_chunk(MAX_ANSWER_BYTES, true).await?;
        bytes.extend_from_slice(&chunk.context("the relay refuses the session")?.bytes);
        ensure!(bytes.len() <= MAX_ANSWER_BYTES, "the relay answers too much");
        match Frame::read(&mut &bytes[..]) {
            Ok(Some(frame)) if matches!(frame.kind(), FrameKind::Headers) => {
                return Headers::with_frame(&frame).map_err(|code| anyhow::anyhow!("headers: {code}"));
            }
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => bail!("the relay's answer is not HTTP/3"),
        }
    }
}
