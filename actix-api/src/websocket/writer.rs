//! What is on its way to the socket: a few messages and their heads, written together.
//!
//! Messages are taken from the relay's bounded outbox when the socket has taken those before, so what waits
//! can still be dropped by importance. Payloads are not copied: a system call is given the heads and the
//! payloads side by side. Answers to pings, our own pings and the close frame precede the next messages;
//! there is one slot for each. The socket itself is left to the carrier.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Poll, ready};

use bytes::{BufMut as _, Bytes};

use super::opcode;

/// The longest head of a frame from a server: two bytes and eight of length.
const MAX_HEAD_BYTES: usize = 10;

/// Messages that are written together at most.
const MAX_MESSAGES: usize = 32;

/// No further message is taken when there are so many bytes: what is taken can no longer be dropped.
const MAX_BYTES: usize = 16 * 1024;

/// Pieces of a system call at most: heads and payloads, and the control frames before them.
const MAX_SLICES: usize = 2 * (MAX_MESSAGES + 3);

/// Messages of one connection on their way out.
#[derive(Default)]
pub(super) struct Writer {
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that have left.
    written: usize,
    /// Only the newest ping has to be answered (RFC 6455 §5.5.3).
    pong: Option<Frame>,
    ping: Option<Frame>,
    close: Option<Frame>,
    /// Nothing follows the close frame.
    ended: bool,
}

/// What there is to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Frames.
    Write,
    /// Nothing yet.
    Wait,
    /// Nothing more: the source has ended, or the close frame has left.
    End,
}

impl Writer {
    /// Answers a ping; replaces an answer that has not left yet.
    pub(super) fn pong(&mut self, payload: Bytes) {
        self.pong = Some(Frame::new(opcode::PONG, payload));
    }

    /// Asks for a sign of life; one that has not left yet is enough.
    pub(super) fn ping(&mut self) {
        self.ping = Some(Frame::new(opcode::PING, Bytes::new()));
    }

    /// Ends with a close frame that has this code (RFC 6455 §5.5.1). Later calls change nothing.
    pub(super) fn end(&mut self, code: u16) {
        if !self.ended {
            self.ended = true;
            let code = Bytes::copy_from_slice(&code.to_be_bytes());
            self.close = Some(Frame::new(opcode::CLOSE, code));
        }
    }

    /// Writes what the source yields, as far as `write` takes it, until the source ends or the close frame has left.
    /// Pending when either of the two is; a source that has nothing yet is asked once and wakes whoever calls.
    pub(super) fn drain(
        &mut self,
        mut source: impl FnMut() -> Poll<Option<Bytes>>,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut exhausted = false;
        loop {
            let next = self.fill(|| match exhausted {
                true => Poll::Pending,
                false => {
                    let next = source();
                    exhausted = next.is_pending();
                    next
                }
            });
            match next {
                Next::Write => {
                    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                    let used = self.slices(&mut slices);
                    match ready!(write(&slices[..used]))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        bytes => self.advance(bytes),
                    }
                }
                Next::Wait => return Poll::Pending,
                Next::End => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Takes what is due, once everything before has left. The source yields packets, each of which becomes a
    /// binary message, until there will be no more.
    fn fill(&mut self, mut source: impl FnMut() -> Poll<Option<Bytes>>) -> Next {
        if !self.frames.is_empty() {
            return Next::Write;
        }
        self.frames.extend(self.pong.take());
        self.frames.extend(self.ping.take());
        let mut rest = Next::Wait;
        if self.ended {
            self.frames.extend(self.close.take());
            rest = Next::End;
        }
        let (mut messages, mut bytes) = (0, 0);
        while rest == Next::Wait && messages < MAX_MESSAGES && bytes < MAX_BYTES {
            match source() {
                Poll::Ready(Some(packet)) => {
                    messages += 1;
                    bytes += packet.len();
                    self.frames.push_back(Frame::new(opcode::BINARY, packet));
                }
                Poll::Ready(None) => rest = Next::End,
                Poll::Pending => break,
            }
        }
        match self.frames.is_empty() {
            true => rest,
            false => Next::Write,
        }
    }

    /// What a system call is to write; returns how many of the slices are used.
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let mut used = 0;
        let mut skip = self.written;
        for piece in self.frames.iter().flat_map(Frame::pieces) {
            if skip < piece.len() {
                slices[used] = IoSlice::new(&piece[skip..]);
                used += 1;
                skip = 0;
            } else {
                skip -= piece.len();
            }
        }
        used
    }

    /// So many bytes of the slices have left.
    fn advance(&mut self, bytes: usize) {
        self.written += bytes;
        while let Some(first) = self.frames.pop_front_if(|first| first.len() <= self.written) {
            self.written -= first.len();
        }
    }
}

/// A frame of RFC 6455 §5.2 as a server writes it: final, not masked.
struct Frame {
    head: [u8; MAX_HEAD_BYTES],
    head_bytes: u8,
    payload: Bytes,
}

impl Frame {
    fn new(opcode: u8, payload: Bytes) -> Self {
        let mut head = [0; MAX_HEAD_BYTES];
        let mut rest = &mut head[..];
        rest.put_u8(0x80 | opcode);
        match payload.len() {
            short @ 0..=125 => rest.put_u8(short as u8),
            medium @ 126..=0xffff => {
                rest.put_u8(126);
                rest.put_u16(medium as u16);
            }
            long => {
                rest.put_u8(127);
                rest.put_u64(long as u64);
            }
        }
        let head_bytes = (MAX_HEAD_BYTES - rest.len()) as u8;
        Self {
            head,
            head_bytes,
            payload,
        }
    }

    fn pieces(&self) -> [&[u8]; 2] {
        [&self.head[..self.head_bytes.into()], &self.payload]
    }

    fn len(&self) -> usize {
        usize::from(self.head_bytes) + self.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{Codec, Frame as Received};
    use bytes::BytesMut;
    use tokio_util::codec::Decoder;

    use super::*;

    /// Writes to a socket that takes so many bytes at a time, until there is nothing more for now.
    fn written(
        writer: &mut Writer,
        at_a_time: usize,
        mut source: impl FnMut() -> Poll<Option<Bytes>>,
    ) -> (Vec<u8>, Next) {
        let mut bytes = Vec::new();
        loop {
            let next = writer.fill(&mut source);
            if next != Next::Write {
                return (bytes, next);
            }
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = writer.slices(&mut slices);
            let waiting = slices[..used].iter().flat_map(|slice| slice.iter());
            let taken: Vec<u8> = waiting.copied().take(at_a_time).collect();
            assert!(!taken.is_empty());
            writer.advance(taken.len());
            bytes.extend(taken);
        }
    }

    fn received(bytes: &[u8]) -> Vec<Received> {
        let mut bytes = BytesMut::from(bytes);
        let mut codec = Codec::new().client_mode().max_size(1 << 20);
        let mut frames = Vec::new();
        while let Some(frame) = codec.decode(&mut bytes).expect("valid frames") {
            frames.push(frame);
        }
        assert!(bytes.is_empty(), "half a frame is left");
        frames
    }

    fn packets(lengths: &[usize]) -> VecDeque<Bytes> {
        lengths.iter().map(|&length| vec![7; length].into()).collect()
    }

    fn binary(lengths: &[usize]) -> Vec<Received> {
        packets(lengths).into_iter().map(Received::Binary).collect()
    }

    #[test]
    fn packets_are_messages_however_little_the_socket_takes() {
        let lengths = [3, 0, 125, 126, 65_535, 65_536, 1];
        for at_a_time in [1, 7, 4096, usize::MAX] {
            let mut waiting = packets(&lengths);
            let (bytes, next) = written(&mut Writer::default(), at_a_time, || {
                Poll::Ready(waiting.pop_front())
            });
            assert_eq!(next, Next::End);
            assert_eq!(received(&bytes), binary(&lengths));
        }
    }

    #[test]
    fn no_more_is_taken_than_leaves_together() {
        let mut writer = Writer::default();
        let mut take = |lengths: &[usize]| {
            let mut waiting = packets(lengths);
            let next = writer.fill(|| {
                waiting
                    .pop_front()
                    .map_or(Poll::Pending, |packet| Poll::Ready(Some(packet)))
            });
            assert_eq!(next, Next::Write);
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = writer.slices(&mut slices);
            let bytes = slices[..used].iter().map(|slice| slice.len()).sum();
            writer.advance(bytes);
            waiting.len()
        };
        assert_eq!(take(&[100; MAX_MESSAGES + 5]), 5);
        assert_eq!(take(&[MAX_BYTES, 10, 10]), 2);
        assert_eq!(take(&[MAX_BYTES - 1, MAX_BYTES, 10]), 1);
    }

    #[test]
    fn control_frames_have_one_slot_each_and_do_not_split_a_message() {
        let mut writer = Writer::default();
        let mut waiting = packets(&[6]);
        let next = writer.fill(|| Poll::Ready(waiting.pop_front()));
        assert_eq!(next, Next::Write);
        writer.advance(3);
        for count in 0..100_u8 {
            writer.pong(vec![count].into());
            writer.ping();
        }
        writer.end(4001);
        writer.end(4002);
        let (rest, next) = written(&mut writer, usize::MAX, || {
            panic!("nothing follows a close frame")
        });
        assert_eq!(next, Next::End);
        let expected = [
            Received::Binary(Bytes::from_static(&[7; 6])),
            Received::Pong(Bytes::from_static(&[99])),
            Received::Ping(Bytes::new()),
            Received::Close(Some(actix_http::ws::CloseCode::Other(4001).into())),
        ];
        assert_eq!(received(&[&[0x82, 6, 7], &rest[..]].concat()), expected);
    }

    #[test]
    fn a_source_that_has_nothing_yet_is_waited_for() {
        let mut writer = Writer::default();
        assert_eq!(writer.fill(|| Poll::Pending), Next::Wait);
        writer.ping();
        let (bytes, next) = written(&mut writer, usize::MAX, || Poll::Pending);
        assert_eq!(next, Next::Wait);
        assert_eq!(received(&bytes), [Received::Ping(Bytes::new())]);
    }
}
