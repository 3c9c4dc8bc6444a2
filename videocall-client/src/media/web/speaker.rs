//! The engine's half of the loudspeaker: a queue per track in the worklet that mixes them all
//! (`audio-worklet.js` says what the two tell each other). The page's half is [`super::loudspeaker`].

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use js_sys::{Array, Float32Array, Float64Array, Object, SharedArrayBuffer};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, MessagePort};

use super::js::{self, Listener};
use super::shared_memory::SharedMemory;
use crate::audio::DeviceQueue;
use crate::media::parameters::AUDIO_SAMPLE_RATE;
use crate::media::ring::{RINGS, RingWriter};
use crate::transport::web::WebClock;
use videocall_types::Timestamp;

/// Numbers per track in a report of the worklet.
const REPORT_FIELDS: usize = 4;

/// What comes back to a queue's owner.
pub(super) trait QueueOwner {
    /// The device has played on: it may need more.
    fn played_on(&self);
}

/// The loudspeaker of a call. Clones are handles to the same one.
#[derive(Clone, Default)]
pub(crate) struct Speaker(Rc<State>);

#[derive(Default)]
struct State {
    output: RefCell<Option<Output>>,
    queues: RefCell<HashMap<u32, Weak<Queue>>>,
    next_id: Cell<u32>,
    /// From the worklet's output to the ear, as the page has told.
    latency: Cell<Duration>,
}

struct Output {
    port: MessagePort,
    /// Memory for rings, and which of them are free; used again as late as possible.
    memory: Option<SharedArrayBuffer>,
    free: RefCell<VecDeque<u32>>,
    _reports: Listener,
}

impl Output {
    fn way(&self) -> Way {
        let ring = self.memory.as_ref().and_then(|memory| {
            let number = self.free.borrow_mut().pop_front()?;
            Some((number, SharedMemory::new(memory, number)?))
        });
        match ring {
            Some((number, memory)) => Way::Shared(number, RingWriter::new(memory)),
            None => Way::Posted(Posted::default()),
        }
    }
}

impl Speaker {
    /// Plays through this port from now on, and through the memory if there is one.
    pub(crate) fn connect(&self, port: MessagePort, memory: Option<SharedArrayBuffer>) {
        let state = Rc::downgrade(&self.0);
        let reports = Listener::new(&port, "message", move |event| {
            if let (Some(state), Some(event)) = (state.upgrade(), event.dyn_ref::<MessageEvent>()) {
                state.pass_on(&event.data());
            }
        });
        port.start();
        let output = Output {
            port,
            memory,
            free: RefCell::new((0..RINGS).collect()),
            _reports: reports,
        };
        for queue in self.0.queues() {
            queue.open(&output);
        }
        self.0.output.replace(Some(output));
    }

    /// How long it takes from the worklet's output to the ear.
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.0.latency.set(latency);
    }

    /// The same, zero as long as nothing is known.
    pub(crate) fn latency(&self) -> Duration {
        self.0.latency.get()
    }

    /// A queue for a track, whose owner is woken as it is played.
    pub(super) fn queue<T: QueueOwner + 'static>(&self, owner: &Weak<T>) -> SpeakerQueue {
        let id = self.0.next_id.get();
        self.0.next_id.set(id.wrapping_add(1));
        let owner: Weak<dyn QueueOwner> = owner.clone();
        let queue = Rc::new(Queue {
            id,
            owner,
            way: OnceCell::new(),
        });
        self.0.queues.borrow_mut().insert(id, Rc::downgrade(&queue));
        if let Some(output) = self.0.output.borrow().as_ref() {
            queue.open(output);
        }
        SpeakerQueue {
            queue,
            speaker: self.clone(),
        }
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
        let now = WebClock::now();
        for numbers in numbers.chunks_exact(REPORT_FIELDS) {
            let queue = self
                .queues
                .borrow()
                .get(&(numbers[0] as u32))
                .and_then(Weak::upgrade);
            if let Some(Way::Posted(posted)) = queue.as_ref().and_then(|queue| queue.way.get()) {
                posted.report.set(Report {
                    queued: numbers[1] as u64,
                    received: numbers[2] as u64,
                    missed: numbers[3] as u64,
                    at: now,
                });
            }
        }
        for queue in self.queues() {
            if let Some(owner) = queue.owner.upgrade() {
                owner.played_on();
            }
        }
    }

    /// All of them; owners may open and close queues meanwhile.
    fn queues(&self) -> Vec<Rc<Queue>> {
        self.queues.borrow().values().filter_map(Weak::upgrade).collect()
    }
}

struct Queue {
    id: u32,
    owner: Weak<dyn QueueOwner>,
    /// As soon as there is a loudspeaker.
    way: OnceCell<Way>,
}

/// How samples get to the audio thread.
enum Way {
    /// In the ring with this number.
    Shared(u32, RingWriter<SharedMemory>),
    Posted(Posted),
}

#[derive(Default)]
struct Posted {
    report: Cell<Report>,
    /// Samples posted so far.
    pushed: Cell<u64>,
}

/// What the worklet says of one track.
#[derive(Clone, Copy, Debug, Default)]
struct Report {
    /// Samples that are queued.
    queued: u64,
    /// Samples that it has got so far.
    received: u64,
    /// Samples that were not there when they were to be played, so far.
    missed: u64,
    at: Timestamp,
}

impl Queue {
    fn open(&self, output: &Output) {
        let message = Object::new();
        js::set(&message, "open", &self.id.into());
        if let Way::Shared(number, ring) = self.way.get_or_init(|| output.way()) {
            js::set(&message, "ring", &(*number).into());
            js::set(&message, "position", &ring.position().cast_signed().into());
        }
        // Fails only for what cannot be cloned.
        output.port.post_message(&message).ok();
    }

    fn push(&self, samples: &[f32], port: &MessagePort) {
        match self.way.get() {
            None => {}
            Some(Way::Shared(_, ring)) => {
                ring.push(samples);
            }
            Some(Way::Posted(posted)) => {
                let samples = Float32Array::from(samples);
                let message = Object::new();
                js::set(&message, "id", &self.id.into());
                js::set(&message, "samples", &samples);
                posted
                    .pushed
                    .set(posted.pushed.get() + u64::from(samples.length()));
                // Fails only for what cannot be cloned.
                port.post_message_with_transferable(&message, &Array::of1(&samples.buffer()))
                    .ok();
            }
        }
    }

    /// `None` as long as there is no loudspeaker.
    fn state(&self, now: Timestamp) -> Option<DeviceQueue> {
        self.way.get().map(|way| match way {
            Way::Shared(_, ring) => DeviceQueue {
                queued: ring.queued().into(),
                missed: ring.missed().into(),
            },
            Way::Posted(posted) => posted.state(now),
        })
    }
}

impl Posted {
    fn state(&self, now: Timestamp) -> DeviceQueue {
        let report = self.report.get();
        let played = now.since(report.at).as_micros() * u128::from(AUDIO_SAMPLE_RATE) / 1_000_000;
        let queued = report
            .queued
            .saturating_sub(u64::try_from(played).unwrap_or(u64::MAX));
        DeviceQueue {
            queued: queued + self.pushed.get().saturating_sub(report.received),
            missed: report.missed,
        }
    }
}

/// What one track has queued for the loudspeaker. Dropping it ends the track's sound.
pub(super) struct SpeakerQueue {
    queue: Rc<Queue>,
    speaker: Speaker,
}

impl SpeakerQueue {
    /// Queues samples, if there is a loudspeaker.
    pub(super) fn push(&self, samples: &[f32]) {
        if let Some(output) = self.speaker.0.output.borrow().as_ref() {
            self.queue.push(samples, &output.port);
        }
    }

    /// What is about to be played; `None` as long as there is no loudspeaker.
    pub(super) fn state(&self, now: Timestamp) -> Option<DeviceQueue> {
        let is_open = self.speaker.0.output.borrow().is_some();
        is_open.then(|| self.queue.state(now)).flatten()
    }

    /// How long it takes from the end of the queue to the ear.
    pub(super) fn latency(&self) -> Duration {
        self.speaker.latency()
    }

    /// Whether samples pass through shared memory.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.queue.way.get(), Some(Way::Shared(..)))
    }

    /// Nothing is to be played for now, and nothing is missing.
    pub(super) fn set_idle(&self) {
        match self.queue.way.get() {
            Some(Way::Shared(_, ring)) => ring.rest(),
            Some(Way::Posted(_)) => self.tell("idle"),
            None => {}
        }
    }

    fn tell(&self, what: &str) {
        if let Some(output) = self.speaker.0.output.borrow().as_ref() {
            let message = Object::new();
            js::set(&message, what, &self.queue.id.into());
            // Fails only for what cannot be cloned.
            output.port.post_message(&message).ok();
        }
    }
}

impl Drop for SpeakerQueue {
    fn drop(&mut self) {
        self.speaker.0.queues.borrow_mut().remove(&self.queue.id);
        self.tell("close");
        if let Some(Way::Shared(number, _)) = self.queue.way.get()
            && let Some(output) = self.speaker.0.output.borrow().as_ref()
        {
            output.free.borrow_mut().push_back(*number);
        }
    }
}
