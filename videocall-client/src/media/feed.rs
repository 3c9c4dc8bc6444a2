//! In which form captured pictures and sound come from the page, which opens the devices, to the engine, which
//! encodes them.

use serde::{Deserialize, Serialize};

/// What the page hands over for a track that is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FeedKind {
    /// The `ReadableStream` of a `MediaStreamTrackProcessor`, of `VideoFrame` or `AudioData`. What flows through
    /// it does not pass the page's thread.
    Stream,
    /// The `MessagePort` through which a copy of the track comes, for an engine that reads it itself: some browsers
    /// have `MediaStreamTrackProcessor` in workers only, for pictures only.
    Track,
    /// The `MessagePort` through which come pictures that the page takes from a `<video>`, or samples that a
    /// worklet takes from an audio graph (those do not pass the page's thread).
    Port,
}
