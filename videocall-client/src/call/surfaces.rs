//! The page's elements that show pictures. What they show is handed over to the engine: once per element, which is
//! all that a browser allows.

use std::cell::{Cell, RefCell};

use videocall_types::TrackRef;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    HtmlCanvasElement, HtmlElement, HtmlVideoElement, MediaStream, MediaStreamTrackGenerator,
    MediaStreamTrackGeneratorInit,
};

use crate::bridge::messages::{SurfaceId, ToEngine};
use crate::bridge::port::Port;
use crate::media::web::js;

/// The kind of element for [`super::Call::attach`] that is best in this browser: `video` where a worker can give it
/// decoded pictures, `canvas` elsewhere.
pub fn picture_tag() -> &'static str {
    if js::get(&js_sys::global(), "MediaStreamTrackGenerator").is_function() {
        "video"
    } else {
        "canvas"
    }
}

/// All elements that were handed over and are still of use.
pub(super) struct Surfaces {
    engine: Port<ToEngine>,
    surfaces: RefCell<Vec<Surface>>,
    next: Cell<u32>,
}

struct Surface {
    id: SurfaceId,
    element: HtmlElement,
    track: Option<TrackRef>,
}

impl Surfaces {
    pub(super) fn new(engine: Port<ToEngine>) -> Self {
        Self {
            engine,
            surfaces: RefCell::default(),
            next: Cell::new(0),
        }
    }

    /// Shows a track in this element.
    pub(super) fn attach(&self, track: TrackRef, element: &HtmlElement) {
        self.detach(track);
        let Some(id) = self.id_of(element) else { return };
        for surface in self
            .surfaces
            .borrow_mut()
            .iter_mut()
            .filter(|surface| surface.id == id)
        {
            surface.track = Some(track);
        }
        self.engine.post(&ToEngine::Attach(track, id));
    }

    /// Shows the track no more.
    pub(super) fn detach(&self, track: TrackRef) {
        let mut surfaces = self.surfaces.borrow_mut();
        let shown = surfaces.iter_mut().find(|surface| surface.track == Some(track));
        if let Some(surface) = shown {
            surface.track = None;
            self.engine.post(&ToEngine::Detach(track));
        }
        // An element that a page has taken out of its document does not come back.
        surfaces.retain(|surface| {
            let is_of_use = surface.track.is_some() || surface.element.is_connected();
            if !is_of_use {
                self.engine.post(&ToEngine::ForgetSurface(surface.id));
            }
            is_of_use
        });
    }

    /// The number of this element, which is handed over when it is seen first.
    fn id_of(&self, element: &HtmlElement) -> Option<SurfaceId> {
        let known = self
            .surfaces
            .borrow()
            .iter()
            .find(|surface| surface.element == *element)
            .map(|surface| surface.id);
        known.or_else(|| self.hand_over(element))
    }

    fn hand_over(&self, element: &HtmlElement) -> Option<SurfaceId> {
        let id = SurfaceId(self.next.get());
        self.next.set(id.0 + 1);
        let handed_over = content_of(element)
            .and_then(|content| self.engine.post_with(&ToEngine::Surface(id), &[&content]));
        if let Err(error) = handed_over {
            tracing::warn!(?error, "an element that is in use already shows nothing");
            return None;
        }
        self.surfaces.borrow_mut().push(Surface {
            id,
            element: element.clone(),
            track: None,
        });
        Some(id)
    }
}

/// What the engine needs to fill this element.
fn content_of(element: &HtmlElement) -> Result<JsValue, JsValue> {
    if let Some(canvas) = element.dyn_ref::<HtmlCanvasElement>() {
        return canvas.transfer_control_to_offscreen().map(Into::into);
    }
    let Some(video) = element.dyn_ref::<HtmlVideoElement>() else {
        return Err("neither a canvas nor a video".into());
    };
    let track = MediaStreamTrackGenerator::new(&MediaStreamTrackGeneratorInit::new("video"))?;
    let stream = MediaStream::new()?;
    stream.add_track(&track);
    // Without these browsers wait for a click, or fill the display of a phone.
    video.set_muted(true);
    video.set_autoplay(true);
    video.set_attribute("playsinline", "")?;
    video.set_src_object(Some(&stream));
    Ok(track.writable().into())
}
