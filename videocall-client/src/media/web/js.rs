//! Small things every browser module needs: listeners that end with their owner, properties,
//! readable errors.

use js_sys::{Function, Object, Reflect, Uint8Array};
use wasm_bindgen::closure::{Closure, WasmClosure};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Event, EventTarget};

pub(crate) fn window() -> Option<web_sys::Window> {
    web_sys::window()
}

/// Sets a property for which the bindings have no setter, or one of another type.
pub(crate) fn set(object: &JsValue, name: &str, value: &JsValue) {
    // Fails on frozen objects and non-objects only, and these are made two lines further up.
    Reflect::set(object, &name.into(), value).ok();
}

/// A property, `undefined` when it is not there.
pub(crate) fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

/// A constraint that may be missed.
pub(crate) fn ideal(value: u32) -> JsValue {
    let ideal = Object::new();
    set(&ideal, "ideal", &value.into());
    ideal.into()
}

/// An exception in words, for logs and for people when nothing better is known.
pub(crate) fn describe(value: &JsValue) -> String {
    if let Some(text) = value.as_string() {
        return text;
    }
    // DOMException is no Error to `instanceof` across realms, but both have a message.
    match get(value, "message").as_string() {
        Some(message) if !message.is_empty() => message,
        _ => format!("{value:?}"),
    }
}

/// The bytes of a chunk that a stream of bytes or datagrams delivered.
pub(crate) fn chunk_bytes(value: &JsValue) -> Option<Vec<u8>> {
    value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec)
}

/// A function that is the browser's to keep: it can be called as long as the browser has it. For those of codecs, which
/// Firefox calls with what is still on its way after a codec was closed.
pub(crate) fn function<T: WasmClosure + ?Sized>(closure: Closure<T>) -> Function {
    closure.into_js_value().unchecked_into()
}

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    target: EventTarget,
    name: &'static str,
    callback: Closure<dyn FnMut(Event)>,
}

impl Listener {
    pub(crate) fn new(
        target: &EventTarget,
        name: &'static str,
        callback: impl FnMut(Event) + 'static,
    ) -> Self {
        let callback = Closure::<dyn FnMut(Event)>::new(callback);
        // Fails only on values that are no event targets, which the type excludes.
        target
            .add_event_listener_with_callback(name, callback.as_ref().unchecked_ref())
            .ok();
        Self {
            target: target.clone(),
            name,
            callback,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.target
            .remove_event_listener_with_callback(self.name, self.callback.as_ref().unchecked_ref())
            .ok();
    }
}

/// Lets go of a promise whose outcome does not matter, so that its failure is not reported as
/// unhandled.
pub(crate) fn ignore(promise: js_sys::Promise) {
    wasm_bindgen_futures::spawn_local(async move {
        wasm_bindgen_futures::JsFuture::from(promise).await.ok();
    });
}
