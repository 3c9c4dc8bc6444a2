//! Shows decoded pictures on what a page has handed over, at once: a display shows the newest with its next refresh.
//! On a canvas no more than one is drawn per refresh, because more would be work that nobody sees.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{DedicatedWorkerGlobalScope, VideoFrame};

use super::canvas::{self, Drawing};
use super::guard::Guard;
use super::js;
use super::surface::{Surface, VideoTarget};

/// Where one track is shown.
#[derive(Default)]
pub(super) struct Picture {
    target: RefCell<Option<Target>>,
    /// The newest picture for a canvas that was not drawn. While the page is hidden none is, and each replaces the one
    /// before.
    pending: RefCell<Option<Guard<VideoFrame>>>,
}

enum Target {
    Canvas(canvas::Target),
    Video(VideoTarget),
}

impl Target {
    /// `None` when it cannot be drawn on.
    fn new(surface: Surface, drawing: &Rc<Drawing>) -> Option<Self> {
        match surface {
            Surface::Canvas(canvas) => canvas::Target::new(canvas, drawing).map(Self::Canvas),
            Surface::Video(writer) => Some(Self::Video(VideoTarget::new(writer))),
        }
    }

    fn is(&self, surface: &Surface) -> bool {
        match (self, surface) {
            (Self::Canvas(target), Surface::Canvas(canvas)) => target.is(canvas),
            (Self::Video(target), Surface::Video(writer)) => target.is(writer),
            _ => false,
        }
    }
}

impl Picture {
    /// Whether somebody looks at it.
    pub(super) fn has_surface(&self) -> bool {
        self.target.borrow().is_some()
    }

    /// Whether it is shown on this very surface.
    pub(super) fn is_on(&self, surface: &Surface) -> bool {
        self.target
            .borrow()
            .as_ref()
            .is_some_and(|target| target.is(surface))
    }

    fn draw(&self) {
        let pending = self.pending.take();
        if let (Some(Target::Canvas(target)), Some(frame)) = (self.target.borrow().as_ref(), pending) {
            target.draw(frame);
        }
    }
}

/// Shows the pictures of all tracks.
#[derive(Clone)]
pub(crate) struct Painter(Rc<State>);

struct State {
    /// Pictures that were drawn on canvases since the display's last refresh.
    drawn: RefCell<Vec<Rc<Picture>>>,
    scheduled: Cell<bool>,
    on_refresh: RefCell<Option<Closure<dyn FnMut()>>>,
    /// To be told when something was shown for the first time.
    on_first: RefCell<Option<Box<dyn FnOnce()>>>,
    drawing: Rc<Drawing>,
}

impl Painter {
    /// `on_first` is called when the first picture of all was shown.
    pub(crate) fn new(on_first: impl FnOnce() + 'static) -> Self {
        let state = Rc::new(State {
            drawn: RefCell::default(),
            scheduled: Cell::new(false),
            on_refresh: RefCell::default(),
            on_first: RefCell::new(Some(Box::new(on_first))),
            drawing: Rc::default(),
        });
        let weak = Rc::downgrade(&state);
        let on_refresh = Closure::<dyn FnMut()>::new(move || {
            if let Some(state) = weak.upgrade() {
                state.refresh();
            }
        });
        state.on_refresh.replace(Some(on_refresh));
        Self(state)
    }

    /// Shows a track here from now on; nowhere when `surface` is none or cannot be drawn on.
    pub(super) fn set_surface(&self, picture: &Picture, surface: Option<Surface>) {
        let target = surface.and_then(|surface| Target::new(surface, &self.0.drawing));
        picture.target.replace(target);
        picture.pending.take();
    }

    /// Shows a picture next, instead of what was to be shown.
    pub(super) fn show(&self, picture: &Rc<Picture>, frame: Guard<VideoFrame>) {
        if let Some(Target::Video(target)) = picture.target.borrow().as_ref() {
            target.show(frame);
        } else {
            picture.pending.replace(Some(frame));
            self.0.draw_unless_drawn(picture);
        }
        if let Some(on_first) = self.0.on_first.take() {
            on_first();
        }
    }
}

impl State {
    fn draw_unless_drawn(&self, picture: &Rc<Picture>) {
        if self.drawn.borrow().iter().any(|drawn| Rc::ptr_eq(drawn, picture)) {
            return;
        }
        picture.draw();
        if self.schedule() {
            self.drawn.borrow_mut().push(picture.clone());
        }
    }

    /// The display was refreshed: what came meanwhile is for the next time.
    fn refresh(&self) {
        self.scheduled.set(false);
        let mut drawn = self.drawn.take();
        drawn.retain(|picture| picture.pending.borrow().is_some());
        for picture in &drawn {
            picture.draw();
        }
        if !drawn.is_empty() && self.schedule() {
            self.drawn.replace(drawn);
        }
    }

    /// Hears of the display's next refresh; false where workers hear nothing of them.
    fn schedule(&self) -> bool {
        if self.scheduled.get() {
            return true;
        }
        let on_refresh = self.on_refresh.borrow();
        let Some(on_refresh) = on_refresh.as_ref() else {
            return false;
        };
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        let scheduled = js::get(&scope, "requestAnimationFrame").is_function()
            && scope
                .request_animation_frame(on_refresh.as_ref().unchecked_ref())
                .is_ok();
        self.scheduled.set(scheduled);
        scheduled
    }
}
