//! One end of the channel between page and engine. A message is an array: its text, and after it the objects
//! that travel beside it.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use js_sys::{Array, SharedArrayBuffer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, MessagePort};

use super::messages::{decode, encode};
use crate::media::web::js::{self, Listener};

/// An end that sends messages of one kind. Clones are handles to the same one.
#[derive(Debug)]
pub(crate) struct Port<M> {
    port: MessagePort,
    kind: PhantomData<fn(M)>,
}

impl<M> Clone for Port<M> {
    fn clone(&self) -> Self {
        Self {
            port: self.port.clone(),
            kind: PhantomData,
        }
    }
}

/// Listens at an end until it is dropped.
#[derive(Debug)]
pub(crate) struct Listening(#[expect(dead_code, reason = "held for what their drop does")] [Listener; 2]);

impl<M: Serialize> Port<M> {
    pub(crate) const fn new(port: MessagePort) -> Self {
        Self {
            port,
            kind: PhantomData,
        }
    }

    /// Sends a message that needs nothing beside it.
    pub(crate) fn post(&self, message: &M) {
        // Fails only for objects that cannot be handed over.
        self.post_with(message, &[]).ok();
    }

    /// Sends a message with objects, which are handed over: they are of no more use here.
    ///
    /// # Errors
    /// When one of them cannot be handed over.
    pub(crate) fn post_with(&self, message: &M, objects: &[&JsValue]) -> Result<(), JsValue> {
        let text = encode(message).map_err(|error| error.to_string())?;
        let envelope = Array::of1(&text.into());
        let handed_over = Array::new();
        for object in objects {
            envelope.push(object);
            // Texts are copied, and memory is shared.
            if object.is_object() && !object.is_instance_of::<SharedArrayBuffer>() {
                handed_over.push(object);
            }
        }
        self.port.post_message_with_transferable(&envelope, &handed_over)
    }

    /// Hears what the other end says: each message with the objects beside it, or why it cannot be read.
    /// There is one listener; what was said before it waits for it.
    pub(crate) fn listen<R: DeserializeOwned>(
        &self,
        hear: impl FnMut(Result<(R, Vec<JsValue>), String>) + 'static,
    ) -> Listening {
        let hear = Rc::new(RefCell::new(hear));
        let unreadable = {
            let hear = hear.clone();
            Listener::new(&self.port, "messageerror", move |_| {
                (hear.borrow_mut())(Err("a message could not be handed over".to_owned()));
            })
        };
        let readable = Listener::new(&self.port, "message", move |event| {
            if let Some(event) = event.dyn_ref::<MessageEvent>() {
                (hear.borrow_mut())(read(&event.data()));
            }
        });
        self.port.start();
        Listening([readable, unreadable])
    }

    /// Says and hears nothing more.
    pub(crate) fn close(&self) {
        self.port.close();
    }
}

fn read<R: DeserializeOwned>(data: &JsValue) -> Result<(R, Vec<JsValue>), String> {
    let mut envelope = data.dyn_ref::<Array>().ok_or("not an envelope")?.iter();
    let text = envelope.next().and_then(|text| text.as_string());
    let message = decode(&text.unwrap_or_default()).map_err(|error| error.to_string())?;
    Ok((message, envelope.collect()))
}

/// The object that belongs to a message.
///
/// # Errors
/// When it is not there, or is another one.
pub(crate) fn object<T: JsCast>(objects: Vec<JsValue>) -> Result<T, String> {
    let object = objects.into_iter().next().unwrap_or(JsValue::UNDEFINED);
    object
        .dyn_into()
        .map_err(|other| format!("not what belongs to the message: {}", js::describe(&other)))
}
