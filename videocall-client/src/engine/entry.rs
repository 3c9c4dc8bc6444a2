//! How a worker becomes the engine of a call, and how its page hears that it cannot go on.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::{DedicatedWorkerGlobalScope, MessagePort};

use super::session::Engine;
use crate::bridge::messages::{FromEngine, ToEngine};
use crate::bridge::port::{Listening, Port};

/// Whether this is a worker. The program's `main` runs there too, when the engine's worker loads the module; it
/// must then do nothing.
pub fn is_here() -> bool {
    js_sys::global().is_instance_of::<DedicatedWorkerGlobalScope>()
}

/// Runs a call that the page at the other end of this port starts. For `engine-worker.js` alone.
#[wasm_bindgen]
pub fn videocall_engine(port: MessagePort) {
    let page = Port::new(port);
    report_panics(page.clone());
    let host = Rc::new(Host {
        page: page.clone(),
        engine: OnceCell::new(),
        listening: RefCell::default(),
    });
    let listening = page.listen({
        let host = host.clone();
        move |message| match message {
            Ok((message, objects)) => host.hear(message, objects),
            Err(reason) => host.page.post(&FromEngine::Broken(reason)),
        }
    });
    // As long as the worker lives.
    host.listening.replace(Some(listening));
}

/// A panic ends the module; its page is told why, besides the console.
fn report_panics(page: Port<FromEngine>) {
    thread_local! {
        static PAGE: OnceCell<Port<FromEngine>> = const { OnceCell::new() };
    }
    PAGE.with(|cell| cell.set(page).ok());
    let log = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        log(info);
        PAGE.with(|cell| {
            if let Some(page) = cell.get() {
                page.post(&FromEngine::Broken(info.to_string()));
            }
        });
    }));
}

/// This worker: the way to its page, and the call as soon as the page has started it.
struct Host {
    page: Port<FromEngine>,
    engine: OnceCell<Rc<Engine>>,
    listening: RefCell<Option<Listening>>,
}

impl Host {
    fn hear(&self, message: ToEngine, objects: Vec<JsValue>) {
        let taken = match (message, self.engine.get()) {
            (ToEngine::Start(start), None) => {
                let engine = Engine::start(self.page.clone(), *start);
                self.engine
                    .set(engine)
                    .map_err(|_| "two calls in one worker".to_owned())
            }
            (message, Some(engine)) => engine.hear(message, objects),
            (_, None) => Err("no call was started".to_owned()),
        };
        if let Err(reason) = taken {
            self.page.post(&FromEngine::Broken(reason));
        }
    }
}
