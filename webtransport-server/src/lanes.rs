//! The long-lived streams on which frames leave: one for each layer of each track.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout};
use videocall_types::{LayerId, length_prefix};
use wtransport::quinn::{SendStream as QuicStream, VarInt, WriteError};
use wtransport::{Connection, SendStream};

/// Streams open at a time at most: browsers allow a hundred. The one not used for longest is closed
/// for another.
const MAX_LANES: usize = 90;

/// A layer that sends nothing for this long has ended, is muted or is not wanted; its stream is
/// closed. It costs nothing to open another.
const IDLE: Duration = Duration::from_secs(30);

/// A stream on which nothing moves for this long is stuck: the client does not read it. It is reset,
/// and the layer goes on with the next keyframe on another.
const STUCK: Duration = Duration::from_secs(1);

/// A client that has read nothing for so long while streams to it got stuck is closed: as long as one that takes
/// nothing at all (the outbox's stall time).
const UNREAD: Duration = Duration::from_secs(10);

/// Why a stream was reset, for the client: what was on it is too old.
const RESET_STALE: VarInt = VarInt::from_u32(1);

/// Length prefixes are cut from blocks of this many bytes, a few hundred from each.
const PREFIX_BLOCK: usize = 1024;

/// The streams of one connection.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: HashMap<LayerId, Lane>,
    prefixes: BytesMut,
}

struct Lane {
    state: LaneState,
    used_at: Instant,
}

enum LaneState {
    Open(SendStream),
    /// The stream was reset; frames are left out up to the next keyframe.
    AwaitingKeyframe,
    /// The stream is with a [`Writing`].
    Writing,
}

/// A frame on its way onto a stream, which it holds meanwhile.
pub(crate) struct Writing {
    layer: LayerId,
    stream: Option<SendStream>,
    priority: i32,
    chunks: [Bytes; 2],
}

/// What became of a frame, and the stream back.
pub(crate) struct Written {
    layer: LayerId,
    stream: Option<SendStream>,
    stuck: bool,
}

/// Whether a client reads the streams that it is sent.
///
/// Its QUIC takes and acknowledges datagrams and a window's worth of each stream also while the program behind
/// it reads nothing. Only reading makes it raise a stream's limit (RFC 9000 §4.1), and whoever reads a stream
/// to the end of its window has done that. So of a client with one stream stuck at its limit after another and no
/// limit raised in between it is known that it reads nothing. A path that stands still is no reason: then no
/// limit is reached.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// When the first of the stuck streams was given up, and how many limits had been raised by then.
    stuck: Option<(Instant, u64)>,
    /// How many limits had been reached by the last of them.
    reached: u64,
}

impl Reading {
    /// Takes note of what became of a frame. `true` when the client reads nothing.
    pub(crate) fn note(&mut self, written: &Written, connection: &Connection) -> bool {
        if !written.stuck {
            return false;
        }
        let frames = connection.quic_connection().stats();
        let reached = frames.frame_tx.data_blocked + frames.frame_tx.stream_data_blocked;
        // The connection's own limit is raised by a reset as well.
        self.stuck(reached, frames.frame_rx.max_stream_data, Instant::now())
    }

    /// A stream was given up; so many limits were reached and raised until now.
    fn stuck(&mut self, reached: u64, raised: u64, now: Instant) -> bool {
        if std::mem::replace(&mut self.reached, reached) == reached {
            return false;
        }
        match self.stuck {
            Some((since, before)) if before == raised => now.duration_since(since) >= UNREAD,
            _ => {
                self.stuck = Some((now, raised));
                false
            }
        }
    }
}

impl Lanes {
    /// Prepares a frame for writing; `None` when it is to be left out.
    pub(crate) fn begin(
        &mut self,
        layer: LayerId,
        keyframe: bool,
        priority: i32,
        packet: Bytes,
    ) -> Option<Writing> {
        let used_at = Instant::now();
        if !self.lanes.contains_key(&layer) && self.lanes.len() >= MAX_LANES {
            self.close_oldest();
        }
        let lane = self.lanes.entry(layer).or_insert(Lane {
            state: LaneState::Writing,
            used_at,
        });
        if matches!(lane.state, LaneState::AwaitingKeyframe) && !keyframe {
            return None;
        }
        lane.used_at = used_at;
        let stream = match std::mem::replace(&mut lane.state, LaneState::Writing) {
            LaneState::Open(stream) => Some(stream),
            LaneState::AwaitingKeyframe | LaneState::Writing => None,
        };
        let chunks = [self.prefix(packet.len()), packet];
        Some(Writing {
            layer,
            stream,
            priority,
            chunks,
        })
    }

    /// Takes the stream back.
    pub(crate) fn end(&mut self, written: Written) {
        if let Some(lane) = self.lanes.get_mut(&written.layer) {
            lane.state = match written.stream {
                Some(stream) => LaneState::Open(stream),
                None => LaneState::AwaitingKeyframe,
            };
        }
    }

    /// Closes the streams of layers that send nothing any more.
    pub(crate) fn close_idle(&mut self) {
        self.lanes.retain(|_, lane| {
            let idle = lane.used_at.elapsed() >= IDLE && !matches!(lane.state, LaneState::Writing);
            if idle {
                lane.finish();
            }
            !idle
        });
    }

    fn close_oldest(&mut self) {
        let idle = self
            .lanes
            .iter()
            .filter(|(_, lane)| !matches!(lane.state, LaneState::Writing));
        let oldest = idle.min_by_key(|(_, lane)| lane.used_at).map(|(layer, _)| *layer);
        if let Some(mut lane) = oldest.and_then(|layer| self.lanes.remove(&layer)) {
            lane.finish();
        }
    }

    fn prefix(&mut self, length: usize) -> Bytes {
        let (prefix, used) = length_prefix(u32::try_from(length).unwrap_or(u32::MAX));
        if self.prefixes.capacity() < used {
            self.prefixes = BytesMut::with_capacity(PREFIX_BLOCK);
        }
        self.prefixes.extend_from_slice(&prefix[..used]);
        self.prefixes.split().freeze()
    }
}

impl Lane {
    fn finish(&mut self) {
        if let LaneState::Open(stream) = &mut self.state {
            let _already_closed = stream.quic_stream_mut().finish();
        }
    }
}

impl Writing {
    /// Writes the frame, on a new stream if there is none. Comes back without the stream when it is
    /// stuck or the client does not want it.
    pub(crate) async fn run(mut self, connection: &Connection) -> Written {
        let mut stuck = false;
        let mut stream = match self.stream.take() {
            Some(stream) => Some(stream),
            None => open(connection, self.priority).await,
        };
        if let Some(open) = &mut stream {
            let quic = open.quic_stream_mut();
            if let Err(error) = write(quic, &mut self.chunks).await {
                stuck = matches!(error, LaneError::Stuck);
                let _already_closed = quic.reset(RESET_STALE);
                stream = None;
            }
        }
        Written {
            layer: self.layer,
            stream,
            stuck,
        }
    }
}

async fn open(connection: &Connection, priority: i32) -> Option<SendStream> {
    let open = async { connection.open_uni().await.ok()?.await.ok() };
    // The client may allow no further stream for now.
    let stream = timeout(STUCK, open).await.ok().flatten()?;
    stream.set_priority(priority);
    Some(stream)
}

/// Why a frame is not on its stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaneError {
    #[error("the stream is stuck")]
    Stuck,
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Writes chunks without copying them, as long as something moves.
pub(crate) async fn write(stream: &mut QuicStream, mut chunks: &mut [Bytes]) -> Result<(), LaneError> {
    while !chunks.is_empty() {
        let written = timeout(STUCK, stream.write_chunks(chunks))
            .await
            .map_err(|_| LaneError::Stuck)??;
        chunks = &mut chunks[written.chunks..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_raises_no_limit_between_two_stuck_streams_reads_nothing() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut reading = Reading::default();
        assert!(!reading.stuck(1, 3, at(0)));
        assert!(!reading.stuck(2, 3, at(9)));
        assert!(!reading.stuck(3, 4, at(11)), "something was read");
        assert!(!reading.stuck(4, 4, at(20)));
        assert!(
            !reading.stuck(4, 4, at(21)),
            "the path stood still, no limit was reached"
        );
        assert!(reading.stuck(5, 4, at(21)));
    }
}
