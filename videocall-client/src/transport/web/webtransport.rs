//! A relay over WebTransport: control on one bidirectional stream, each layer of video on a stream of its
//! own, audio in datagrams.

use std::collections::HashMap;

use bytes::Bytes;
use js_sys::Uint8Array;
use videocall_types::api::RelayEndpoint;
use videocall_types::limits::{MAX_DATAGRAM_BYTES, MAX_FRAME_BYTES, MAX_SERVER_CONTROL_BYTES};
use videocall_types::{CloseCode, StreamDecoder};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    ReadableStream, ReadableStreamDefaultReader, WebTransport, WebTransportCloseInfo, WebTransportHash,
    WebTransportOptions, WritableStream,
};

use super::inbox::Inbox;
use super::lane::{DatagramLane, StreamLane};
use crate::core::{Lane, OutgoingPacket};
use crate::driver::{Connection, ConnectionEvent};
use crate::media::web::js;

/// An open session. Dropping it closes it.
#[derive(Debug)]
pub struct WebTransportConnection {
    session: Session,
    inbox: Inbox,
    control: StreamLane,
    datagrams: DatagramLane,
    /// Audio frames that are too large for a datagram.
    large_audio: StreamLane,
    video: HashMap<Lane, StreamLane>,
}

/// Opens a session and its control stream. Dropping the future closes it.
pub(super) async fn connect(endpoint: &RelayEndpoint) -> Result<WebTransportConnection, String> {
    open(endpoint).await.map_err(|error| js::describe(&error))
}

async fn open(endpoint: &RelayEndpoint) -> Result<WebTransportConnection, JsValue> {
    if !js::get(&js_sys::global(), "WebTransport").is_function() {
        return Err("this browser has no WebTransport".into());
    }
    let options = WebTransportOptions::new();
    let hashes = certificate_hashes(&endpoint.certificate_hashes)?;
    if !hashes.is_empty() {
        options.set_server_certificate_hashes(&hashes);
    }
    let session = Session(WebTransport::new_with_options(&endpoint.url, &options)?);
    let inbox = Inbox::default();
    watch_end(&session.0, &inbox);
    JsFuture::from(session.0.ready()).await?;
    let control = JsFuture::from(session.0.create_bidirectional_stream()).await?;
    spawn_local(read_packets(
        control.readable().unchecked_into(),
        MAX_SERVER_CONTROL_BYTES,
        inbox.clone(),
    ));
    spawn_local(read_streams(
        session.0.incoming_unidirectional_streams(),
        inbox.clone(),
    ));
    let datagrams = session.0.datagrams();
    spawn_local(read_datagrams(datagrams.readable(), inbox.clone()));
    Ok(WebTransportConnection {
        control: StreamLane::opened(&session.0, &control.writable().unchecked_into(), &inbox)?,
        datagrams: DatagramLane::new(&datagram_writable(&datagrams)?, &inbox)?,
        large_audio: StreamLane::closed(&session.0, &inbox),
        video: HashMap::new(),
        session,
        inbox,
    })
}

/// The hashes for `serverCertificateHashes`, from hexadecimal digits.
fn certificate_hashes(hashes: &[String]) -> Result<Vec<WebTransportHash>, JsValue> {
    hashes
        .iter()
        .map(|digits| {
            let bytes = from_hex(digits).ok_or("a certificate hash is not hexadecimal")?;
            let hash = WebTransportHash::new();
            hash.set_algorithm("sha-256");
            hash.set_value_u8_array(&Uint8Array::from(bytes.as_slice()));
            Ok(hash)
        })
        .collect()
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|&digit| digit != b':').collect();
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?))
        .collect()
}

/// Where datagrams are written: `createWritable()` where there is one (the newer name), else `writable`.
fn datagram_writable(datagrams: &JsValue) -> Result<WritableStream, JsValue> {
    let create = js::get(datagrams, "createWritable");
    let writable = match create.dyn_ref::<js_sys::Function>() {
        Some(create) => create.call0(datagrams)?,
        None => js::get(datagrams, "writable"),
    };
    if !writable.is_object() {
        return Err("this browser's WebTransport sends no datagrams".into());
    }
    Ok(writable.unchecked_into())
}

/// Passes on how the session ends.
fn watch_end(session: &WebTransport, inbox: &Inbox) {
    let (closed, inbox) = (session.closed(), inbox.clone());
    spawn_local(async move {
        match JsFuture::from(closed).await {
            Ok(info) => {
                let code = info.get_close_code().and_then(CloseCode::from_number);
                let reason = match (code, info.get_reason()) {
                    (Some(code), _) => code.message().to_owned(),
                    (None, Some(reason)) if !reason.is_empty() => reason,
                    _ => "the connection was closed".to_owned(),
                };
                inbox.close(code, reason);
            }
            Err(error) => inbox.close(None, js::describe(&error)),
        }
    });
}

/// Reads a stream of length-prefixed packets until it ends, fails or makes no sense.
async fn read_packets(stream: ReadableStream, limit: usize, inbox: Inbox) {
    let Some(reader) = reader(&stream) else { return };
    let mut decoder = StreamDecoder::new(limit);
    while let Some(chunk) = read(&reader).await {
        decoder.push(&js::chunk_bytes(&chunk).unwrap_or_default());
        if !pass_on(&mut decoder, &inbox).await {
            js::ignore(reader.cancel());
            return;
        }
    }
}

/// Passes on the packets that are complete. False: nothing more is to be read.
async fn pass_on(decoder: &mut StreamDecoder, inbox: &Inbox) -> bool {
    loop {
        match decoder.next_packet() {
            Ok(None) => return true,
            Ok(Some(packet)) if packet.is_empty() => {}
            Ok(Some(packet)) => {
                if !inbox.push_when_room(packet).await {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
}

/// Accepts the relay's streams, each with a reader of its own.
async fn read_streams(streams: ReadableStream, inbox: Inbox) {
    let Some(reader) = reader(&streams) else { return };
    while let Some(stream) = read(&reader).await {
        spawn_local(read_packets(
            stream.unchecked_into(),
            MAX_FRAME_BYTES,
            inbox.clone(),
        ));
    }
}

/// Reads datagrams, one packet each. The browser keeps few and drops the oldest when they are not read.
async fn read_datagrams(datagrams: ReadableStream, inbox: Inbox) {
    let Some(reader) = reader(&datagrams) else { return };
    while let Some(datagram) = read(&reader).await {
        let packet = Bytes::from(js::chunk_bytes(&datagram).unwrap_or_default());
        if !inbox.push_when_room(packet).await {
            return;
        }
    }
}

fn reader(stream: &ReadableStream) -> Option<ReadableStreamDefaultReader> {
    ReadableStreamDefaultReader::new(stream).ok()
}

/// The next chunk; `None` at the end and on failure.
async fn read(reader: &ReadableStreamDefaultReader) -> Option<JsValue> {
    let result = JsFuture::from(reader.read()).await.ok()?;
    (!js::get(&result, "done").is_truthy()).then(|| js::get(&result, "value"))
}

impl Connection for WebTransportConnection {
    fn is_ready(&self, lane: Lane) -> bool {
        match lane {
            Lane::Control => self.control.is_ready(),
            Lane::Audio => self.datagrams.is_ready() && self.large_audio.is_ready(),
            Lane::Video(..) => self.video.get(&lane).is_none_or(StreamLane::is_ready),
        }
    }

    fn send(&mut self, packet: OutgoingPacket) {
        match packet.lane {
            Lane::Control => self.control.send(&packet.packet),
            Lane::Audio if packet.packet.len() <= MAX_DATAGRAM_BYTES => {
                self.datagrams.send(&packet.packet);
            }
            Lane::Audio => self.large_audio.send(&packet.packet),
            lane @ Lane::Video(..) => {
                let stream = self
                    .video
                    .entry(lane)
                    .or_insert_with(|| StreamLane::closed(&self.session.0, &self.inbox));
                if packet.supersedes {
                    stream.reset();
                }
                stream.send(&packet.packet);
            }
        }
    }

    async fn next(&mut self) -> ConnectionEvent {
        self.inbox.next().await
    }

    async fn close(self, code: CloseCode) {
        self.control.flushed().await;
        let number = match code {
            CloseCode::Left => 0,
            code => u32::from(code.number()),
        };
        self.session.close(number);
    }
}

/// A session that is closed when it is dropped.
#[derive(Debug)]
struct Session(WebTransport);

impl Session {
    fn close(&self, code: u32) {
        let info = WebTransportCloseInfo::new();
        info.set_close_code(code);
        self.0.close_with_close_info(&info);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Given up: not a goodbye, so that the session can be resumed. Does nothing once closed.
        self.close(CloseCode::LivenessTimeout.number().into());
    }
}
