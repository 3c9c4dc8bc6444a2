//! What is on its way to the socket: a few messages and their heads, written together.
//!
//! Messages are taken from the relay's bounded outbox when the socket has taken those before, so what waits
//! can still be dropped by importance. Payloads are not copied: a system call is given the heads and the
//! payloads side by side. Answers to pings, our own pings and the close frame precede the next messages;
//! there is one slot for each. Where the path is slow, pictures leave in fragments, between
//! which there is room for voices. Pings carry the numbers of a [`Stream`]'s marks, which says how much may be on its way
//! to the peer. The socket itself is left to the carrier.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Poll, ready};
use std::time::Instant;

use bytes::{BufMut as _, Bytes};
use media_congestion::Stream;
use relay_runtime::ClassSet;
use videocall_types::{fragment, is_frame};

use super::opcode;

/// The longest head of a frame from a server: two bytes and eight of length.
const MAX_HEAD_BYTES: usize = 10;

/// Messages that are written together at most.
const MAX_PIECES: usize = 32;

/// No further message is taken when there are so many bytes: what is taken can no longer be dropped.
const MAX_BYTES: usize = 16 * 1024;

/// What leaves between the fragments of a picture.
const URGENT: ClassSet = ClassSet::CONTROL.union(ClassSet::AUDIO);

/// Pieces of a system call at most: heads and payloads, and the control frames before them.
const MAX_SLICES: usize = 2 * (2 * MAX_PIECES + 3);

/// Messages of one connection on their way out.
pub(super) struct Writer {
    stream: Stream,
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that have left.
    written: usize,
    /// Only the newest ping has to be answered (RFC 6455 §5.5.3).
    pong: Option<Frame>,
    /// A sign of life was asked for.
    pings: bool,
    close: Option<Frame>,
    /// Nothing follows the close frame.
    ended: bool,
    /// What is left of a packet that leaves in fragments.
    rest: VecDeque<Bytes>,
    /// Tells the next such packet from those before.
    cut: u64,
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
    /// Nothing is to be written yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            stream: Stream::new(now),
            frames: VecDeque::new(),
            written: 0,
            pong: None,
            pings: false,
            close: None,
            ended: false,
            rest: VecDeque::new(),
            cut: 0,
        }
    }

    /// Answers are not read any more.
    pub(super) fn unheard(&mut self) {
        self.stream.unbind();
    }

    /// Answers a ping; replaces an answer that has not left yet.
    pub(super) fn pong(&mut self, payload: Bytes) {
        self.pong = Some(Frame::new(opcode::PONG, payload));
    }

    /// Asks for a sign of life; one that has not left yet is enough.
    pub(super) const fn ping(&mut self) {
        self.pings = true;
    }

    /// A ping with this payload was answered. Says whether there may be room only now.
    pub(super) fn answered(&mut self, payload: &[u8], now: Instant) -> bool {
        let bounded = self.stream.is_bounded();
        if let Ok(number) = payload.try_into() {
            self.stream.returned(u64::from_be_bytes(number), now);
        }
        bounded
    }

    /// Bytes per second that the path takes, if it is a slow one.
    pub(super) fn path_rate(&self) -> Option<u64> {
        self.stream.path_rate()
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
        now: Instant,
        mut source: impl FnMut(ClassSet) -> Poll<Option<Bytes>>,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        // Whoever has nothing is asked again only for something else.
        let mut exhausted = None;
        loop {
            let next = self.fill(now, |classes| {
                if exhausted == Some(classes) {
                    return Poll::Pending;
                }
                let next = source(classes);
                exhausted = next.is_pending().then_some(classes);
                next
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
    /// binary message, until there will be no more. It is not asked as long as there is no room on the path.
    fn fill(&mut self, now: Instant, mut source: impl FnMut(ClassSet) -> Poll<Option<Bytes>>) -> Next {
        if !self.frames.is_empty() {
            return Next::Write;
        }
        self.frames.extend(self.pong.take());
        if self.ended {
            self.frames.extend(self.close.take());
            return self.then(Next::End);
        }
        let mark = self.stream.mark_before(now, std::mem::take(&mut self.pings));
        self.frames.extend(mark.map(Frame::ping));
        let mut rest = Next::Wait;
        let (mut pieces, mut bytes) = (0, 0);
        while pieces < MAX_PIECES && bytes < MAX_BYTES && self.stream.has_room(now) {
            let classes = match self.rest.is_empty() {
                true => ClassSet::ALL,
                false => URGENT,
            };
            let packet = match source(classes) {
                Poll::Ready(Some(packet)) => Some(self.first_piece(packet)),
                Poll::Ready(None) if self.rest.is_empty() => {
                    rest = Next::End;
                    break;
                }
                Poll::Ready(None) | Poll::Pending => self.rest.pop_front(),
            };
            let Some(packet) = packet else {
                break;
            };
            pieces += 1;
            bytes += packet.len();
            self.stream.give(packet.len() as u64);
            self.frames.push_back(Frame::new(opcode::BINARY, packet));
            self.frames.extend(self.stream.mark_behind(now).map(Frame::ping));
        }
        if pieces == 0 {
            self.frames.extend(self.stream.mark_behind(now).map(Frame::ping));
        }
        self.then(rest)
    }

    /// The packet, or its first fragment, if it is so long that voices would have to wait for it on a slow path.
    fn first_piece(&mut self, packet: Bytes) -> Bytes {
        let most = self.stream.piece();
        if !self.rest.is_empty() || packet.len() <= most || !is_frame(&packet) {
            return packet;
        }
        self.cut += 1;
        let Ok(mut pieces) = fragment::split(&packet, self.cut, most) else {
            return packet;
        };
        let first = pieces.next().unwrap_or(packet);
        self.rest = pieces.collect();
        first
    }

    /// First what there is, then what follows.
    fn then(&self, rest: Next) -> Next {
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

    fn ping(mark: u64) -> Self {
        Self::new(opcode::PING, Bytes::copy_from_slice(&mark.to_be_bytes()))
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
    use std::time::Duration;

    use actix_http::ws::{Codec, Frame as Received};
    use bytes::BytesMut;
    use tokio_util::codec::Decoder;
    use videocall_types::MediaClass;
    use videocall_types::fragment::Reassembler;

    use super::*;

    /// Writes to a socket that takes so many bytes at a time, until there is nothing more for now.
    fn written(
        writer: &mut Writer,
        at_a_time: usize,
        source: impl FnMut(ClassSet) -> Poll<Option<Bytes>>,
    ) -> (Vec<u8>, Next) {
        written_at(Instant::now(), writer, at_a_time, source)
    }

    fn written_at(
        now: Instant,
        writer: &mut Writer,
        at_a_time: usize,
        mut source: impl FnMut(ClassSet) -> Poll<Option<Bytes>>,
    ) -> (Vec<u8>, Next) {
        let mut bytes = Vec::new();
        loop {
            let next = writer.fill(now, &mut source);
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
            let (bytes, next) = written(&mut Writer::new(Instant::now()), at_a_time, |_| {
                Poll::Ready(waiting.pop_front())
            });
            assert_eq!(next, Next::End);
            let mut frames = received(&bytes);
            frames.retain(|frame| !matches!(frame, Received::Ping(_)));
            assert_eq!(frames, binary(&lengths));
        }
    }

    #[test]
    fn no_more_is_taken_than_leaves_together() {
        let mut writer = Writer::new(Instant::now());
        let mut take = |lengths: &[usize]| {
            let mut waiting = packets(lengths);
            let next = writer.fill(Instant::now(), |_| {
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
        assert_eq!(take(&[100; MAX_PIECES + 5]), 5);
        assert_eq!(take(&[MAX_BYTES, 10, 10]), 2);
        assert_eq!(take(&[MAX_BYTES - 1, MAX_BYTES, 10]), 1);
    }

    #[test]
    fn control_frames_have_one_slot_each_and_do_not_split_a_message() {
        let mut writer = Writer::new(Instant::now());
        let mut waiting = packets(&[6]);
        let next = writer.fill(Instant::now(), |_| Poll::Ready(waiting.pop_front()));
        assert_eq!(next, Next::Write);
        writer.advance(3);
        for count in 0..100_u8 {
            writer.pong(vec![count].into());
            writer.ping();
        }
        writer.end(4001);
        writer.end(4002);
        let (rest, next) = written(&mut writer, usize::MAX, |_| {
            panic!("nothing follows a close frame")
        });
        assert_eq!(next, Next::End);
        let expected = [
            Received::Binary(Bytes::from_static(&[7; 6])),
            Received::Pong(Bytes::from_static(&[99])),
            Received::Close(Some(actix_http::ws::CloseCode::Other(4001).into())),
        ];
        assert_eq!(received(&[&[0x82, 6, 7], &rest[..]].concat()), expected);
    }

    #[test]
    fn a_source_that_has_nothing_yet_is_waited_for() {
        let mut writer = Writer::new(Instant::now());
        assert_eq!(writer.fill(Instant::now(), |_| Poll::Pending), Next::Wait);
        writer.ping();
        let (bytes, next) = written(&mut writer, usize::MAX, |_| Poll::Pending);
        assert_eq!(next, Next::Wait);
        assert_eq!(received(&bytes), [Received::Ping(vec![0; 8].into())]);
    }

    /// A writer whose answers have taken longer each time.
    fn slowed(now: &mut Instant) -> Writer {
        let mut writer = Writer::new(*now);
        for round in 0..8 {
            let mut waiting = packets(&[1000]);
            let source = |_| {
                waiting
                    .pop_front()
                    .map_or(Poll::Pending, |packet| Poll::Ready(Some(packet)))
            };
            let (bytes, _) = written_at(*now, &mut writer, usize::MAX, source);
            *now += round * Duration::from_millis(100);
            answer(&mut writer, &bytes, *now);
            *now += Duration::from_secs(2);
        }
        assert!(writer.stream.is_bounded());
        writer
    }

    /// Answers every ping.
    fn answer(writer: &mut Writer, bytes: &[u8], now: Instant) {
        for frame in received(bytes) {
            if let Received::Ping(payload) = frame {
                writer.answered(&payload, now);
            }
        }
    }

    #[test]
    fn no_more_is_taken_than_a_slow_path_takes() {
        let mut now = Instant::now();
        let mut writer = slowed(&mut now);
        let mut asked = 0;
        let (_, next) = written_at(now, &mut writer, usize::MAX, |_| {
            asked += 1;
            Poll::Ready(Some(vec![7; 1000].into()))
        });
        assert_eq!(next, Next::Wait);
        assert!((1..5).contains(&asked), "{asked} packets");
    }

    #[test]
    fn voices_leave_between_the_fragments_of_a_picture_on_a_slow_path() {
        let mut now = Instant::now();
        let mut writer = slowed(&mut now);
        // The first byte is what makes it a frame.
        let picture: Bytes = [0x0a]
            .into_iter()
            .chain((1..20_000_u32).map(|index| index as u8))
            .collect();
        let (mut pictures, mut joined, mut voices) = (vec![picture.clone()], Vec::new(), 0);
        let mut fragments = Reassembler::default();
        for _ in 0..200 {
            let mut voice = Some(Bytes::from_static(b"voice"));
            let source = |classes: ClassSet| {
                let video = || pictures.pop().filter(|_| classes.contains(MediaClass::VideoBase));
                voice
                    .take()
                    .or_else(video)
                    .map_or(Poll::Pending, |packet| Poll::Ready(Some(packet)))
            };
            let (bytes, _) = written_at(now, &mut writer, 100, source);
            now += Duration::from_millis(100);
            for frame in received(&bytes) {
                match frame {
                    Received::Binary(packet) if packet == "voice" => voices += usize::from(joined.is_empty()),
                    Received::Binary(packet) => joined.extend(fragments.join(packet)),
                    _ => {}
                }
            }
            answer(&mut writer, &bytes, now);
        }
        assert_eq!(joined, [picture]);
        assert!(voices > 5, "{voices} voices before the whole picture");
    }

    #[test]
    fn what_is_left_leaves_when_nobody_reads_answers() {
        let mut now = Instant::now();
        let mut writer = slowed(&mut now);
        let mut waiting = packets(&[90_000, 10]);
        let mut source = |_| Poll::Ready(waiting.pop_front());
        assert_eq!(
            written_at(now, &mut writer, usize::MAX, &mut source).1,
            Next::Wait
        );
        writer.unheard();
        assert_eq!(written_at(now, &mut writer, usize::MAX, &mut source).1, Next::End);
    }
}
