//! The handle of a call: what the page does of it itself, and what it leaves to the engine.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use videocall_types::{CloseCode, Closing, Timestamp, TrackRef};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlElement, HtmlVideoElement, MediaStream};

use super::events::{CallEvent, Levels, Notice, Priority};
use super::local::{Local, Start as Devices};
use super::queue::{CallEvents, EventQueue};
use super::roster::Roster;
use super::surfaces::Surfaces;
use super::worker::Engine;
use crate::ClientConfig;
use crate::bridge::messages::{FromEngine, Start, ToEngine};
use crate::bridge::port::{Listening, Port};
use crate::media::device_error::DeviceError;
use crate::media::web::devices::{AudioProcessing, DeviceChoice};
use crate::media::web::js::{self, Listener};
use crate::media::web::loudspeaker::{Loudspeaker, LoudspeakerEvent};
use crate::media::web::viewport::Viewport;
use crate::stats::CallStats;
use crate::transport::web::{WebClock, sleep};

/// Where `engine-worker.js` and `audio-worklet.js` are unless a page says otherwise.
pub const ENGINE_URL: &str = "/static/engine-worker.js";
const WORKLET_URL: &str = "/static/audio-worklet.js";

/// What a call starts with.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// Where to connect, and as whom.
    pub client: ClientConfig,
    /// Which devices to use.
    pub devices: DeviceChoice,
    /// Start with the camera on.
    pub camera_on: bool,
    /// Start with the microphone on.
    pub microphone_on: bool,
    /// What the preview before the call has opened; its tracks are used as far as they fit, so that no
    /// device is opened twice. The call closes it in the end.
    pub preview: Option<MediaStream>,
    /// A worker that was started before; the call starts its own when there is none, another call has used it, or
    /// it has failed.
    pub engine: Option<Engine>,
    /// Where the page serves `engine-worker.js`.
    pub engine_url: String,
    /// Where the page serves `audio-worklet.js`.
    pub worklet_url: String,
}

impl CallOptions {
    /// A call with the browser's default devices, camera and microphone on.
    pub fn new(client: ClientConfig) -> Self {
        Self {
            client,
            devices: DeviceChoice::default(),
            camera_on: true,
            microphone_on: true,
            preview: None,
            engine: None,
            engine_url: ENGINE_URL.to_owned(),
            worklet_url: WORKLET_URL.to_owned(),
        }
    }
}

/// An engine that was told to leave and has not said goodbye after this is ended: longer than the driver gives a
/// connection to close.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// The engine is told at most so often that somebody looks at its figures: as often as it renews them.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// A call. Clones are handles to the same one; when the last is dropped, the call is left.
#[derive(Clone)]
pub struct Call(Rc<Handle>);

/// Leaves when nobody holds it any more.
struct Handle(Rc<Inner>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.leave();
    }
}

struct Inner {
    engine: Engine,
    port: Port<ToEngine>,
    events: EventQueue,
    /// As far as events have told it, for when the user interface falls behind.
    roster: RefCell<Roster>,
    local: Rc<Local>,
    surfaces: Surfaces,
    viewport: Viewport,
    loudspeaker: OnceCell<Loudspeaker>,
    levels: RefCell<Levels>,
    /// The newest figures, as JSON.
    figures: RefCell<String>,
    watched: Cell<Option<Timestamp>>,
    leaving: Cell<bool>,
    /// Both hold this call as long as it goes on.
    ears: RefCell<Option<(Listening, Option<Listener>)>>,
}

/// Two handles are equal when they belong to the same call.
impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

impl Call {
    /// Starts to connect and to capture, both at once. To be called while a click is handled, because
    /// browsers allow sound only then.
    pub fn start(options: CallOptions) -> (Self, CallEvents) {
        let prepared = options.engine.and_then(Engine::take);
        let engine = prepared.unwrap_or_else(|| Engine::start(&options.engine_url));
        let port = Port::new(engine.port());
        port.post(&ToEngine::Start(Box::new(Start {
            client: options.client,
            muted: !options.microphone_on,
            camera_off: !options.camera_on,
        })));
        let events = EventQueue::default();
        let devices = Devices {
            worker: engine.clone(),
            choice: options.devices,
            camera_on: options.camera_on,
            microphone_on: options.microphone_on,
            preview: options.preview,
        };
        let inner = Rc::new(Inner {
            local: Local::start(port.clone(), events.clone(), devices),
            surfaces: Surfaces::new(port.clone()),
            viewport: Viewport::new(port.clone()),
            engine,
            port,
            events: events.clone(),
            roster: RefCell::default(),
            loudspeaker: OnceCell::new(),
            levels: RefCell::default(),
            figures: RefCell::default(),
            watched: Cell::default(),
            leaving: Cell::new(false),
            ears: RefCell::default(),
        });
        inner.open_loudspeaker(&options.worklet_url);
        inner.listen();
        (Self(Rc::new(Handle(inner))), events.stream())
    }

    /// Opens or mutes the microphone; [`CallEvent::Local`] says when it is done.
    pub fn set_microphone(&self, on: bool) {
        self.0.0.local.set_microphone(on);
    }

    /// Switches the camera on or off; [`CallEvent::Local`] says when it is done.
    pub fn set_camera(&self, on: bool) {
        self.0.0.local.set_camera(on);
    }

    /// Uses another camera from now on.
    pub fn select_camera(&self, device_id: String) {
        self.0.0.local.select_camera(device_id);
    }

    /// Uses another microphone from now on.
    pub fn select_microphone(&self, device_id: String) {
        self.0.0.local.select_microphone(device_id);
    }

    /// Changes what is done to the microphone's sound from now on.
    pub fn set_audio_processing(&self, processing: AudioProcessing) {
        self.0.0.local.set_audio_processing(processing);
    }

    /// Lets the person choose a screen or window, and shares it until [`Call::stop_screen`] or until the
    /// browser's own button ends it. To be called while a click is handled.
    ///
    /// # Errors
    /// [`DeviceError::NoPermission`] also when the person has cancelled the choice.
    pub async fn share_screen(&self) -> Result<(), DeviceError> {
        self.0.0.local.share_screen().await
    }

    /// Ends sharing the screen.
    pub fn stop_screen(&self) {
        self.0.0.local.stop_screen();
    }

    /// Shows a video track of somebody else in this element from now on, a `<canvas>` or a `<video>`: see
    /// [`super::picture_tag`]. A track without one is not received, so the page attaches one as soon as it
    /// knows the track, whatever the state of its picture. The rest follows from the page: what is off
    /// screen, without extent or on a hidden page is not received either, and the quality is the one that
    /// the element's size on the display asks for.
    ///
    /// The element is handed over to the engine for good: it must have no context and no source, it serves this call
    /// alone, and one that was taken out of the document while no track was attached shows nothing any more.
    pub fn attach(&self, track: TrackRef, element: HtmlElement) {
        self.0.0.surfaces.attach(track, &element);
        self.0.0.viewport.add(track, element);
    }

    /// Draws the track no more.
    pub fn detach(&self, track: TrackRef) {
        self.0.0.viewport.remove(track);
        self.0.0.surfaces.detach(track);
    }

    /// When the path is too short for all pictures, those of higher priority are kept longer. Holds while
    /// the track is attached.
    pub fn set_priority(&self, track: TrackRef, priority: Priority) {
        self.0.0.viewport.set_priority(track, priority as u32);
    }

    /// Hears a microphone whether its owner is among the active speakers or not, or not so any more.
    pub fn listen(&self, microphone: TrackRef, always: bool) {
        self.0.0.port.post(&ToEngine::Listen(microphone, always));
    }

    /// Shows the own camera in this element from now on.
    pub fn attach_self(&self, video: HtmlVideoElement) {
        self.0.0.local.attach_self(video);
    }

    /// How loud everybody is, as the engine says ten times a second; costs nothing.
    pub fn levels(&self) -> Levels {
        self.0.0.levels.borrow().clone()
    }

    /// Figures of everything, as `docs/statistics.md` describes them: at most a second old, and a fifth of a
    /// second while they are asked for several times a second; a little older in meetings of hundreds.
    pub fn stats(&self) -> CallStats {
        let inner = &self.0.0;
        inner.watch_figures();
        serde_json::from_str(&inner.figures.borrow()).unwrap_or_default()
    }

    /// Leaves for good; [`CallEvent::Closed`] follows.
    pub fn leave(&self) {
        self.0.0.leave();
    }
}

impl Inner {
    fn open_loudspeaker(self: &Rc<Self>, worklet_url: &str) {
        let inner = Rc::downgrade(self);
        let loudspeaker = Loudspeaker::open(worklet_url, move |event| {
            if let Some(inner) = inner.upgrade() {
                inner.hear_loudspeaker(event);
            }
        });
        // There is one, because this is called once.
        self.loudspeaker.set(loudspeaker).ok();
    }

    fn hear_loudspeaker(&self, event: LoudspeakerEvent) {
        let notice = match event {
            LoudspeakerEvent::Ready(port, memory) => {
                let memory = JsValue::from(memory);
                match self.port.post_with(&ToEngine::Loudspeaker, &[&port, &memory]) {
                    Ok(()) => return,
                    Err(error) => Notice::PlaybackFailed(js::describe(&error)),
                }
            }
            LoudspeakerEvent::Latency(latency) => return self.port.post(&ToEngine::OutputLatency(latency)),
            LoudspeakerEvent::Blocked => Notice::PlaybackBlocked,
            LoudspeakerEvent::Failed(reason) => Notice::PlaybackFailed(reason),
            LoudspeakerEvent::Works => Notice::PlaybackWorks,
        };
        self.events.push(CallEvent::Notice(notice), || None);
    }

    fn listen(self: &Rc<Self>) {
        let inner = self.clone();
        let listening = self.port.listen(move |message| match message {
            Ok((message, objects)) => inner.hear(message, &objects),
            Err(reason) => inner.break_off(&reason),
        });
        let page_ends = js::window().map(|window| {
            let inner = Rc::downgrade(self);
            Listener::new(&window, "pagehide", move |_| {
                if let Some(inner) = inner.upgrade() {
                    inner.leave();
                }
            })
        });
        self.ears.replace(Some((listening, page_ends)));
        let inner = Rc::downgrade(self);
        self.engine.on_fault(move |reason| {
            if let Some(inner) = inner.upgrade() {
                inner.break_off(&reason);
            }
        });
    }

    fn hear(&self, message: FromEngine, objects: &[JsValue]) {
        if message.is_counted() {
            self.port.post(&ToEngine::Taken);
        }
        match message {
            FromEngine::Event(event) => self.take(*event),
            FromEngine::Levels(levels) => {
                self.levels.replace(levels);
            }
            FromEngine::Figures => {
                let text = objects.first().and_then(JsValue::as_string);
                self.figures.replace(text.unwrap_or_default());
            }
            FromEngine::CaptureEnded(source, opening, end) => self.local.capture_ended(source, opening, end),
            FromEngine::AskCamera(opening, size) => self.local.ask_camera(opening, size),
            FromEngine::Broken(reason) => self.break_off(&reason),
        }
    }

    fn take(&self, event: CallEvent) {
        match event {
            CallEvent::Closed(closing) => self.end(closing),
            CallEvent::Roster(change) => {
                self.roster.borrow_mut().apply(&change);
                self.events
                    .push(CallEvent::Roster(change), || self.roster.borrow().whole());
            }
            event => self.events.push(event, || None),
        }
    }

    fn watch_figures(&self) {
        let now = WebClock::now();
        let told = self.watched.get();
        if told.is_none_or(|told| now.since(told) >= WATCH_INTERVAL) {
            self.watched.set(Some(now));
            self.port.post(&ToEngine::WatchFigures);
        }
    }

    fn leave(self: &Rc<Self>) {
        if self.leaving.replace(true) {
            return;
        }
        self.local.close();
        self.port.post(&ToEngine::Leave);
        let inner = self.clone();
        spawn_local(async move {
            sleep(LEAVE_TIMEOUT).await;
            inner.end(Closing::new(CloseCode::Left));
        });
    }

    /// The engine cannot go on, and so the call cannot.
    fn break_off(&self, reason: &str) {
        tracing::error!(reason, "the engine has stopped");
        self.end(if self.leaving.get() {
            Closing::new(CloseCode::Left)
        } else {
            let message = format!("the part of this page that carries the call has stopped: {reason}");
            Closing::with_message(CloseCode::InternalError, message)
        });
    }

    /// The call is over, and so is its worker. Only the first time counts.
    fn end(&self, closing: Closing) {
        let Some(ears) = self.ears.take() else { return };
        self.leaving.set(true);
        self.local.close();
        if let Some(loudspeaker) = self.loudspeaker.get() {
            loudspeaker.close();
        }
        self.events.push(CallEvent::Closed(closing), || None);
        self.port.close();
        self.engine.end();
        drop(ears);
    }
}
