//! What was sent and what has come of it, counted within a window of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use videocall_types::FrameHeader;

use crate::clock::Clock;
use crate::plan::Load;
use crate::sources::is_voice;

/// Delays above this count as this: a minute.
const LONGEST_US: u64 = 60_000_000;

/// Digits of a delay that are kept.
const DIGITS: u8 = 3;

/// Sessions hand over what came to one of these, so that they rarely meet.
const SHARDS: usize = 8;

/// Shared by all sessions of a run.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) clock: Clock,
    /// Frames captured from the first on and before the second count.
    window: [AtomicU64; 2],
    shards: Vec<Mutex<Arrived>>,
    /// What had to come, by session.
    received: Vec<AtomicU64>,
    /// Packets of each publisher's voice and frames of its pictures.
    sent: Vec<[AtomicU64; 2]>,
    /// Somebody who gets all pictures at their best gets this layer.
    largest_layer: u8,
}

/// What has come.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Microseconds.
    pub(crate) voices: Histogram<u64>,
    /// Microseconds.
    pub(crate) pictures: Histogram<u64>,
    /// All frames, wanted or not.
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Arrived {
    fn new() -> Self {
        let delays = || {
            Histogram::new_with_max(LONGEST_US, DIGITS).expect("a minute in microseconds has three digits")
        };
        Self {
            voices: delays(),
            pictures: delays(),
            packets: 0,
            bytes: 0,
        }
    }

    fn add(&mut self, other: &Self) {
        let same = "all have the same bounds";
        self.voices.add(&other.voices).expect(same);
        self.pictures.add(&other.pictures).expect(same);
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl Record {
    pub(crate) fn new(load: &Load) -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        let publishers = load.meetings * load.publishers;
        Self {
            clock: Clock::start(),
            window: [AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)],
            shards: (0..SHARDS).map(|_| Mutex::new(Arrived::new())).collect(),
            received: zeros(load.sessions()),
            sent: (0..publishers).map(|_| Default::default()).collect(),
            largest_layer: load
                .camera
                .map_or(0, |camera| camera.spatial_layers.saturating_sub(1)),
        }
    }

    /// Counts what is captured from now on for so many microseconds.
    pub(crate) fn open_window(&self, length_us: u64) {
        let now = self.clock.now_us();
        self.window[1].store(now + length_us, Ordering::Relaxed);
        self.window[0].store(now, Ordering::Relaxed);
    }

    fn counts(&self, capture_time_us: u64) -> bool {
        let [start, end] = &self.window;
        (start.load(Ordering::Relaxed)..end.load(Ordering::Relaxed)).contains(&capture_time_us)
    }

    pub(crate) fn sent_voice(&self, publisher: usize, capture_time_us: u64) {
        self.note_sent(publisher, 0, capture_time_us);
    }

    pub(crate) fn sent_picture(&self, publisher: usize, capture_time_us: u64) {
        self.note_sent(publisher, 1, capture_time_us);
    }

    fn note_sent(&self, publisher: usize, kind: usize, capture_time_us: u64) {
        if self.counts(capture_time_us) {
            self.sent[publisher][kind].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Voice packets and frames of a publisher's pictures so far; publishers of all meetings are
    /// numbered through.
    pub(crate) fn sent(&self, publisher: usize) -> [u64; 2] {
        [0, 1].map(|kind| self.sent[publisher][kind].load(Ordering::Relaxed))
    }

    /// How much of what it had to get has come to a session.
    pub(crate) fn received(&self, session: usize) -> u64 {
        self.received[session].load(Ordering::Relaxed)
    }

    /// How much has come to all.
    pub(crate) fn received_by_all(&self) -> u64 {
        (0..self.received.len())
            .map(|session| self.received(session))
            .sum()
    }

    pub(crate) fn arrived(&self) -> Arrived {
        let mut all = Arrived::new();
        for shard in &self.shards {
            all.add(&shard.lock());
        }
        all
    }
}

/// Notes the frames that come on one connection; hands them over once per read, because the record is
/// shared.
#[derive(Debug)]
pub(crate) struct Notes {
    record: Arc<Record>,
    session: usize,
    /// Whether it is a voice, `None` for what nobody asked for; and the delay in microseconds, `None` for what was
    /// kept for the session from before it came.
    pending: Vec<(Option<bool>, Option<u64>)>,
    bytes: u64,
    /// When the first frame came, microseconds.
    since: Option<u64>,
}

impl Notes {
    pub(crate) fn new(record: Arc<Record>, session: usize) -> Self {
        Self {
            record,
            session,
            pending: Vec::new(),
            bytes: 0,
            since: None,
        }
    }

    /// Notes a packet that is a frame.
    pub(crate) fn frame(&mut self, packet: &[u8]) {
        let Ok(header) = FrameHeader::peek(packet) else {
            return;
        };
        let now = self.record.clock.now_us();
        let since = *self.since.get_or_insert(now);
        if !self.record.counts(header.capture_time_us) {
            return;
        }
        let wanted = match header.kind.is_audio() {
            true => is_voice(&header).then_some(true),
            false => (header.spatial == self.record.largest_layer).then_some(false),
        };
        let delay = now.saturating_sub(header.capture_time_us).clamp(1, LONGEST_US);
        let live = header.capture_time_us >= since;
        self.bytes += packet.len() as u64;
        self.pending.push((wanted, live.then_some(delay)));
    }

    pub(crate) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut wanted = 0;
        {
            let mut arrived = self.record.shards[self.session % SHARDS].lock();
            arrived.bytes += std::mem::take(&mut self.bytes);
            arrived.packets += self.pending.len() as u64;
            for (kind, delay) in self.pending.drain(..) {
                let Some(is_voice) = kind else {
                    continue;
                };
                wanted += 1;
                match (is_voice, delay) {
                    (true, Some(delay)) => arrived.voices.saturating_record(delay),
                    (false, Some(delay)) => arrived.pictures.saturating_record(delay),
                    (_, None) => {}
                }
            }
        }
        self.record.received[self.session].fetch_add(wanted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use videocall_types::SessionId;

    use super::*;
    use crate::Transport;
    use crate::plan::{Camera, Voice, Watch};
    use crate::sources::Source;

    #[test]
    fn what_is_kept_for_whoever_comes_arrives_and_is_not_late() {
        let camera = Camera {
            bytes: 500,
            per_second: 30,
            spatial_layers: 1,
            temporal_layers: 1,
        };
        let load = Load {
            meetings: 1,
            publishers: 1,
            receivers: 1,
            publishers_receive: false,
            voice: Voice {
                per_second: 50,
                bytes: 100,
            },
            speakers: 1,
            camera: Some(camera),
            watch: Watch::Everything,
            transport: Transport::WebSocket,
        };
        let record = Arc::new(Record::new(&load));
        record.open_window(LONGEST_US);
        let kept_since = record.clock.now_us();
        while record.clock.now_us() == kept_since {}
        let session = SessionId::new(1).expect("not zero");
        let mut source = Source::camera(&camera, session, 0);
        let mut notes = Notes::new(record.clone(), 1);
        notes.frame(&source.next(kept_since));
        notes.frame(&source.next(record.clock.now_us()));
        notes.flush();
        assert_eq!(record.received(1), 2);
        assert_eq!(record.arrived().pictures.len(), 1);
    }
}
