//! What of our pictures is on its way: given to the connection and not yet seen by the relay, wherever it waits.
//!
//! Transports hold more than a path of its own accord does: buffers of the browser, of the system, and the
//! bottleneck's. Nothing can be dropped there or overtaken, so while the path is too slow, pictures wait where they can.

use std::collections::{BTreeMap, VecDeque};

use videocall_types::{FrameHeader, LayerArrival, TrackId};

/// Frames of a layer that are kept in mind: 8 s at 30 fps, longer than a relay is silent before it is given up. Of
/// more, the oldest count as arrived.
const MAX_FRAMES: usize = 256;

/// What is on its way.
#[derive(Debug, Default)]
pub(super) struct Flight {
    layers: BTreeMap<(TrackId, u8), VecDeque<Flying>>,
    bytes: usize,
    /// The relay has told how far anything has got, as not every relay does.
    told: bool,
}

#[derive(Clone, Copy, Debug)]
struct Flying {
    sequence: u64,
    bytes: usize,
}

impl Flight {
    /// A frame was given to the connection. One that supersedes is followed by nothing that was given before.
    pub(super) fn sent(&mut self, header: &FrameHeader, bytes: usize, supersedes: bool) {
        let layer = self.layers.entry((header.track, header.spatial)).or_default();
        if supersedes {
            self.bytes -= layer.drain(..).map(|frame| frame.bytes).sum::<usize>();
        }
        if layer.len() >= MAX_FRAMES {
            self.bytes -= layer.pop_front().map_or(0, |frame| frame.bytes);
        }
        self.bytes += bytes;
        layer.push_back(Flying {
            sequence: header.sequence,
            bytes,
        });
    }

    /// The relay has told how far a layer has got.
    pub(super) fn arrived(&mut self, arrival: &LayerArrival) {
        self.told = true;
        let Some(layer) = self.layers.get_mut(&(arrival.track, arrival.spatial)) else {
            return;
        };
        while layer
            .front()
            .is_some_and(|frame| frame.sequence < arrival.next_sequence)
        {
            self.bytes -= layer.pop_front().map_or(0, |frame| frame.bytes);
        }
    }

    /// Bytes on their way; 0 where the relay does not tell.
    pub(super) fn bytes(&self) -> usize {
        if self.told { self.bytes } else { 0 }
    }

    /// A track has ended.
    pub(super) fn forget_track(&mut self, track: TrackId) {
        self.layers.retain(|key, layer| {
            if key.0 == track {
                self.bytes -= layer.iter().map(|frame| frame.bytes).sum::<usize>();
            }
            key.0 != track
        });
    }
}

#[cfg(test)]
mod tests {
    use videocall_types::{SessionId, TrackKind};

    use super::*;

    fn header(spatial: u8, sequence: u64) -> FrameHeader {
        FrameHeader {
            spatial,
            sequence,
            keyframe: false,
            reference_distance: 1,
            ..FrameHeader::first(
                SessionId::new(1).expect("not zero"),
                TrackId(2),
                TrackKind::Camera,
            )
        }
    }

    fn arrival(spatial: u8, next_sequence: u64) -> LayerArrival {
        LayerArrival {
            track: TrackId(2),
            spatial,
            next_sequence,
        }
    }

    #[test]
    fn what_the_relay_has_seen_is_not_on_its_way() {
        let mut flight = Flight::default();
        for sequence in 0..5 {
            flight.sent(&header(0, sequence), 100, false);
            flight.sent(&header(1, sequence), 1000, false);
        }
        assert_eq!(
            flight.bytes(),
            0,
            "of a relay that does not tell nothing is known"
        );
        flight.arrived(&arrival(1, 3));
        assert_eq!(flight.bytes(), 2500);
        flight.arrived(&arrival(0, 9));
        flight.arrived(&arrival(3, 9));
        assert_eq!(flight.bytes(), 2000);
        flight.sent(&header(1, 7), 10, true);
        assert_eq!(flight.bytes(), 10, "the stream before was given up");
        flight.forget_track(TrackId(2));
        assert_eq!(flight.bytes(), 0);
    }

    #[test]
    fn no_more_is_kept_than_its_bound() {
        let mut flight = Flight::default();
        flight.arrived(&arrival(0, 0));
        for sequence in 0..10_000 {
            flight.sent(&header(0, sequence), 1, false);
        }
        assert_eq!(flight.bytes(), MAX_FRAMES);
    }
}
