//! Starts the worker in which the engine of a call runs, on the page's own WebAssembly module.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, JsString, Object};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::{ErrorEvent, MessageChannel, MessageEvent, MessagePort, Worker, WorkerOptions, WorkerType};

use crate::media::web::js::{self, Listener};

#[wasm_bindgen]
extern "C" {
    type ImportMeta;

    /// Where the module's JavaScript came from, which the worker loads once more.
    #[wasm_bindgen(method, getter)]
    fn url(this: &ImportMeta) -> JsString;

    #[wasm_bindgen(thread_local_v2, js_namespace = import, js_name = meta)]
    static IMPORT_META: ImportMeta;
}

/// A worker that is ready, or about to be, to run the engine of one call. Clones are handles to the same one.
///
/// Starting one takes some time, in which nothing is asked of the person or the network: a page that starts it
/// before Join is pressed saves that time. A call that was given none starts its own. When the last handle is
/// dropped and no call runs in it, the worker ends.
#[derive(Clone, Debug)]
pub struct Engine(Rc<Running>);

/// Two handles are equal when they belong to the same worker.
impl PartialEq for Engine {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Debug)]
struct Running {
    /// Absent when it could not be started.
    worker: Option<Worker>,
    port: MessagePort,
    /// A call uses it, or has.
    taken: Cell<bool>,
    faults: Rc<Faults>,
    /// The worker has said that it can read pictures of a track.
    reads_tracks: Rc<Cell<bool>>,
    _listeners: Vec<Listener>,
}

/// What went wrong before somebody listens, and who does.
#[derive(Default)]
struct Faults {
    first: RefCell<Option<String>>,
    listener: RefCell<Option<Told>>,
}

/// Hears why the worker cannot go on.
type Told = Box<dyn Fn(String)>;

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults")
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts a worker. `url` is where the page serves `engine-worker.js`. What goes wrong is told to the call.
    pub fn start(url: &str) -> Self {
        let channel = MessageChannel::new().expect("it throws nothing (HTML §9.4.2)");
        let (faults, reads_tracks) = (Rc::<Faults>::default(), Rc::<Cell<bool>>::default());
        let (worker, listeners) = match launch(url, &channel.port2()) {
            Ok(worker) => {
                let listeners = listen(&worker, &faults, &reads_tracks);
                (Some(worker), listeners)
            }
            Err(error) => {
                faults.add(js::describe(&error));
                (None, Vec::new())
            }
        };
        Self(Rc::new(Running {
            worker,
            port: channel.port1(),
            taken: Cell::new(false),
            faults,
            reads_tracks,
            _listeners: listeners,
        }))
    }

    /// Takes it for a call, unless there was one in it or it has failed: another try may do better.
    pub(super) fn take(self) -> Option<Self> {
        let is_good = !self.0.taken.replace(true) && self.0.faults.first.borrow().is_none();
        is_good.then_some(self)
    }

    /// The way to the worker. What is posted before it runs waits for it.
    pub(super) fn port(&self) -> MessagePort {
        self.0.port.clone()
    }

    /// Whether the worker itself can read the pictures of a track; false until it has said so.
    pub(super) fn reads_tracks(&self) -> bool {
        self.0.reads_tracks.get()
    }

    /// Hears, once, why the worker cannot go on: its script cannot be loaded, or nothing in it has caught an
    /// exception.
    pub(super) fn on_fault(&self, listener: impl Fn(String) + 'static) {
        self.0.faults.listener.replace(Some(Box::new(listener)));
        self.0.faults.tell();
    }

    /// Ends the worker at once.
    pub(super) fn end(&self) {
        self.0.faults.listener.take();
        if let Some(worker) = &self.0.worker {
            worker.terminate();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(worker) = &self.worker {
            worker.terminate();
        }
    }
}

impl Faults {
    fn add(&self, reason: String) {
        self.first.borrow_mut().get_or_insert(reason);
        self.tell();
    }

    /// Tells the first fault, once.
    fn tell(&self) {
        let reason = self.first.borrow().clone();
        if let Some(reason) = reason
            && let Some(listener) = self.listener.take()
        {
            listener(reason);
        }
    }
}

/// Starts a worker, and hands it what it needs to become an engine.
fn launch(url: &str, port: &MessagePort) -> Result<Worker, JsValue> {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    options.set_name("videocall engine");
    let worker = Worker::new_with_options(url, &options)?;
    let start = Object::new();
    js::set(&start, "glue", &IMPORT_META.with(ImportMeta::url));
    js::set(&start, "module", &wasm_bindgen::module());
    js::set(&start, "port", port);
    worker.post_message_with_transfer(&start, &Array::of1(port))?;
    Ok(worker)
}

fn listen(worker: &Worker, faults: &Rc<Faults>, reads_tracks: &Rc<Cell<bool>>) -> Vec<Listener> {
    let able = {
        let reads_tracks = reads_tracks.clone();
        Listener::new(worker, "message", move |event| {
            if let Some(event) = event.dyn_ref::<MessageEvent>() {
                reads_tracks.set(event.data().is_truthy());
            }
        })
    };
    let error = {
        let faults = faults.clone();
        Listener::new(worker, "error", move |event| {
            // A script that cannot be loaded is told of without a message.
            let message = event.dyn_ref::<ErrorEvent>().map(ErrorEvent::message);
            let message = message.filter(|message| !message.is_empty());
            faults.add(message.unwrap_or_else(|| "its script cannot be loaded".to_owned()));
        })
    };
    let faults = faults.clone();
    let unreadable = Listener::new(worker, "messageerror", move |_| {
        faults.add("what it needs could not be handed over".to_owned());
    });
    vec![able, error, unreadable]
}
