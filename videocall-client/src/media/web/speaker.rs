//! The page's way to the loudspeaker: one audio context and one worklet that mixes all tracks
//! (`audio-worklet.js` says what the two tell each other).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use js_sys::{Array, Float32Array, Float64Array, Object};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AudioContext, AudioContextOptions, AudioContextState, AudioWorkletNode, AudioWorkletNodeOptions,
    MessageEvent, MessagePort,
};

use super::js::{self, Listener};
use crate::media::parameters::AUDIO_SAMPLE_RATE;
use crate::transport::web::sleep;

/// The name under which `audio-worklet.js` registers itself.
const PROCESSOR: &str = "videocall-playout";

/// Between two tries to load the worklet. Without it there is no sound at all, and a server that was down
/// when the call began is soon back.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(8);

/// Tries that fail before the person is told.
const SILENT_TRIES: u32 = 3;

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

/// What a person has to know of the loudspeaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpeakerEvent {
    /// The browser wants a click first.
    Blocked,
    /// There is no sound at all, so far.
    Failed(String),
    /// There is, after a failure.
    Works,
}

/// The loudspeaker of a call. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Speaker(Rc<State>);

struct State {
    context: Option<AudioContext>,
    output: RefCell<Option<Output>>,
    owners: RefCell<HashMap<u32, Weak<dyn QueueOwner>>>,
    next_id: Cell<u32>,
    /// Wait for a click where the browser wants one.
    unblock: RefCell<Vec<Listener>>,
    closed: Cell<bool>,
}

struct Output {
    _node: AudioWorkletNode,
    port: MessagePort,
    _reports: Listener,
}

impl Speaker {
    /// Opens the audio context; to be called while a click is handled.
    pub(crate) fn open(worklet_url: &str, events: impl Fn(SpeakerEvent) + 'static) -> Self {
        let options = AudioContextOptions::new();
        options.set_sample_rate(AUDIO_SAMPLE_RATE as f32);
        options.set_latency_hint(&"interactive".into());
        let (context, failure) = match AudioContext::new_with_context_options(&options) {
            Ok(context) => (Some(context), None),
            Err(error) => (None, Some(js::describe(&error))),
        };
        let speaker = Self(Rc::new(State {
            context: context.clone(),
            output: RefCell::default(),
            owners: RefCell::default(),
            next_id: Cell::new(0),
            unblock: RefCell::default(),
            closed: Cell::new(false),
        }));
        if let Some(Ok(resumed)) = context.as_ref().map(|context| context.resume()) {
            // Stays pending while the browser waits for a click, so nothing waits for it.
            js::ignore(resumed.unchecked_into());
        }
        let (opening, url) = (speaker.clone(), worklet_url.to_owned());
        spawn_local(async move {
            let opened = match (context, failure) {
                (Some(context), _) => {
                    opening.load(&context, &url, &events).await;
                    opening.start(&context, &events)
                }
                (None, failure) => Err(failure.unwrap_or_default().into()),
            };
            if let Err(error) = opened {
                events(SpeakerEvent::Failed(js::describe(&error)));
            }
        });
        speaker
    }

    /// Loads the worklet, until it is there or the call is over.
    async fn load(&self, context: &AudioContext, url: &str, events: &impl Fn(SpeakerEvent)) {
        let mut wait = FIRST_RETRY;
        for tries in 1_u32.. {
            // A browser remembers what it could not load, by its address.
            let retried = if tries > 1 {
                format!("{url}?try={tries}")
            } else {
                url.to_owned()
            };
            let Err(error) = add_module(context, &retried).await else {
                if tries > SILENT_TRIES {
                    events(SpeakerEvent::Works);
                }
                return;
            };
            if tries == SILENT_TRIES {
                events(SpeakerEvent::Failed(js::describe(&error)));
            }
            sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
            if self.0.closed.get() {
                return;
            }
        }
    }

    fn start(&self, context: &AudioContext, events: &impl Fn(SpeakerEvent)) -> Result<(), JsValue> {
        if self.0.closed.get() {
            return Ok(());
        }
        let options = AudioWorkletNodeOptions::new();
        options.set_number_of_inputs(0);
        options.set_output_channel_count(&Array::of1(&1.into()));
        let node = AudioWorkletNode::new_with_options(context, PROCESSOR, &options)?;
        node.connect_with_audio_node(&context.destination())?;
        let port = node.port()?;
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
            _node: node,
            port,
            _reports: reports,
        }));
        if context.state() == AudioContextState::Suspended {
            events(SpeakerEvent::Blocked);
            self.unblock_on_click(context);
        }
        Ok(())
    }

    fn unblock_on_click(&self, context: &AudioContext) {
        let Some(document) = js::window().and_then(|window| window.document()) else {
            return;
        };
        let listeners = ["pointerdown", "keydown"].map(|name| {
            let context = context.clone();
            Listener::new(&document, name, move |_| {
                if context.state() == AudioContextState::Suspended
                    && let Ok(resumed) = context.resume()
                {
                    js::ignore(resumed.unchecked_into());
                }
            })
        });
        self.0.unblock.borrow_mut().extend(listeners);
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
        self.0.closed.set(true);
        self.0.output.take();
        self.0.unblock.take();
        if let Some(Ok(closed)) = self.0.context.as_ref().map(AudioContext::close) {
            js::ignore(closed.unchecked_into());
        }
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

async fn add_module(context: &AudioContext, url: &str) -> Result<(), JsValue> {
    let loading = context.audio_worklet()?.add_module(url)?;
    JsFuture::from(loading).await.map(drop)
}

fn post(port: &MessagePort, what: &str, id: u32) {
    let message = Object::new();
    js::set(&message, what, &id.into());
    // Fails only for what cannot be cloned.
    port.post_message(&message).ok();
}
