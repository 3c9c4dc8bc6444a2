//! The engine's half of the loudspeaker: a queue per track in the worklet that mixes them all
//! (`audio-worklet.js` says what the two tell each other). The page's half is [`super::loudspeaker`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use js_sys::{Array, Float32Array, Float64Array, Object};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, MessagePort};

use super::js::{self, Listener};

/// Numbers per track in a report of the worklet.
const REPORT_FIELDS: usize = 4;

/// What the worklet says of one track.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueReport {
    /// Samples that are queued.
    pub(super) queued: u64,
    /// Samples that it has got so far.
    pub(super) received: u64,
    /// Samples that were not there when they were to be played, so far.
    pub(super) missed: u64,
}

/// Listens to what the worklet says of a track.
pub(super) trait QueueOwner {
    fn report(&self, report: QueueReport);
}

/// The loudspeaker of a call. Clones are handles to the same one.
#[derive(Clone, Default)]
pub(crate) struct Speaker(Rc<State>);

#[derive(Default)]
struct State {
    output: RefCell<Option<Output>>,
    owners: RefCell<HashMap<u32, Weak<dyn QueueOwner>>>,
    next_id: Cell<u32>,
}

struct Output {
    port: MessagePort,
    _reports: Listener,
}

impl Speaker {
    /// Plays through this port from now on.
    pub(crate) fn connect(&self, port: MessagePort) {
        let state = Rc::downgrade(&self.0);
        let reports = Listener::new(&port, "message", move |event| {
            if let (Some(state), Some(event)) = (state.upgrade(), event.dyn_ref::<MessageEvent>()) {
                state.pass_on(&event.data());
            }
        });
        port.start();
        for &id in self.0.owners.borrow().keys() {
            post(&port, "open", id);
        }
        self.0.output.replace(Some(Output {
            port,
            _reports: reports,
        }));
    }

    /// A queue for a track, whose owner hears of its state.
    pub(super) fn queue<T: QueueOwner + 'static>(&self, owner: &Weak<T>) -> SpeakerQueue {
        let id = self.0.next_id.get();
        self.0.next_id.set(id.wrapping_add(1));
        let owner: Weak<dyn QueueOwner> = owner.clone();
        self.0.owners.borrow_mut().insert(id, owner);
        let queue = SpeakerQueue {
            id,
            speaker: self.clone(),
        };
        queue.tell("open");
        queue
    }

    /// Ends all sound.
    pub(crate) fn close(&self) {
        self.0.output.take();
    }
}

impl State {
    fn pass_on(&self, data: &JsValue) {
        let Some(numbers) = data.dyn_ref::<Float64Array>().map(Float64Array::to_vec) else {
            return;
        };
        for numbers in numbers.chunks_exact(REPORT_FIELDS) {
            let owner = self
                .owners
                .borrow()
                .get(&(numbers[0] as u32))
                .and_then(Weak::upgrade);
            if let Some(owner) = owner {
                owner.report(QueueReport {
                    queued: numbers[1] as u64,
                    received: numbers[2] as u64,
                    missed: numbers[3] as u64,
                });
            }
        }
    }
}

/// What one track has queued for the loudspeaker. Dropping it ends the track's sound.
pub(super) struct SpeakerQueue {
    id: u32,
    speaker: Speaker,
}

impl SpeakerQueue {
    /// Queues samples. False: there is no loudspeaker yet.
    pub(super) fn push(&self, samples: &[f32]) -> bool {
        let output = self.speaker.0.output.borrow();
        let Some(output) = output.as_ref() else {
            return false;
        };
        let samples = Float32Array::from(samples);
        let message = Object::new();
        js::set(&message, "id", &self.id.into());
        js::set(&message, "samples", &samples);
        // Fails only for what cannot be cloned.
        output
            .port
            .post_message_with_transferable(&message, &Array::of1(&samples.buffer()))
            .is_ok()
    }

    /// Whether there is a loudspeaker already.
    pub(super) fn is_open(&self) -> bool {
        self.speaker.0.output.borrow().is_some()
    }

    /// Nothing is to be played for now, and nothing is missing.
    pub(super) fn set_idle(&self) {
        self.tell("idle");
    }

    fn tell(&self, what: &str) {
        if let Some(output) = self.speaker.0.output.borrow().as_ref() {
            post(&output.port, what, self.id);
        }
    }
}

impl Drop for SpeakerQueue {
    fn drop(&mut self) {
        self.speaker.0.owners.borrow_mut().remove(&self.id);
        self.tell("close");
    }
}

fn post(port: &MessagePort, what: &str, id: u32) {
    let message = Object::new();
    js::set(&message, what, &id.into());
    // Fails only for what cannot be cloned.
    port.post_message(&message).ok();
}
