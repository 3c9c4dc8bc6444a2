//! Draws decoded pictures on canvases, all of them in one animation frame: the newest of each, and only as
//! often as the display shows one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, VideoFrame};

use super::js;
use super::track_reader::Guard;

/// Larger pictures are drawn smaller: beyond this, browsers refuse canvases or run out of memory.
const MAX_SIDE: u32 = 4096;

/// Where one track is drawn.
#[derive(Default)]
pub(super) struct Picture {
    target: RefCell<Option<Target>>,
    /// The newest picture that was not drawn; while the page is hidden none is, and each replaces the one
    /// before.
    pending: RefCell<Option<Guard<VideoFrame>>>,
    drawn: Cell<u64>,
}

struct Target {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
}

impl Picture {
    /// Draws here from now on; nowhere when `canvas` is none or cannot be drawn on.
    pub(super) fn set_canvas(&self, canvas: Option<HtmlCanvasElement>) {
        let target = canvas.and_then(|canvas| {
            let context = canvas.get_context("2d").ok().flatten()?;
            let context = context.dyn_into().ok()?;
            Some(Target { canvas, context })
        });
        self.target.replace(target);
        self.pending.take();
    }

    /// Whether somebody looks at it.
    pub(super) fn has_canvas(&self) -> bool {
        self.target.borrow().is_some()
    }

    /// Whether it is drawn on this very canvas.
    pub(super) fn is_on(&self, canvas: &HtmlCanvasElement) -> bool {
        self.target
            .borrow()
            .as_ref()
            .is_some_and(|target| target.canvas == *canvas)
    }

    fn draw(&self) {
        let Some(frame) = self.pending.take() else { return };
        if let Some(target) = self.target.borrow().as_ref() {
            // Fails when the picture was lost with the graphics process; the next one is on its way.
            target.draw(&frame).ok();
            self.drawn.set(self.drawn.get() + 1);
        }
    }
}

impl Target {
    fn draw(&self, frame: &VideoFrame) -> Result<(), JsValue> {
        let (width, height) = bounded(frame.display_width(), frame.display_height());
        if self.canvas.width() != width {
            self.canvas.set_width(width);
        }
        if self.canvas.height() != height {
            self.canvas.set_height(height);
        }
        self.context.draw_image_with_video_frame_and_dw_and_dh(
            frame,
            0.0,
            0.0,
            f64::from(width),
            f64::from(height),
        )
    }
}

fn bounded(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= MAX_SIDE {
        return (width, height);
    }
    let scale = |side: u32| (u64::from(side) * u64::from(MAX_SIDE) / u64::from(longest)).max(1) as u32;
    (scale(width), scale(height))
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
}

impl Painter {
    /// `on_first` is called when the first picture of all was drawn.
    pub(crate) fn new(on_first: impl FnOnce() + 'static) -> Self {
        let state = Rc::new(State {
            dirty: RefCell::default(),
            scheduled: Cell::new(false),
            on_frame: RefCell::default(),
            on_first: RefCell::new(Some(Box::new(on_first))),
        });
        let weak = Rc::downgrade(&state);
        let on_frame = Closure::<dyn FnMut()>::new(move || {
            if let Some(state) = weak.upgrade() {
                state.scheduled.set(false);
                for picture in state.dirty.take() {
                    picture.draw();
                    if let Some(on_first) = state.on_first.take() {
                        on_first();
                    }
                }
            }
        });
        state.on_frame.replace(Some(on_frame));
        Self(state)
    }

    /// Shows a picture next, instead of what was to be shown.
    pub(super) fn show(&self, picture: &Rc<Picture>, frame: Guard<VideoFrame>) {
        if picture.pending.replace(Some(frame)).is_none() {
            let mut dirty = self.0.dirty.borrow_mut();
            if !dirty.iter().any(|queued| Rc::ptr_eq(queued, picture)) {
                dirty.push(picture.clone());
            }
        }
        if !self.0.scheduled.replace(true) {
            self.schedule();
        }
    }

    fn schedule(&self) {
        let on_frame = self.0.on_frame.borrow();
        if let (Some(window), Some(on_frame)) = (js::window(), on_frame.as_ref()) {
            // Fails in no window that has a document.
            window
                .request_animation_frame(on_frame.as_ref().unchecked_ref())
                .ok();
        }
    }
}
