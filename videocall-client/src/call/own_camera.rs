//! What the camera is asked for while it is open: as much as is encoded of its pictures, which the engine says, or as
//! the own picture shows of them, which the page knows.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use videocall_types::fills;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlVideoElement, MediaStreamTrack, ResizeObserver};

use crate::media::camera_size::CameraSize;
use crate::media::parameters::CAMERA;
use crate::media::web::devices;
use crate::media::web::js;

/// The camera's size and the own picture's.
pub(super) struct OwnCamera {
    state: Rc<State>,
    observer: Option<ResizeObserver>,
    _on_resize: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct State {
    /// Where the own picture is shown.
    view: RefCell<Option<HtmlVideoElement>>,
    /// In use, if what it is asked for changes what the engine gets.
    camera: RefCell<Option<Camera>>,
    /// A question is with the browser.
    asking: Cell<bool>,
}

struct Camera {
    track: MediaStreamTrack,
    /// Pixels of its pictures when it was opened.
    full: (u32, u32),
    /// What is encoded of them at most; all without.
    encoded: Option<CameraSize>,
    /// What it is to give, and what it was asked for last; all without.
    wanted: Option<CameraSize>,
    asked: Option<CameraSize>,
}

impl OwnCamera {
    pub(super) fn new() -> Self {
        let state = Rc::<State>::default();
        let on_resize = Closure::<dyn FnMut()>::new({
            let state = state.clone();
            move || state.view_resized()
        });
        Self {
            observer: ResizeObserver::new(on_resize.as_ref().unchecked_ref()).ok(),
            state,
            _on_resize: on_resize,
        }
    }

    /// The own picture is shown here.
    pub(super) fn show_in(&self, view: &HtmlVideoElement) {
        if let Some(observer) = &self.observer {
            observer.disconnect();
            observer.observe(view);
        }
        self.state.view.replace(Some(view.clone()));
    }

    /// This camera is in use, or none is any more. One that has just been opened gives all it has.
    pub(super) fn set(&self, track: Option<&MediaStreamTrack>) {
        if self.state.camera.borrow().as_ref().map(|camera| &camera.track) == track {
            return;
        }
        let camera = track.map(|track| {
            let settings = track.get_settings();
            let side = |side: Option<i32>| side.and_then(|side| u32::try_from(side).ok()).unwrap_or(0);
            Camera {
                // Not `track.clone()`, which is the browser's and makes another track.
                track: Clone::clone(track),
                full: (side(settings.get_width()), side(settings.get_height())),
                encoded: None,
                wanted: None,
                asked: None,
            }
        });
        self.state.camera.replace(camera);
    }

    /// So much of its pictures is encoded at most; all without.
    pub(super) fn set_encoded(&self, size: Option<CameraSize>) {
        let shown = self.state.shown();
        if let Some(camera) = self.state.camera.borrow_mut().as_mut() {
            camera.encoded = size;
            camera.wanted = camera.enough_for(shown);
        }
        self.state.ask();
    }
}

impl Drop for OwnCamera {
    fn drop(&mut self) {
        if let Some(observer) = &self.observer {
            observer.disconnect();
        }
    }
}

impl State {
    /// Pixels of the display that the own picture takes.
    fn shown(&self) -> (u32, u32) {
        let scale = js::window().map_or(1.0, |window| window.device_pixel_ratio());
        let view = self.view.borrow();
        let pixels = |length: i32| (f64::from(length) * scale) as u32;
        view.as_ref().map_or((0, 0), |view| {
            (pixels(view.client_width()), pixels(view.client_height()))
        })
    }

    /// One that has become larger has the camera asked for more; for less, with the engine's next word.
    fn view_resized(self: &Rc<Self>) {
        let shown = self.shown();
        if let Some(camera) = self.camera.borrow_mut().as_mut() {
            let enough = camera.enough_for(shown);
            let pixels = |size: Option<CameraSize>| size.map_or(u32::MAX, |size| size.width);
            if pixels(enough) > pixels(camera.wanted) {
                camera.wanted = enough;
            }
        }
        self.ask();
    }

    /// Asks for what is wanted, one question after the other.
    fn ask(self: &Rc<Self>) {
        if self.asking.get() {
            return;
        }
        let state = self.clone();
        spawn_local(async move {
            state.asking.set(true);
            while let Some((track, wanted)) = state.next_question() {
                let constraints = devices::camera_size(wanted);
                if let Ok(answer) = track.apply_constraints_with_constraints(&constraints) {
                    // A camera that refuses stays as it is.
                    JsFuture::from(answer).await.ok();
                }
            }
            state.asking.set(false);
        });
    }

    fn next_question(&self) -> Option<(MediaStreamTrack, Option<CameraSize>)> {
        let mut camera = self.camera.borrow_mut();
        let camera = camera.as_mut().filter(|camera| camera.wanted != camera.asked)?;
        camera.asked = camera.wanted;
        Some((Clone::clone(&camera.track), camera.wanted))
    }
}

impl Camera {
    /// What is enough for what is encoded and for the own picture of this size; all without.
    fn enough_for(&self, shown: (u32, u32)) -> Option<CameraSize> {
        let encoded = self.encoded?;
        let planned = CAMERA.plan(self.full.0, self.full.1);
        let mut sizes = planned.iter().map(|layer| layer.size);
        let enough = sizes.find(|size| size.0 >= encoded.width && fills(*size, shown))?;
        let size = CameraSize {
            width: enough.0,
            height: enough.1,
            ..encoded
        };
        (size.width < self.full.0).then_some(size)
    }
}
