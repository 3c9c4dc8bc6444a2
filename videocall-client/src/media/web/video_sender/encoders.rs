//! The encoders of a source, one for each of its layers, and the choice of what they encode to.

use std::time::Duration;

use videocall_types::{Timestamp, VideoCodec, VideoCodecs};

use super::super::video_encoder::{Encoding, PictureEncoder};
use crate::media::parameters::{PlannedLayer, temporal_layers};

/// The encoders for captures of one size.
#[derive(Default)]
pub(super) struct Encoders {
    /// Pixels of the captures that the layers are for.
    pub(super) planned_for: (u32, u32),
    /// Smallest first.
    pub(super) layers: Vec<EncoderSlot>,
    /// Encoders that have failed.
    pub(super) failures: u32,
}

/// One layer.
pub(super) struct EncoderSlot {
    pub(super) planned: PlannedLayer,
    pub(super) encoding: Encoding,
    /// Once somebody has shown its pictures; it rests while nobody does, because opening one takes longer
    /// than somebody who comes should wait for the first picture.
    pub(super) encoder: Option<PictureEncoder>,
    pub(super) last_keyframe: Timestamp,
    /// When the next picture is due, microseconds on the capture's clock.
    due_us: i64,
}

impl Encoders {
    /// Encodes these layers so from now on. What stays as it is goes on.
    pub(super) fn replan(&mut self, captured: (u32, u32), planned: Vec<PlannedLayer>, chosen: Vec<Encoding>) {
        let mut before = std::mem::take(&mut self.layers).into_iter();
        self.planned_for = captured;
        for (planned, encoding) in planned.into_iter().zip(chosen) {
            let same = before.next().filter(|old| old.encoding == encoding);
            let slot = match same {
                Some(old) => EncoderSlot { planned, ..old },
                None => EncoderSlot::new(planned, encoding),
            };
            self.layers.push(slot);
        }
    }

    /// How long the busiest has worked since it was last asked: each encoder has a thread of its own.
    pub(super) fn take_work(&self) -> Duration {
        let running = self.layers.iter().filter_map(|slot| slot.encoder.as_ref());
        running.map(PictureEncoder::take_work).max().unwrap_or_default()
    }

    /// The number of the largest layer.
    pub(super) fn largest(&self) -> u8 {
        self.layers.len().saturating_sub(1) as u8
    }

    /// The number of the largest layer of this kind; the smallest where none is.
    pub(super) fn largest_where(&self, is: impl Fn(&PlannedLayer) -> bool) -> u8 {
        let found = self.layers.iter().rposition(|slot| is(&slot.planned));
        found.unwrap_or(0) as u8
    }
}

impl EncoderSlot {
    fn new(planned: PlannedLayer, encoding: Encoding) -> Self {
        Self {
            planned,
            encoding,
            encoder: None,
            last_keyframe: Timestamp::ZERO,
            due_us: i64::MIN / 2,
        }
    }

    /// Pictures from one base picture to the next.
    pub(super) fn period(&self) -> u32 {
        1 << (temporal_layers(self.encoding.mode) - 1)
    }

    /// Whether this picture is one of those that the frame rate has room for. Cameras are not exact, so one that
    /// comes a little early is in time.
    pub(super) fn is_due(&mut self, captured_us: i64, frames_per_second: u32) -> bool {
        let interval = 1_000_000 / i64::from(frames_per_second.max(1));
        if captured_us + interval / 3 < self.due_us {
            return false;
        }
        // After a pause the rhythm begins anew.
        self.due_us = (self.due_us + interval).max(captured_us + interval / 2);
        true
    }
}

/// Encodings of one family for all layers: the first in this order of preference that has temporal layers, or else
/// the first at all. Hardware is asked for except of the distrusted families.
pub(super) async fn choose_encodings(
    planned: &[PlannedLayer],
    order: impl IntoIterator<Item = VideoCodec>,
    distrusted: VideoCodecs,
) -> Option<Vec<Encoding>> {
    let mut without_temporal = None;
    for family in order {
        let trusted = !distrusted.has(family);
        let mut encodings = Vec::with_capacity(planned.len());
        for layer in planned {
            match PictureEncoder::choose(layer, family, trusted).await {
                Some(encoding) => encodings.push(encoding),
                None => break,
            }
        }
        if encodings.len() < planned.len() {
            continue;
        }
        if encodings
            .iter()
            .all(|encoding| temporal_layers(encoding.mode) > 1)
        {
            return Some(encodings);
        }
        without_temporal.get_or_insert(encodings);
    }
    without_temporal
}
