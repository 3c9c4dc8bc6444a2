//! Numbered and dated frames, and what becomes of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use videocall_types::{Frame, FrameHeader, SessionId, TrackId, TrackInfo, TrackKind};

pub(super) const MICROPHONE: TrackId = TrackId(1);
pub(super) const CAMERA: TrackId = TrackId(2);

/// Frames per second and bytes of payload: Opus at 40 kbit/s in frames of 20 ms.
pub(super) const AUDIO: (u32, usize) = (50, 100);
/// Frames per second and bytes of payload: 1.2 Mbit/s.
pub(super) const VIDEO: (u32, usize) = (30, 5000);

/// What all parts of the load share: one clock, and the count of what was sent and has come.
#[derive(Debug)]
pub(super) struct Record {
    started: Instant,
    /// Microseconds since the start; frames captured within are counted.
    window: std::ops::Range<u64>,
    sent: AtomicU64,
    delays_us: Mutex<Vec<u32>>,
}

impl Record {
    pub(super) fn new(window: std::ops::Range<u64>, expected: usize) -> Self {
        Self {
            started: Instant::now(),
            window,
            sent: AtomicU64::new(0),
            delays_us: Mutex::new(Vec::with_capacity(expected)),
        }
    }

    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> usize {
        self.delays_us.lock().len()
    }

    /// The delays of everything that has come, shortest first, microseconds.
    pub(super) fn sorted_delays(&self) -> Vec<u32> {
        let mut delays = self.delays_us.lock().clone();
        delays.sort_unstable();
        delays
    }
}

/// Notes frames for one receiver; hands them over now and then, because the record is shared.
#[derive(Debug)]
pub(super) struct Notes<'a> {
    record: &'a Record,
    pending: Vec<u32>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
        Self {
            record,
            pending: Vec::new(),
        }
    }

    /// Notes a packet; what is not a frame is passed over.
    pub(super) fn take(&mut self, packet: &[u8]) {
        let Ok(header) = FrameHeader::peek(packet) else {
            return;
        };
        if self.record.window.contains(&header.capture_time_us) {
            let delay = self.record.now_us().saturating_sub(header.capture_time_us);
            self.pending.push(u32::try_from(delay).unwrap_or(u32::MAX));
        }
    }

    /// Hands over what was noted; cheap when called once per read.
    pub(super) fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.record.delays_us.lock().append(&mut self.pending);
        }
    }
}

/// Makes the frames of one track.
#[derive(Debug)]
pub(super) struct Track {
    session: SessionId,
    track: TrackId,
    kind: TrackKind,
    sequence: u64,
    payload: Bytes,
}

impl Track {
    pub(super) fn new(session: SessionId, track: TrackId) -> Self {
        let (kind, bytes) = match track {
            MICROPHONE => (TrackKind::Microphone, AUDIO.1),
            _ => (TrackKind::Camera, VIDEO.1),
        };
        Self {
            session,
            track,
            kind,
            sequence: 0,
            payload: vec![0x5a; bytes].into(),
        }
    }

    /// The next frame, captured now.
    pub(super) fn next(&mut self, record: &Record) -> Bytes {
        let capture_time_us = record.now_us();
        if record.window.contains(&capture_time_us) {
            record.sent.fetch_add(1, Ordering::Relaxed);
        }
        let audio = self.kind.is_audio();
        // A keyframe a second, so that a receiver who has lost one is not lost for good.
        let keyframe = audio || self.sequence.is_multiple_of(VIDEO.0.into());
        let header = FrameHeader {
            session: self.session,
            track: self.track,
            kind: self.kind,
            spatial: 0,
            temporal: 0,
            sequence: self.sequence,
            capture_time_us,
            keyframe,
            reference_distance: u32::from(!keyframe),
            duration_us: 0,
            audio_level: None,
        };
        self.sequence += 1;
        let payload = self.payload.clone();
        Frame {
            header,
            decoder: None,
            redundancy: Vec::new(),
            payload,
        }
        .encode()
    }
}

/// What a publisher announces.
pub(super) fn tracks() -> Vec<TrackInfo> {
    let describe = |track, kind, codec: &str| TrackInfo {
        track,
        kind,
        muted: false,
        codec: codec.to_owned(),
        layers: Vec::new(),
    };
    vec![
        describe(MICROPHONE, TrackKind::Microphone, "opus"),
        describe(CAMERA, TrackKind::Camera, "vp8"),
    ]
}
