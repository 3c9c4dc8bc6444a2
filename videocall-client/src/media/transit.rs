//! How long frames take from their capture to us, by two clocks that need not agree: each value means something only
//! against the others.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::Timestamp;

/// Frames that may have been the fastest; the oldest is forgotten. 200 frames a second is what the shortest usual
/// sounds make.
const MAX_HISTORY: usize = 512;

/// From a time on the sender's clock to one on ours, by what the two show, microseconds.
pub fn transit_us(captured_us: u64, now: Timestamp) -> i64 {
    let micros = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    micros(now.as_micros()) - micros(captured_us)
}

/// The shortest transit of the last seconds.
#[derive(Clone, Debug)]
pub(crate) struct FastestTransit {
    window: Duration,
    /// In ascending order of both time and value: the first is the fastest.
    candidates: VecDeque<(Timestamp, i64)>,
}

impl FastestTransit {
    /// Of the frames that came within this time.
    pub(crate) const fn within(window: Duration) -> Self {
        Self {
            window,
            candidates: VecDeque::new(),
        }
    }

    /// A frame has come that took so long, microseconds; returns the fastest.
    pub(crate) fn observe(&mut self, transit_us: i64, now: Timestamp) -> i64 {
        let slower = |&mut (_, other): &mut (Timestamp, i64)| other >= transit_us;
        while self.candidates.pop_back_if(slower).is_some() {}
        self.candidates.push_back((now, transit_us));
        let is_old = |&mut (at, _): &mut (Timestamp, i64)| now.since(at) > self.window;
        while self.candidates.pop_front_if(is_old).is_some() {}
        if self.candidates.len() > MAX_HISTORY {
            self.candidates.pop_front();
        }
        self.get().unwrap_or(transit_us)
    }

    /// The fastest; nothing before the first frame.
    pub(crate) fn get(&self) -> Option<i64> {
        self.candidates.front().map(|&(_, fastest)| fastest)
    }
}
