//! Keeps the screen on while nobody touches it: a call is watched, not typed at.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::events::EventListener;
use gloo::utils::document;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{WakeLockSentinel, WakeLockType};
use yew::prelude::*;

/// Keeps the screen on until the component goes. Where the browser cannot or will not, the screen goes off as usual.
#[hook]
pub(crate) fn use_wake_lock() {
    use_effect_with((), |()| {
        let held = Rc::new(Held::default());
        held.clone().ask();
        // The browser lets go whenever the page is hidden (W3C Screen Wake Lock §5.2).
        let again = {
            let held = held.clone();
            EventListener::new(&document(), "visibilitychange", move |_| {
                if !document().hidden() {
                    held.clone().ask();
                }
            })
        };
        move || {
            drop(again);
            held.end();
        }
    });
}

#[derive(Default)]
struct Held {
    over: Cell<bool>,
    lock: RefCell<Option<WakeLockSentinel>>,
}

impl Held {
    fn ask(self: Rc<Self>) {
        let navigator = gloo::utils::window().navigator();
        // Not there on insecure pages and in older browsers; the binding would hand out `undefined`.
        if !js_sys::Reflect::has(&navigator, &"wakeLock".into()).unwrap_or(false) {
            return;
        }
        let asked = navigator.wake_lock().request(WakeLockType::Screen);
        spawn_local(async move {
            let Ok(lock) = JsFuture::from(asked).await else {
                return;
            };
            *self.lock.borrow_mut() = Some(lock.unchecked_into());
            if self.over.get() {
                self.end();
            }
        });
    }

    fn end(&self) {
        self.over.set(true);
        if let Some(lock) = self.lock.take() {
            let released = lock.release();
            spawn_local(async move {
                JsFuture::from(released).await.ok();
            });
        }
    }
}
