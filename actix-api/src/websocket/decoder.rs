//! Cuts the bytes of a WebSocket client into messages (RFC 6455 §5).
//!
//! The limits hold before anything is buffered: a frame's announced length is checked as soon as its
//! first byte tells what it carries, and one allocation receives the unmasked bytes of all fragments.
//! (actix-http's codec looks at the length only once the whole frame is in memory.)
//! It knows no sockets and no meaning of packets beyond "media or control".

use bytes::{Buf, Bytes, BytesMut};
use videocall_types::{CloseCode, is_frame};

use super::opcode::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};

/// The longest head of a client's frame: two bytes, eight of length, four of mask.
const MAX_HEAD_BYTES: usize = 14;

/// The longest payload of a ping, pong or close (RFC 6455 §5.5).
const MAX_CONTROL_PAYLOAD: u64 = 125;

/// The most significant bit of a length of eight bytes is 0 (RFC 6455 §5.2).
const MAX_LENGTH: u64 = u64::MAX >> 1;

/// What is reserved for a message before its bytes have come: most messages fit, and a peer that
/// announces much and sends nothing costs no more.
const RESERVED_BYTES: usize = 64 * 1024;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A whole binary message.
    Packet(Bytes),
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    /// The answer to a ping, with its payload.
    Pong(Bytes),
    /// The client closes, with this code if it gave one.
    Close(Option<u16>),
}

/// Why a client cannot be listened to any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    /// Something that RFC 6455 forbids.
    #[error("The WebSocket connection broke RFC 6455: {0}.")]
    Protocol(&'static str),
    /// A text message.
    #[error("Packets travel in binary WebSocket messages, not in text.")]
    Text,
    /// Media above the limit.
    #[error("A media packet of {length} bytes is above the limit of {limit}.")]
    FrameTooLarge { length: u64, limit: usize },
    /// Anything else above the limit.
    #[error("A message of {length} bytes is above the limit of {limit}.")]
    ControlTooLarge { length: u64, limit: usize },
}

impl DecodeError {
    /// How the protocol calls it.
    pub(super) const fn close_code(self) -> CloseCode {
        match self {
            Self::Protocol(_) | Self::Text => CloseCode::ProtocolError,
            Self::FrameTooLarge { .. } => CloseCode::FrameTooLarge,
            Self::ControlTooLarge { .. } => CloseCode::ControlTooLarge,
        }
    }
}

/// The most bytes a message may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeLimits {
    /// Of media.
    pub(super) frame: usize,
    /// Of everything else.
    pub(super) control: usize,
}

/// Takes chunks, gives events. It holds one unread chunk, one unfinished message and one unfinished
/// control frame.
pub(super) struct Decoder {
    limits: SizeLimits,
    input: Bytes,
    head: BytesMut,
    frame: Option<Frame>,
    /// The message whose fragments are being collected, unmasked.
    message: Option<BytesMut>,
    /// The payload of the ping, pong or close that is being read; those may come between fragments.
    control: BytesMut,
}

/// A frame whose head is known and whose payload is being read.
#[derive(Clone, Copy)]
struct Frame {
    last: bool,
    opcode: u8,
    mask: [u8; 4],
    length: u64,
    /// How many bytes of the payload have been read.
    read: u64,
}

impl Decoder {
    pub(super) fn new(limits: SizeLimits) -> Self {
        Self {
            limits,
            input: Bytes::new(),
            head: BytesMut::with_capacity(MAX_HEAD_BYTES),
            frame: None,
            message: None,
            control: BytesMut::new(),
        }
    }

    /// Changes the limits for messages to come.
    pub(super) fn set_limits(&mut self, limits: SizeLimits) {
        self.limits = limits;
    }

    /// Adds what was read. All events of the chunk before must have been taken.
    pub(super) fn push(&mut self, chunk: Bytes) {
        debug_assert!(
            self.input.is_empty(),
            "a chunk was pushed before the last one was used up"
        );
        self.input = chunk;
    }

    /// The next event, or `None` until more was pushed.
    ///
    /// # Errors
    /// When the client cannot be listened to any longer; the decoder is then of no further use.
    pub(super) fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            let Some(frame) = self.frame.take() else {
                match self.read_head()? {
                    Some(frame) => self.frame = Some(frame),
                    None => return Ok(None),
                }
                continue;
            };
            let frame = self.read_payload(frame)?;
            if frame.read < frame.length {
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(event) = self.finish(frame)? {
                return Ok(Some(event));
            }
        }
    }

    /// The head of the next frame, once all its bytes are there.
    fn read_head(&mut self) -> Result<Option<Frame>, DecodeError> {
        loop {
            let wanted = head_length(&self.head);
            let missing = (wanted - self.head.len()).min(self.input.len());
            self.head.extend_from_slice(&self.input.split_to(missing));
            if self.head.len() < wanted {
                return Ok(None);
            }
            // The second byte tells how long the head is.
            if head_length(&self.head) == wanted {
                break;
            }
        }
        let frame = parse_head(&self.head)?;
        self.head.clear();
        self.check_order(&frame)?;
        Ok(Some(frame))
    }

    /// Fragments follow their message's first frame, and nothing else does (RFC 6455 §5.4).
    fn check_order(&mut self, frame: &Frame) -> Result<(), DecodeError> {
        match (frame.opcode, &self.message) {
            (CONTINUATION, None) => Err(DecodeError::Protocol("a fragment without a message")),
            (BINARY, Some(_)) => Err(DecodeError::Protocol("a message within a message")),
            (BINARY, None) => {
                self.message = Some(BytesMut::new());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes what is there of a frame's payload.
    fn read_payload(&mut self, mut frame: Frame) -> Result<Frame, DecodeError> {
        let missing = usize::try_from(frame.length - frame.read).unwrap_or(usize::MAX);
        let chunk = self.input.split_to(missing.min(self.input.len()));
        if chunk.is_empty() {
            return Ok(frame);
        }
        let target = if frame.opcode >= CLOSE {
            &mut self.control
        } else {
            self.message
                .as_mut()
                .expect("a data frame is read only within a message")
        };
        if frame.read == 0 && frame.opcode < CLOSE {
            let first = target.first().copied().unwrap_or(chunk[0] ^ frame.mask[0]);
            let length = frame.length.saturating_add(target.len() as u64);
            check_size(self.limits, first, length)?;
            let reserve = usize::try_from(frame.length).unwrap_or(usize::MAX);
            target.reserve(reserve.min(RESERVED_BYTES));
        }
        let start = target.len();
        target.extend_from_slice(&chunk);
        unmask(&mut target[start..], frame.mask, frame.read);
        frame.read += chunk.len() as u64;
        Ok(frame)
    }

    /// What a complete frame means; `None` for a fragment that is not the last.
    fn finish(&mut self, frame: Frame) -> Result<Option<Event>, DecodeError> {
        if frame.opcode < CLOSE {
            if !frame.last {
                return Ok(None);
            }
            let message = self.message.take().unwrap_or_default();
            return Ok(Some(Event::Packet(message.freeze())));
        }
        let payload = self.control.split().freeze();
        Ok(Some(match frame.opcode {
            PING => Event::Ping(payload),
            PONG => Event::Pong(payload),
            _ => Event::Close(close_code(payload)?),
        }))
    }
}

/// How many bytes a frame's head has, as far as what is there of it tells.
fn head_length(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    // An unmasked frame is refused anyway.
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    2 + extended + mask
}

/// Reads a complete head.
fn parse_head(mut head: &[u8]) -> Result<Frame, DecodeError> {
    let first = head.get_u8();
    let second = head.get_u8();
    let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
    if first & 0x70 != 0 {
        return Err(DecodeError::Protocol("an extension that was not agreed on"));
    }
    if second & 0x80 == 0 {
        return Err(DecodeError::Protocol("a frame that is not masked"));
    }
    let length = match second & 0x7f {
        126 => head.get_u16().into(),
        127 => head.get_u64(),
        short => short.into(),
    };
    if length > MAX_LENGTH {
        return Err(DecodeError::Protocol("a length that is no length"));
    }
    let mask = head.get_u32().to_be_bytes();
    match opcode {
        TEXT => return Err(DecodeError::Text),
        CONTINUATION | BINARY => {}
        CLOSE | PING | PONG if !last || length > MAX_CONTROL_PAYLOAD => {
            return Err(DecodeError::Protocol(
                "a control frame that is fragmented or too long",
            ));
        }
        CLOSE | PING | PONG => {}
        _ => return Err(DecodeError::Protocol("an unknown opcode")),
    }
    Ok(Frame {
        last,
        opcode,
        mask,
        length,
        read: 0,
    })
}

/// Checks a message of which `first` is the first byte and which has at least `length` bytes.
fn check_size(limits: SizeLimits, first: u8, length: u64) -> Result<(), DecodeError> {
    let media = is_frame(&[first]);
    let limit = if media { limits.frame } else { limits.control };
    match (length <= limit as u64, media) {
        (true, _) => Ok(()),
        (false, true) => Err(DecodeError::FrameTooLarge { length, limit }),
        (false, false) => Err(DecodeError::ControlTooLarge { length, limit }),
    }
}

/// RFC 6455 §5.3; `offset` is the position of the first byte within the frame's payload.
fn unmask(bytes: &mut [u8], mut mask: [u8; 4], offset: u64) {
    mask.rotate_left((offset % 4) as usize);
    // Eight bytes a step: the compiler turns this into vector instructions.
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// RFC 6455 §5.5.1: nothing, or a code and a reason.
fn close_code(mut payload: Bytes) -> Result<Option<u16>, DecodeError> {
    match payload.len() {
        0 => Ok(None),
        1 => Err(DecodeError::Protocol("half a close code")),
        _ => Ok(Some(payload.get_u16())),
    }
}

// Named, because the fuzz target that takes this file in resolves modules from another folder.
#[cfg(test)]
#[path = "decoder/tests.rs"]
mod tests;
