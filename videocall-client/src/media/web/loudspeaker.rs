//! The page's half of the loudspeaker: the audio context and the worklet that mixes all tracks. Both need a
//! document; what is played goes from the engine to the worklet directly, through the port that
//! [`LoudspeakerEvent::Ready`] brings.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use js_sys::{Array, Object, SharedArrayBuffer};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AudioContext, AudioContextOptions, AudioContextState, AudioWorkletNode, AudioWorkletNodeOptions,
    EventTarget, MessagePort,
};

use super::js::{self, Listener};
use super::shared_memory;
use crate::defects;
use crate::transport::web::sleep;

/// The name under which `audio-worklet.js` registers itself.
const PROCESSOR: &str = "videocall-playout";

/// Between two tries to load the worklet. Without it there is no sound at all, and a server that was down
/// when the call began is soon back.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(8);

/// Tries that fail before the person is told.
const SILENT_TRIES: u32 = 3;

/// After so long a context that does not run waits for a click.
const START_LIMIT: Duration = Duration::from_secs(2);

/// How often the latency of the output is looked at, what change of it matters, and what is no latency but
/// nonsense.
const LATENCY_INTERVAL: Duration = Duration::from_secs(2);
const LATENCY_STEP: Duration = Duration::from_millis(2);
const MAX_LATENCY: Duration = Duration::from_secs(1);

/// What it is where the browser cannot be asked: what Firefox tells of PulseAudio and a sound card of the computer's own.
const USUAL_LATENCY: Duration = Duration::from_millis(26);

/// What a call has to know of its loudspeaker.
#[derive(Clone, Debug)]
pub(crate) enum LoudspeakerEvent {
    /// The worklet plays what comes through this port, and what lies in this memory if there is any.
    Ready(MessagePort, Option<SharedArrayBuffer>),
    /// What it plays is heard so much later.
    Latency(Duration),
    /// The browser wants a click first.
    Blocked,
    /// There is no sound at all, so far.
    Failed(String),
    /// There is, after a failure.
    Works,
}

/// The loudspeaker of a call. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Loudspeaker(Rc<State>);

struct State {
    context: Option<AudioContext>,
    /// Plays as long as it is held.
    node: RefCell<Option<AudioWorkletNode>>,
    /// Start the context again.
    unblock: RefCell<Vec<Listener>>,
    closed: Cell<bool>,
}

impl Loudspeaker {
    /// Opens the audio context; to be called while a click is handled.
    pub(crate) fn open(worklet_url: &str, events: impl Fn(LoudspeakerEvent) + 'static) -> Self {
        let options = AudioContextOptions::new();
        // At the loudspeaker's own rate: Firefox knows of no echo that is played at another one (bug 1849108).
        options.set_latency_hint(&"interactive".into());
        let (context, failure) = match AudioContext::new_with_context_options(&options) {
            Ok(context) => (Some(context), None),
            Err(error) => (None, Some(js::describe(&error))),
        };
        let speaker = Self(Rc::new(State {
            context: context.clone(),
            node: RefCell::default(),
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
                    let started = opening.start(&context, &events);
                    if started.is_ok() {
                        opening.watch(&context, &events).await;
                        opening.watch_latency(&context, &events).await;
                    }
                    started
                }
                (None, failure) => Err(failure.unwrap_or_default().into()),
            };
            if let Err(error) = opened {
                events(LoudspeakerEvent::Failed(js::describe(&error)));
            }
        });
        speaker
    }

    /// Loads the worklet, until it is there or the call is over.
    async fn load(&self, context: &AudioContext, url: &str, events: &impl Fn(LoudspeakerEvent)) {
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
                    events(LoudspeakerEvent::Works);
                }
                return;
            };
            if tries == SILENT_TRIES {
                events(LoudspeakerEvent::Failed(js::describe(&error)));
            }
            sleep(wait).await;
            wait = (wait * 2).min(LAST_RETRY);
            if self.0.closed.get() {
                return;
            }
        }
    }

    fn start(&self, context: &AudioContext, events: &impl Fn(LoudspeakerEvent)) -> Result<(), JsValue> {
        if self.0.closed.get() {
            return Ok(());
        }
        let options = AudioWorkletNodeOptions::new();
        options.set_number_of_inputs(0);
        options.set_output_channel_count(&Array::of1(&1.into()));
        let memory = shared_memory::new_block();
        if let Some(memory) = &memory {
            let given = Object::new();
            js::set(&given, "memory", memory);
            options.set_processor_options(Some(&given));
        }
        let node = AudioWorkletNode::new_with_options(context, PROCESSOR, &options)?;
        node.connect_with_audio_node(&context.destination())?;
        events(LoudspeakerEvent::Ready(node.port()?, memory));
        self.0.node.replace(Some(node));
        Ok(())
    }

    /// Tells the latency whenever it has changed, until the call is over: people change their headphones.
    async fn watch_latency(&self, context: &AudioContext, events: &impl Fn(LoudspeakerEvent)) {
        let mut told = Duration::ZERO;
        while !self.0.closed.get() {
            let latency = output_latency(context);
            if latency.abs_diff(told) > LATENCY_STEP {
                told = latency;
                events(LoudspeakerEvent::Latency(latency));
            }
            sleep(LATENCY_INTERVAL).await;
        }
    }

    /// Sees to it that the context runs.
    async fn watch(&self, context: &AudioContext, events: &impl Fn(LoudspeakerEvent)) {
        self.resume_on_click(context);
        // Where no click is wanted, it takes a moment all the same until it runs.
        sleep(START_LIMIT).await;
        if context.state() == AudioContextState::Suspended && !self.0.closed.get() {
            events(LoudspeakerEvent::Blocked);
        }
    }

    /// Browsers may want a click first. Phones take the loudspeaker away for a telephone call, and give it back
    /// suspended.
    fn resume_on_click(&self, context: &AudioContext) {
        let Some(document) = js::window().and_then(|window| window.document()) else {
            return;
        };
        let resume = |target: &EventTarget, name| {
            let context = context.clone();
            Listener::new(target, name, move |_| {
                if context.state() == AudioContextState::Suspended
                    && let Ok(resumed) = context.resume()
                {
                    js::ignore(resumed.unchecked_into());
                }
            })
        };
        self.0.unblock.replace(vec![
            resume(&document, "pointerdown"),
            resume(&document, "keydown"),
            resume(context, "statechange"),
        ]);
    }

    /// Ends all sound.
    pub(crate) fn close(&self) {
        self.0.closed.set(true);
        self.0.node.take();
        self.0.unblock.take();
        if let Some(Ok(closed)) = self.0.context.as_ref().map(AudioContext::close) {
            js::ignore(closed.unchecked_into());
        }
    }
}

/// From the worklet's output to the ear: Web Audio §1.2, `outputLatency` where the browser knows it and can be asked.
fn output_latency(context: &AudioContext) -> Duration {
    if defects::output_latency_here().is_some() {
        return USUAL_LATENCY;
    }
    let seconds = ["outputLatency", "baseLatency"]
        .into_iter()
        .filter_map(|name| js::get(context, name).as_f64())
        .find(|&seconds| seconds > 0.0);
    Duration::try_from_secs_f64(seconds.unwrap_or_default()).map_or(MAX_LATENCY, |told| told.min(MAX_LATENCY))
}

async fn add_module(context: &AudioContext, url: &str) -> Result<(), JsValue> {
    let loading = context.audio_worklet()?.add_module(url)?;
    JsFuture::from(loading).await.map(drop)
}
