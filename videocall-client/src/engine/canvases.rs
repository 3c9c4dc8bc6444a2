//! The canvases that the page has handed over, and which track is drawn on which.

use std::collections::HashMap;

use videocall_types::TrackRef;
use web_sys::OffscreenCanvas;

use crate::bridge::messages::CanvasId;

/// All canvases of a call. The page bounds them: it names those that are gone from it.
#[derive(Debug, Default)]
pub(super) struct Canvases {
    by_id: HashMap<CanvasId, OffscreenCanvas>,
    /// Where the page wants tracks to be drawn, as long as it does: a track that goes and comes back with a
    /// reconnection finds its canvas again, even when the page has drawn nothing in between.
    attached: HashMap<TrackRef, CanvasId>,
}

impl Canvases {
    pub(super) fn add(&mut self, id: CanvasId, canvas: OffscreenCanvas) {
        self.by_id.insert(id, canvas);
    }

    pub(super) fn forget(&mut self, id: CanvasId) {
        self.by_id.remove(&id);
    }

    /// Gives the canvas on which the track is drawn from now on.
    pub(super) fn attach(&mut self, track: TrackRef, id: CanvasId) -> Option<OffscreenCanvas> {
        self.attached.insert(track, id);
        self.of(track)
    }

    pub(super) fn detach(&mut self, track: TrackRef) {
        self.attached.remove(&track);
    }

    /// The canvas of a track.
    pub(super) fn of(&self, track: TrackRef) -> Option<OffscreenCanvas> {
        self.by_id.get(self.attached.get(&track)?).cloned()
    }
}
