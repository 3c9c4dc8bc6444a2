//! Copying something, and saying for a while that it was copied.

use gloo::timers::callback::Timeout;
use gloo::utils::window;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use yew::prelude::*;

/// How long it is said: long enough to be read.
const COPIED_MS: u32 = 2500;

/// Whether something was just copied, and what copies a text.
#[hook]
pub(crate) fn use_copy() -> (bool, Callback<String>) {
    let copied = use_state_eq(|| false);
    let timer = use_mut_ref(|| None::<Timeout>);
    let setter = copied.setter();
    let copy = use_callback((), move |text: String, ()| {
        let clipboard = window().navigator().clipboard();
        // Not there on insecure pages; the binding would hand out `undefined`.
        if clipboard.is_undefined() {
            return;
        }
        let writing = clipboard.write_text(&text);
        let (setter, timer) = (setter.clone(), timer.clone());
        spawn_local(async move {
            // Refused: nothing claims that it was copied.
            if JsFuture::from(writing).await.is_ok() {
                setter.set(true);
                *timer.borrow_mut() = Some(Timeout::new(COPIED_MS, move || setter.set(false)));
            }
        });
    });
    (*copied, copy)
}
