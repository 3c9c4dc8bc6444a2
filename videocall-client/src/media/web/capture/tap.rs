//! Takes the samples of a microphone out of an audio graph, where there is no `MediaStreamTrackProcessor` for
//! sound (W3C Web Audio §1.32). The worklet (`capture-worklet.js`) posts them to the engine directly.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AudioContext, AudioContextOptions, AudioContextState, AudioWorkletNode, AudioWorkletNodeOptions,
    EventTarget, MediaStream, MediaStreamAudioSourceNode, MediaStreamTrack, MessageChannel, MessagePort,
};

use super::super::js::{self, Listener};
use crate::media::parameters::AUDIO_SAMPLE_RATE;
use crate::transport::web::sleep;

/// Where the page serves the worklet, and the name under which it registers itself.
const WORKLET: &str = "/static/capture-worklet.js";
const PROCESSOR: &str = "videocall-capture";

/// Between two tries to load the worklet.
const RETRY: Duration = Duration::from_secs(1);

/// Tries after which the microphone is given up.
const TRIES: u32 = 10;

/// Posts the samples of a track until it is dropped.
#[derive(Debug)]
pub(super) struct Tap {
    graph: Rc<Graph>,
    /// End the capture with the track, and start it with a click where the browser wants one.
    _listeners: [Listener; 4],
}

#[derive(Debug)]
struct Graph {
    context: AudioContext,
    source: MediaStreamAudioSourceNode,
    /// Once it is loaded.
    worklet: RefCell<Option<AudioWorkletNode>>,
    closed: Cell<bool>,
}

impl Tap {
    /// Starts; the port is for the engine.
    pub(super) fn start(track: &MediaStreamTrack) -> Result<(Self, MessagePort), JsValue> {
        let document = js::window()
            .and_then(|window| window.document())
            .ok_or("this page has no document")?;
        let channel = MessageChannel::new()?;
        let graph = Rc::new(Graph::new(track)?);
        graph.resume();
        let on = |target: &EventTarget, name, action: fn(&Graph)| {
            let graph = graph.clone();
            Listener::new(target, name, move |_| action(&graph))
        };
        let tap = Self {
            _listeners: [
                on(track, "ended", Graph::end),
                on(&document, "pointerdown", Graph::resume),
                on(&document, "keydown", Graph::resume),
                // A phone gives the microphone back suspended after a telephone call.
                on(&graph.context, "statechange", Graph::resume),
            ],
            graph: graph.clone(),
        };
        let port = channel.port1();
        spawn_local(async move {
            if let Err(error) = graph.connect(&port).await {
                // Fails only for what cannot be cloned.
                port.post_message(&js::describe(&error).into()).ok();
            }
        });
        Ok((tap, channel.port2()))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.graph.closed.set(true);
        if let Ok(closed) = self.graph.context.close() {
            js::ignore(closed.unchecked_into());
        }
    }
}

impl Graph {
    /// Begins with the microphone, at the rate at which voices are encoded. Some browsers cannot connect a
    /// microphone to a graph of another rate than its own; they choose.
    fn new(track: &MediaStreamTrack) -> Result<Self, JsValue> {
        let stream = MediaStream::new()?;
        stream.add_track(track);
        let options = AudioContextOptions::new();
        options.set_sample_rate(AUDIO_SAMPLE_RATE as f32);
        options.set_latency_hint(&"interactive".into());
        let context = AudioContext::new_with_context_options(&options)?;
        let (context, source) = match context.create_media_stream_source(&stream) {
            Ok(source) => (context, source),
            Err(_) => {
                js::ignore(context.close()?.unchecked_into());
                let context = AudioContext::new()?;
                let source = context.create_media_stream_source(&stream)?;
                (context, source)
            }
        };
        Ok(Self {
            context,
            source,
            worklet: RefCell::default(),
            closed: Cell::new(false),
        })
    }

    /// Browsers may want a click first.
    fn resume(&self) {
        if self.context.state() == AudioContextState::Suspended
            && let Ok(resumed) = self.context.resume()
        {
            // Stays pending while the browser waits.
            js::ignore(resumed.unchecked_into());
        }
    }

    /// Loads the worklet and puts it behind the microphone.
    async fn connect(&self, port: &MessagePort) -> Result<(), JsValue> {
        self.load().await?;
        if self.closed.get() {
            return Ok(());
        }
        let options = AudioWorkletNodeOptions::new();
        options.set_number_of_outputs(0);
        options.set_channel_count(1);
        // The browser mixes all channels into the one.
        js::set(&options, "channelCountMode", &"explicit".into());
        let worklet = AudioWorkletNode::new_with_options(&self.context, PROCESSOR, &options)?;
        self.source.connect_with_audio_node(&worklet)?;
        worklet
            .port()?
            .post_message_with_transferable(port, &Array::of1(port))?;
        self.worklet.replace(Some(worklet));
        Ok(())
    }

    async fn load(&self) -> Result<(), JsValue> {
        for number in 1.. {
            // A browser remembers what it could not load, by its address.
            let url = format!("{WORKLET}?try={number}");
            match JsFuture::from(self.context.audio_worklet()?.add_module(&url)?).await {
                Err(_) if number < TRIES && !self.closed.get() => sleep(RETRY).await,
                loaded => return loaded.map(drop),
            }
        }
        Ok(())
    }

    /// The track has ended by itself: the engine is told.
    fn end(&self) {
        let worklet = self.worklet.borrow();
        if let Some(port) = worklet.as_ref().and_then(|worklet| worklet.port().ok()) {
            port.post_message(&JsValue::NULL).ok();
        }
    }
}
