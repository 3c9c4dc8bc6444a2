//! `window.videocall.stats()`: the figures of the running call, for tests and support.

use gloo::utils::window;
use js_sys::{JSON, Object, Reflect};
use videocall_client::Call;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

/// The function on the page, as long as this lives.
pub(super) struct Statistics {
    _function: Closure<dyn Fn() -> JsValue>,
}

impl Statistics {
    /// Puts the figures of a call on the page.
    pub(super) fn install(call: Call) -> Self {
        let function = Closure::<dyn Fn() -> JsValue>::new(move || as_object(&call));
        let entry = Object::new();
        Reflect::set(&entry, &"stats".into(), function.as_ref()).ok();
        Reflect::set(&window(), &NAME.into(), &entry).ok();
        Self { _function: function }
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        Reflect::delete_property(&window(), &NAME.into()).ok();
    }
}

const NAME: &str = "videocall";

/// The figures as JSON for people to read and to send.
pub(crate) fn as_json(call: &Call) -> String {
    serde_json::to_string_pretty(&call.stats()).unwrap_or_default()
}

fn as_object(call: &Call) -> JsValue {
    serde_json::to_string(&call.stats())
        .ok()
        .and_then(|json| JSON::parse(&json).ok())
        .unwrap_or(JsValue::NULL)
}
