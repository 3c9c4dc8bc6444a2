//! What the page has handed over to show pictures, and which track is shown where.

use std::collections::HashMap;

use videocall_types::TrackRef;

use crate::bridge::messages::SurfaceId;
use crate::media::web::surface::Surface;

/// All surfaces of a call. The page bounds them: it names those that are gone from it.
#[derive(Debug, Default)]
pub(super) struct Surfaces {
    by_id: HashMap<SurfaceId, Surface>,
    /// Where the page wants tracks to be drawn, as long as it does: a track that goes and comes back with a
    /// reconnection finds its surface again, even when the page has drawn nothing in between.
    attached: HashMap<TrackRef, SurfaceId>,
}

impl Surfaces {
    pub(super) fn add(&mut self, id: SurfaceId, surface: Surface) {
        self.by_id.insert(id, surface);
    }

    pub(super) fn forget(&mut self, id: SurfaceId) {
        self.by_id.remove(&id);
    }

    /// Gives the surface on which the track is shown from now on.
    pub(super) fn attach(&mut self, track: TrackRef, id: SurfaceId) -> Option<Surface> {
        self.attached.insert(track, id);
        self.of(track)
    }

    pub(super) fn detach(&mut self, track: TrackRef) {
        self.attached.remove(&track);
    }

    /// The surface of a track.
    pub(super) fn of(&self, track: TrackRef) -> Option<Surface> {
        self.by_id.get(self.attached.get(&track)?).cloned()
    }
}
