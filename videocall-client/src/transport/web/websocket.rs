//! A relay over WebSocket (RFC 6455, WHATWG WebSockets): one packet, or a fragment of one, per binary message.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use js_sys::{ArrayBuffer, Uint8Array};
use videocall_types::CloseCode;
use videocall_types::fragment::Reassembler;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use super::inbox::Inbox;
use super::sleep;
use crate::core::{Lane, OutgoingPacket};
use crate::driver::{Connection, ConnectionEvent};
use crate::media::web::js::{Listener, describe};

/// Video is given to the socket while it holds less than this: a tenth of a second at 2.5 Mbit/s. What
/// is in the socket cannot be overtaken, so audio waits behind it.
const MAX_BUFFERED_FOR_VIDEO: u32 = 32 * 1024;

/// Audio and control are given to the socket while it holds less than this.
const MAX_BUFFERED: u32 = 128 * 1024;

/// The socket does not say when its buffer drains, so it is looked at this often while it is too full.
const DRAIN_CHECK: Duration = Duration::from_millis(5);

/// An open WebSocket. Dropping it closes it.
#[derive(Debug)]
pub struct WebSocketConnection {
    socket: Socket,
    inbox: Inbox,
    draining: Rc<Cell<bool>>,
}

/// Opens a WebSocket. Dropping the future closes it.
pub(super) async fn connect(url: &str) -> Result<WebSocketConnection, String> {
    let socket = WebSocket::new(url).map_err(|error| describe(&error))?;
    socket.set_binary_type(BinaryType::Arraybuffer);
    let inbox = Inbox::default();
    let (opened, is_open) = oneshot::channel();
    let listeners = listen(&socket, &inbox, opened);
    let socket = Socket { socket, listeners };
    // The sender is dropped when the socket closes before it is open.
    is_open
        .await
        .map_err(|_| "the server does not take WebSocket connections".to_owned())?;
    Ok(WebSocketConnection {
        socket,
        inbox,
        draining: Rc::default(),
    })
}

fn listen(socket: &WebSocket, inbox: &Inbox, opened: oneshot::Sender<()>) -> [Listener; 3] {
    let opened = Rc::new(Cell::new(Some(opened)));
    let open = Listener::new(socket, "open", {
        let opened = opened.clone();
        move |_| {
            if let Some(opened) = opened.take() {
                opened.send(()).ok();
            }
        }
    });
    let message = Listener::new(socket, "message", {
        let inbox = inbox.clone();
        let mut fragments = Reassembler::default();
        move |event| {
            // A relay sends binary messages only; a text is somebody else's protocol.
            let data = event.dyn_ref::<MessageEvent>().map(MessageEvent::data);
            if let Some(buffer) = data.and_then(|data| data.dyn_into::<ArrayBuffer>().ok()) {
                let packet = Bytes::from(Uint8Array::new(&buffer).to_vec());
                if let Some(packet) = fragments.join(packet) {
                    inbox.push_or_drop(packet);
                }
            }
        }
    });
    let close = Listener::new(socket, "close", {
        let inbox = inbox.clone();
        move |event| {
            opened.take();
            let (code, reason) = event
                .dyn_ref::<CloseEvent>()
                .map_or((1006, String::new()), |event| (event.code(), event.reason()));
            let code = CloseCode::from_websocket(code);
            let reason = match code {
                Some(code) => code.message().to_owned(),
                None if reason.is_empty() => "the connection was lost".to_owned(),
                None => reason,
            };
            inbox.close(code, reason);
        }
    });
    [open, message, close]
}

impl Connection for WebSocketConnection {
    fn is_ready(&self, lane: Lane) -> bool {
        self.socket.socket.buffered_amount() < limit(lane)
    }

    fn send(&mut self, packet: OutgoingPacket) {
        // Fails after the socket was closed, which its close event tells.
        self.socket.socket.send_with_u8_array(&packet.packet).ok();
        if self.socket.socket.buffered_amount() >= MAX_BUFFERED_FOR_VIDEO && !self.draining.replace(true) {
            self.watch_draining();
        }
    }

    async fn next(&mut self) -> ConnectionEvent {
        self.inbox.next().await
    }

    /// The browser sends what the socket holds, then the close frame, also without us.
    async fn close(self, code: CloseCode) {
        let code = match code {
            CloseCode::Left => 1000,
            code => code.websocket(),
        };
        self.socket.close(code);
    }
}

impl WebSocketConnection {
    /// Tells the inbox whenever the buffer has sunk below a limit, until it has sunk below all.
    fn watch_draining(&self) {
        let (socket, inbox) = (self.socket.socket.clone(), self.inbox.clone());
        let draining = self.draining.clone();
        spawn_local(async move {
            let mut before = u32::MAX;
            loop {
                let now = socket.buffered_amount();
                let sank_below = |limit: u32| before >= limit && now < limit;
                if sank_below(MAX_BUFFERED) || sank_below(MAX_BUFFERED_FOR_VIDEO) {
                    inbox.set_ready();
                }
                if now < MAX_BUFFERED_FOR_VIDEO || inbox.is_closed() {
                    draining.set(false);
                    return;
                }
                before = now;
                sleep(DRAIN_CHECK).await;
            }
        });
    }
}

const fn limit(lane: Lane) -> u32 {
    match lane {
        Lane::Control | Lane::Audio => MAX_BUFFERED,
        Lane::Video(..) => MAX_BUFFERED_FOR_VIDEO,
    }
}

/// A socket that is closed when it is dropped.
#[derive(Debug)]
struct Socket {
    socket: WebSocket,
    #[expect(dead_code, reason = "held for what their drop does")]
    listeners: [Listener; 3],
}

impl Socket {
    fn close(&self, code: u16) {
        // Fails on codes that a page may not use, and these it may (WHATWG WebSockets §3.1).
        self.socket.close_with_code(code).ok();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Given up: not a goodbye, so that the session can be resumed. Does nothing once closed.
        self.close(CloseCode::LivenessTimeout.websocket());
    }
}
