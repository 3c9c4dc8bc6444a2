//! Draws decoded pictures on the canvases that a page has handed over, all of them in one animation frame: the
//! newest of each, and only as often as the display shows one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{DedicatedWorkerGlobalScope, OffscreenCanvas, VideoFrame};

use super::canvas::{Drawing, Target};
use super::guard::Guard;
use super::js;

/// Where one track is drawn.
#[derive(Default)]
pub(super) struct Picture {
    target: RefCell<Option<Target>>,
    /// The newest picture that was not drawn; while the page is hidden none is, and each replaces the one
    /// before.
    pending: RefCell<Option<Guard<VideoFrame>>>,
}

impl Picture {
    /// Whether somebody looks at it.
    pub(super) fn has_canvas(&self) -> bool {
        self.target.borrow().is_some()
    }

    /// Whether it is drawn on this very canvas.
    pub(super) fn is_on(&self, canvas: &OffscreenCanvas) -> bool {
        self.target
            .borrow()
            .as_ref()
            .is_some_and(|target| target.is(canvas))
    }

    fn draw(&self) {
        if let (Some(target), Some(frame)) = (self.target.borrow().as_ref(), self.pending.take()) {
            target.draw(frame);
        }
    }
}

/// Draws what is pending at the next refresh of the display.
#[derive(Clone)]
pub(crate) struct Painter(Rc<State>);

struct State {
    /// Pictures with something to draw, each once.
    dirty: RefCell<Vec<Rc<Picture>>>,
    scheduled: Cell<bool>,
    on_frame: RefCell<Option<Closure<dyn FnMut()>>>,
    /// To be told when something was drawn for the first time.
    on_first: RefCell<Option<Box<dyn FnOnce()>>>,
    drawing: Rc<Drawing>,
}

impl Painter {
    /// `on_first` is called when the first picture of all was drawn.
    pub(crate) fn new(on_first: impl FnOnce() + 'static) -> Self {
        let state = Rc::new(State {
            dirty: RefCell::default(),
            scheduled: Cell::new(false),
            on_frame: RefCell::default(),
            on_first: RefCell::new(Some(Box::new(on_first))),
            drawing: Rc::default(),
        });
        let weak = Rc::downgrade(&state);
        let on_frame = Closure::<dyn FnMut()>::new(move || {
            if let Some(state) = weak.upgrade() {
                state.scheduled.set(false);
                state.draw();
            }
        });
        state.on_frame.replace(Some(on_frame));
        Self(state)
    }

    /// Draws a track here from now on; nowhere when `canvas` is none or cannot be drawn on.
    pub(super) fn set_canvas(&self, picture: &Picture, canvas: Option<OffscreenCanvas>) {
        let target = canvas.and_then(|canvas| Target::new(canvas, &self.0.drawing));
        picture.target.replace(target);
        picture.pending.take();
    }

    /// Shows a picture next, instead of what was to be shown.
    pub(super) fn show(&self, picture: &Rc<Picture>, frame: Guard<VideoFrame>) {
        if picture.pending.replace(Some(frame)).is_none() {
            let mut dirty = self.0.dirty.borrow_mut();
            if !dirty.iter().any(|queued| Rc::ptr_eq(queued, picture)) {
                dirty.push(picture.clone());
            }
        }
        if !self.0.scheduled.replace(true) && !self.schedule() {
            self.0.scheduled.set(false);
            self.0.draw();
        }
    }

    /// False where workers hear nothing of the display's refreshes.
    fn schedule(&self) -> bool {
        let on_frame = self.0.on_frame.borrow();
        let Some(on_frame) = on_frame.as_ref() else {
            return false;
        };
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        js::get(&scope, "requestAnimationFrame").is_function()
            && scope
                .request_animation_frame(on_frame.as_ref().unchecked_ref())
                .is_ok()
    }
}

impl State {
    fn draw(&self) {
        for picture in self.dirty.take() {
            picture.draw();
            if let Some(on_first) = self.on_first.take() {
                on_first();
            }
        }
    }
}
