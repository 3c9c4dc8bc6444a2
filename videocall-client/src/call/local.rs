//! The own microphone, camera and screen, as far as only a page can handle them: opening, switching, showing
//! oneself, and saying so. What they deliver is handed over to the engine.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlVideoElement, MediaStream, MediaStreamTrack, MediaStreamTrackState};

use super::events::{CallEvent, LocalState, Notice};
use super::own_camera::OwnCamera;
use super::queue::EventQueue;
use super::worker::Engine;
use crate::bridge::messages::{CaptureEnd, Opening, ToEngine};
use crate::bridge::port::Port;
use crate::media::camera_size::CameraSize;
use crate::media::device_error::{DeviceError, Source};
use crate::media::parameters::{CAMERA, SCREEN};
use crate::media::web::capture::{Capture, Feed};
use crate::media::web::devices::{self, AudioProcessing, DeviceChoice};
use crate::media::web::js;

/// The own person's devices.
pub(super) struct Local {
    engine: Port<ToEngine>,
    worker: Engine,
    events: EventQueue,
    choice: RefCell<DeviceChoice>,
    microphone: Slot,
    camera: Slot,
    screen: Slot,
    screen_sound: Slot,
    self_view: RefCell<Option<HtmlVideoElement>>,
    own_camera: OwnCamera,
    told: Cell<LocalState>,
    closed: Cell<bool>,
}

/// One source: what is wanted of it, and what is captured.
#[derive(Default)]
struct Slot {
    wanted: Cell<bool>,
    /// Counts openings: what an earlier one delivers late is closed again.
    opening: Cell<Opening>,
    capture: RefCell<Option<Capture>>,
}

impl Slot {
    /// A number for an opening that starts now; it makes all earlier ones void.
    fn begin(&self) -> Opening {
        self.opening.set(Opening(self.opening.get().0 + 1));
        self.opening.get()
    }

    fn begin_if(&self, wanted: bool) -> Option<Opening> {
        wanted.then(|| self.begin())
    }

    fn is_current(&self, opening: Opening) -> bool {
        self.opening.get() == opening
    }

    fn is_open(&self) -> bool {
        self.capture.borrow().is_some()
    }
}

impl Local {
    /// Opens what is wanted.
    pub(super) fn start(engine: Port<ToEngine>, events: EventQueue, start: Start) -> Rc<Self> {
        let local = Rc::new(Self {
            engine,
            worker: start.worker,
            events,
            choice: RefCell::new(start.choice),
            microphone: Slot::default(),
            camera: Slot::default(),
            screen: Slot::default(),
            screen_sound: Slot::default(),
            self_view: RefCell::default(),
            own_camera: OwnCamera::new(),
            told: Cell::default(),
            closed: Cell::new(false),
        });
        local.microphone.wanted.set(start.microphone_on);
        local.camera.wanted.set(start.camera_on);
        let preview = Preview::of(start.preview);
        if start.microphone_on
            && let Some(track) = preview.microphone.clone()
        {
            local.use_microphone(track, local.microphone.begin());
        }
        if start.camera_on
            && let Some(track) = preview.camera.clone()
        {
            local.use_camera(track, local.camera.begin());
        }
        preview.close_unused(start.camera_on, start.microphone_on);
        local.open_missing();
        local
    }

    /// Opens what is wanted and not there, with one question to the person where that goes.
    fn open_missing(self: &Rc<Self>) {
        let camera = self.camera.wanted.get() && !self.camera.is_open();
        let microphone = self.microphone.wanted.get() && !self.microphone.is_open();
        let openings = (self.camera.begin_if(camera), self.microphone.begin_if(microphone));
        let local = self.clone();
        spawn_local(async move {
            if camera && microphone {
                let choice = local.choice.borrow().clone();
                if let Ok(stream) = devices::open(true, true, &choice).await {
                    local.use_stream(&stream, openings);
                    return;
                }
            }
            // One of the two may be missing; the other one is used all the same.
            local.open_camera(openings.0).await;
            local.open_microphone(openings.1).await;
        });
    }

    fn use_stream(&self, stream: &MediaStream, openings: (Option<Opening>, Option<Opening>)) {
        let found = Preview::of(Some(stream.clone()));
        if let (Some(track), Some(opening)) = (found.camera, openings.0) {
            self.use_camera(track, opening);
        }
        if let (Some(track), Some(opening)) = (found.microphone, openings.1) {
            self.use_microphone(track, opening);
        }
    }

    async fn open_camera(&self, opening: Option<Opening>) {
        let Some(opening) = opening else { return };
        let choice = self.choice.borrow().clone();
        let opened = devices::open(true, false, &choice).await;
        match opened.map(|stream| Preview::of(Some(stream)).camera) {
            Ok(Some(track)) => self.use_camera(track, opening),
            Ok(None) => self.fail(Source::Camera, opening, DeviceError::NoDevice),
            Err(error) => self.fail(Source::Camera, opening, error),
        }
    }

    async fn open_microphone(&self, opening: Option<Opening>) {
        let Some(opening) = opening else { return };
        let choice = self.choice.borrow().clone();
        let opened = devices::open(false, true, &choice).await;
        match opened.map(|stream| Preview::of(Some(stream)).microphone) {
            Ok(Some(track)) => self.use_microphone(track, opening),
            Ok(None) => self.fail(Source::Microphone, opening, DeviceError::NoDevice),
            Err(error) => self.fail(Source::Microphone, opening, error),
        }
    }

    fn use_microphone(&self, track: MediaStreamTrack, opening: Opening) {
        if !self.microphone.is_current(opening) || self.closed.get() {
            track.stop();
            return;
        }
        match self.capture(Source::Microphone, opening, Capture::sound(track)) {
            Ok(()) => self.tell(),
            Err(error) => self.fail(Source::Microphone, opening, error),
        }
    }

    fn use_camera(&self, track: MediaStreamTrack, opening: Opening) {
        if !self.camera.is_current(opening) || !self.camera.wanted.get() || self.closed.get() {
            track.stop();
            return;
        }
        js::set(&track, "contentHint", &CAMERA.content_hint.into());
        match self.capture(
            Source::Camera,
            opening,
            Capture::pictures(track, self.worker.reads_tracks()),
        ) {
            Ok(()) => {
                self.show_self();
                self.tell();
            }
            Err(error) => self.fail(Source::Camera, opening, error),
        }
    }

    fn use_screen(&self, track: MediaStreamTrack, opening: Opening) -> Result<(), DeviceError> {
        if !self.screen.is_current(opening) || self.closed.get() {
            track.stop();
            return Ok(());
        }
        js::set(&track, "contentHint", &SCREEN.content_hint.into());
        self.capture(
            Source::Screen,
            opening,
            Capture::pictures(track, self.worker.reads_tracks()),
        )?;
        self.tell();
        Ok(())
    }

    /// Hands over to the engine what is captured from now on.
    fn capture(
        &self,
        source: Source,
        opening: Opening,
        started: Result<(Capture, Feed), JsValue>,
    ) -> Result<(), DeviceError> {
        let handed_over = started.and_then(|(capture, feed)| {
            let message = ToEngine::Capture(source, opening, feed.kind);
            self.engine.post_with(&message, &[&feed.object]).map(|()| capture)
        });
        let capture = handed_over.map_err(|error| DeviceError::Other(js::describe(&error)))?;
        self.slot(source).capture.replace(Some(capture));
        Ok(())
    }

    const fn slot(&self, source: Source) -> &Slot {
        match source {
            Source::Microphone => &self.microphone,
            Source::Camera => &self.camera,
            Source::Screen => &self.screen,
            Source::ScreenSound => &self.screen_sound,
        }
    }

    /// The engine says that a capture is over.
    pub(super) fn capture_ended(&self, source: Source, opening: Opening, end: CaptureEnd) {
        match end {
            _ if !self.slot(source).is_current(opening) => {}
            CaptureEnd::Ended if source == Source::Screen => self.stop_screen(),
            // Without its sound a screen is shared all the same.
            end if source == Source::ScreenSound => {
                tracing::info!(?end, "the sound of the screen is over");
                self.switch_off(source);
            }
            CaptureEnd::Ended => self.fail(source, opening, DeviceError::NoDevice),
            CaptureEnd::Failed(reason) => {
                self.switch_off(source);
                self.notify(Notice::EncodingFailed {
                    device: source,
                    reason,
                });
            }
        }
    }

    fn fail(&self, device: Source, opening: Opening, error: DeviceError) {
        if self.slot(device).is_current(opening) && !self.closed.get() {
            self.switch_off(device);
            self.notify(Notice::Device { device, error });
        }
    }

    fn switch_off(&self, source: Source) {
        let slot = self.slot(source);
        slot.begin();
        slot.wanted.set(false);
        slot.capture.take();
        self.engine.post(&ToEngine::Release(source));
        match source {
            Source::Camera => self.show_self(),
            Source::Screen if self.screen_sound.is_open() => self.switch_off(Source::ScreenSound),
            _ => {}
        }
        self.tell();
    }

    pub(super) fn set_microphone(self: &Rc<Self>, on: bool) {
        self.microphone.wanted.set(on);
        self.engine.post(&ToEngine::SetMuted(!on));
        if on && !self.microphone.is_open() {
            self.open_missing();
        }
        self.tell();
    }

    pub(super) fn set_camera(self: &Rc<Self>, on: bool) {
        if on {
            self.camera.wanted.set(true);
            self.open_missing();
        } else {
            self.switch_off(Source::Camera);
        }
    }

    /// The engine encodes so much of this camera's pictures at most; all without.
    pub(super) fn ask_camera(&self, opening: Opening, size: Option<CameraSize>) {
        if self.camera.is_current(opening) {
            self.own_camera.set_encoded(size);
        }
    }

    pub(super) fn select_camera(self: &Rc<Self>, device_id: String) {
        self.choice.borrow_mut().camera = Some(device_id);
        if self.camera.wanted.get() {
            // Some cameras can be opened once only, even by the same page.
            self.camera.capture.take();
            self.open_missing();
        }
    }

    pub(super) fn select_microphone(self: &Rc<Self>, device_id: String) {
        self.choice.borrow_mut().microphone = Some(device_id);
        self.reopen_microphone();
    }

    pub(super) fn set_audio_processing(self: &Rc<Self>, processing: AudioProcessing) {
        let before = std::mem::replace(&mut self.choice.borrow_mut().processing, processing);
        // Browsers differ in what they change of an open microphone, and agree on a new one.
        if before != processing {
            self.reopen_microphone();
        }
    }

    fn reopen_microphone(self: &Rc<Self>) {
        if self.microphone.capture.take().is_some() || self.microphone.wanted.get() {
            self.open_missing();
        }
        self.tell();
    }

    pub(super) async fn share_screen(&self) -> Result<(), DeviceError> {
        let opening = self.screen.begin();
        let stream = devices::open_screen(&SCREEN).await?;
        let found = Preview::of(Some(stream));
        let shared = found
            .camera
            .ok_or(DeviceError::NoDevice)
            .and_then(|track| self.use_screen(track, opening));
        match (&shared, found.microphone) {
            (Ok(()), Some(sound)) if self.screen.is_open() => self.use_screen_sound(sound),
            (_, Some(sound)) => sound.stop(),
            (_, None) => {}
        }
        shared
    }

    fn use_screen_sound(&self, track: MediaStreamTrack) {
        js::set(&track, "contentHint", &"music".into());
        let opening = self.screen_sound.begin();
        if let Err(error) = self.capture(Source::ScreenSound, opening, Capture::sound(track)) {
            tracing::warn!(%error, "the sound of the screen cannot be captured");
        }
    }

    pub(super) fn stop_screen(&self) {
        self.switch_off(Source::Screen);
    }

    /// Shows the own camera in this element.
    pub(super) fn attach_self(&self, video: HtmlVideoElement) {
        // The own voice would come back.
        video.set_muted(true);
        self.own_camera.show_in(&video);
        self.self_view.replace(Some(video));
        self.show_self();
    }

    fn show_self(&self) {
        let capture = self.camera.capture.borrow();
        let resizable = capture.as_ref().filter(|capture| capture.follows_track());
        self.own_camera.set(resizable.map(Capture::track));
        drop(capture);
        let view = self.self_view.borrow();
        let Some(video) = view.as_ref() else { return };
        let stream = self.camera.capture.borrow().as_ref().and_then(|capture| {
            let stream = MediaStream::new().ok()?;
            stream.add_track(capture.track());
            Some(stream)
        });
        video.set_src_object(stream.as_ref());
        if stream.is_some()
            && let Ok(playing) = video.play()
        {
            js::ignore(playing.unchecked_into());
        }
    }

    /// Tells the user interface what is sent, when it has changed.
    fn tell(&self) {
        let state = LocalState {
            microphone: self.microphone.is_open() && self.microphone.wanted.get(),
            camera: self.camera.is_open(),
            screen: self.screen.is_open(),
        };
        if self.told.replace(state) != state {
            self.events.push(CallEvent::Local(state), || None);
        }
    }

    fn notify(&self, notice: Notice) {
        self.events.push(CallEvent::Notice(notice), || None);
    }

    /// Closes all devices; the call is over.
    pub(super) fn close(&self) {
        self.closed.set(true);
        for slot in [&self.microphone, &self.camera, &self.screen, &self.screen_sound] {
            slot.capture.take();
        }
        self.show_self();
        self.tell();
    }
}

/// What the own person starts with.
pub(super) struct Start {
    pub(super) worker: Engine,
    pub(super) choice: DeviceChoice,
    pub(super) camera_on: bool,
    pub(super) microphone_on: bool,
    pub(super) preview: Option<MediaStream>,
}

/// The live tracks of a stream.
struct Preview {
    camera: Option<MediaStreamTrack>,
    microphone: Option<MediaStreamTrack>,
}

impl Preview {
    fn of(stream: Option<MediaStream>) -> Self {
        let live = |tracks: js_sys::Array| {
            tracks
                .iter()
                .filter_map(|track| track.dyn_into::<MediaStreamTrack>().ok())
                .find(|track| track.ready_state() == MediaStreamTrackState::Live)
        };
        Self {
            camera: stream.as_ref().and_then(|stream| live(stream.get_video_tracks())),
            microphone: stream.as_ref().and_then(|stream| live(stream.get_audio_tracks())),
        }
    }

    /// Ends the tracks that the call does not start with.
    fn close_unused(&self, camera_on: bool, microphone_on: bool) {
        if let (false, Some(track)) = (camera_on, &self.camera) {
            track.stop();
        }
        if let (false, Some(track)) = (microphone_on, &self.microphone) {
            track.stop();
        }
    }
}
