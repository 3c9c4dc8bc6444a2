//! The page's canvases, whose drawing is handed over to the engine: once per element, which is all that a browser
//! allows.

use std::cell::{Cell, RefCell};

use videocall_types::TrackRef;
use web_sys::HtmlCanvasElement;

use crate::bridge::messages::{CanvasId, ToEngine};
use crate::bridge::port::Port;

/// All canvases that were handed over and are still of use.
pub(super) struct Canvases {
    engine: Port<ToEngine>,
    canvases: RefCell<Vec<Canvas>>,
    next: Cell<u32>,
}

struct Canvas {
    id: CanvasId,
    element: HtmlCanvasElement,
    track: Option<TrackRef>,
}

impl Canvases {
    pub(super) fn new(engine: Port<ToEngine>) -> Self {
        Self {
            engine,
            canvases: RefCell::default(),
            next: Cell::new(0),
        }
    }

    /// Draws a track on this canvas.
    pub(super) fn attach(&self, track: TrackRef, element: &HtmlCanvasElement) {
        self.detach(track);
        let Some(id) = self.id_of(element) else { return };
        for canvas in self
            .canvases
            .borrow_mut()
            .iter_mut()
            .filter(|canvas| canvas.id == id)
        {
            canvas.track = Some(track);
        }
        self.engine.post(&ToEngine::Attach(track, id));
    }

    /// Draws the track no more.
    pub(super) fn detach(&self, track: TrackRef) {
        let mut canvases = self.canvases.borrow_mut();
        let drawn = canvases.iter_mut().find(|canvas| canvas.track == Some(track));
        if let Some(canvas) = drawn {
            canvas.track = None;
            self.engine.post(&ToEngine::Detach(track));
        }
        // An element that a page has taken out of its document does not come back.
        canvases.retain(|canvas| {
            let is_of_use = canvas.track.is_some() || canvas.element.is_connected();
            if !is_of_use {
                self.engine.post(&ToEngine::ForgetCanvas(canvas.id));
            }
            is_of_use
        });
    }

    /// The number of this canvas, which is handed over when it is seen first.
    fn id_of(&self, element: &HtmlCanvasElement) -> Option<CanvasId> {
        let known = self
            .canvases
            .borrow()
            .iter()
            .find(|canvas| canvas.element == *element)
            .map(|canvas| canvas.id);
        known.or_else(|| self.hand_over(element))
    }

    fn hand_over(&self, element: &HtmlCanvasElement) -> Option<CanvasId> {
        let id = CanvasId(self.next.get());
        self.next.set(id.0 + 1);
        let handed_over = element
            .transfer_control_to_offscreen()
            .and_then(|canvas| self.engine.post_with(&ToEngine::Canvas(id), &[&canvas]));
        if let Err(error) = handed_over {
            tracing::warn!(?error, "a canvas that is in use already shows nothing");
            return None;
        }
        self.canvases.borrow_mut().push(Canvas {
            id,
            element: element.clone(),
            track: None,
        });
        Some(id)
    }
}
