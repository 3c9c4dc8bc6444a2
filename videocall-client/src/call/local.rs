//! The own microphone, camera and screen: opening, switching, sending, and saying so.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use videocall_types::{Timestamp, TrackId, TrackKind};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlVideoElement, MediaStream, MediaStreamTrack, MediaStreamTrackState};

use super::events::{CallEvent, LocalState, Notice};
use super::remote::Remote;
use crate::Client;
use crate::media::device_error::{DeviceError, Source};
use crate::media::parameters::{CAMERA, SCREEN};
use crate::media::web::audio_sender::{self, AudioSender};
use crate::media::web::devices::{self, DeviceChoice};
use crate::media::web::js;
use crate::media::web::video_sender::{SenderEvent, VideoSender, VideoSource};
use crate::stats::LocalTrackStats;

const MICROPHONE: TrackId = TrackId(1);

const CAMERA_SOURCE: VideoSource = VideoSource {
    track: TrackId(2),
    kind: TrackKind::Camera,
    parameters: CAMERA,
};

const SCREEN_SOURCE: VideoSource = VideoSource {
    track: TrackId(3),
    kind: TrackKind::Screen,
    parameters: SCREEN,
};

/// What the own person sends.
pub(super) struct Local {
    me: Weak<Self>,
    client: Client,
    /// Passes events on.
    remote: Rc<Remote>,
    choice: RefCell<DeviceChoice>,
    microphone: Slot<AudioSender>,
    camera: Slot<VideoSender>,
    screen: Slot<VideoSender>,
    self_view: RefCell<Option<HtmlVideoElement>>,
    told: Cell<LocalState>,
    closed: Cell<bool>,
}

/// One source: what is wanted of it, and what is sent.
struct Slot<S> {
    wanted: Cell<bool>,
    /// Counts openings: what an earlier one delivers late is closed again.
    opening: Cell<u64>,
    sender: RefCell<Option<S>>,
    /// The relay takes frames.
    accepted: Cell<bool>,
    /// Of pictures: the layers at which somebody looks; none was said to be looked at or not so far.
    layers: RefCell<Option<Vec<u8>>>,
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self {
            wanted: Cell::new(false),
            opening: Cell::new(0),
            sender: RefCell::new(None),
            accepted: Cell::new(false),
            layers: RefCell::default(),
        }
    }
}

impl<S> Slot<S> {
    /// A number for an opening that starts now; it makes all earlier ones void.
    fn begin(&self) -> u64 {
        self.opening.set(self.opening.get() + 1);
        self.opening.get()
    }

    fn begin_if(&self, wanted: bool) -> Option<u64> {
        wanted.then(|| self.begin())
    }

    fn is_current(&self, opening: u64) -> bool {
        self.opening.get() == opening
    }

    fn is_open(&self) -> bool {
        self.sender.borrow().is_some()
    }
}

impl Slot<VideoSender> {
    /// Uses this sender from now on, for whoever looks.
    fn begin_to_send(&self, sender: VideoSender) {
        if let Some(layers) = self.layers.borrow().as_ref() {
            sender.set_wanted(layers);
        }
        sender.set_flowing(self.accepted.get());
        self.sender.replace(Some(sender));
    }

    /// These layers are looked at.
    fn set_layers(&self, layers: Vec<u8>) {
        if let Some(sender) = self.sender.borrow().as_ref() {
            sender.set_wanted(&layers);
        }
        self.layers.replace(Some(layers));
    }
}

impl Local {
    /// Announces the tracks, so that they are part of the greeting, and opens what is wanted.
    pub(super) fn start(client: Client, remote: Rc<Remote>, start: Start) -> Rc<Self> {
        let local = Rc::new_cyclic(|me| Self {
            me: me.clone(),
            client,
            remote,
            choice: RefCell::new(start.choice),
            microphone: Slot::default(),
            camera: Slot::default(),
            screen: Slot::default(),
            self_view: RefCell::default(),
            told: Cell::default(),
            closed: Cell::new(false),
        });
        local.microphone.wanted.set(start.microphone_on);
        local.camera.wanted.set(start.camera_on);
        // A client that has just started takes commands.
        local
            .client
            .publish(audio_sender::describe(MICROPHONE, !start.microphone_on))
            .ok();
        local
            .client
            .publish(CAMERA_SOURCE.expected(!start.camera_on))
            .ok();
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

    fn use_stream(&self, stream: &MediaStream, openings: (Option<u64>, Option<u64>)) {
        let found = Preview::of(Some(stream.clone()));
        if let (Some(track), Some(opening)) = (found.camera, openings.0) {
            self.use_camera(track, opening);
        }
        if let (Some(track), Some(opening)) = (found.microphone, openings.1) {
            self.use_microphone(track, opening);
        }
    }

    async fn open_camera(&self, opening: Option<u64>) {
        let Some(opening) = opening else { return };
        let choice = self.choice.borrow().clone();
        let opened = devices::open(true, false, &choice).await;
        match opened.map(|stream| Preview::of(Some(stream)).camera) {
            Ok(Some(track)) => self.use_camera(track, opening),
            Ok(None) => self.fail(Source::Camera, opening, DeviceError::NoDevice),
            Err(error) => self.fail(Source::Camera, opening, error),
        }
    }

    async fn open_microphone(&self, opening: Option<u64>) {
        let Some(opening) = opening else { return };
        let choice = self.choice.borrow().clone();
        let opened = devices::open(false, true, &choice).await;
        match opened.map(|stream| Preview::of(Some(stream)).microphone) {
            Ok(Some(track)) => self.use_microphone(track, opening),
            Ok(None) => self.fail(Source::Microphone, opening, DeviceError::NoDevice),
            Err(error) => self.fail(Source::Microphone, opening, error),
        }
    }

    fn use_microphone(&self, track: MediaStreamTrack, opening: u64) {
        if !self.microphone.is_current(opening) || self.closed.get() {
            track.stop();
            return;
        }
        let events = self.sender_events(Source::Microphone, opening);
        match AudioSender::start(MICROPHONE, track, self.client.clone(), events) {
            Ok(sender) => {
                sender.set_flowing(self.microphone.accepted.get());
                sender.set_muted(!self.microphone.wanted.get());
                self.microphone.sender.replace(Some(sender));
                self.client
                    .set_muted(MICROPHONE, !self.microphone.wanted.get())
                    .ok();
                self.tell();
            }
            Err(reason) => self.fail(Source::Microphone, opening, DeviceError::Other(reason)),
        }
    }

    fn use_camera(&self, track: MediaStreamTrack, opening: u64) {
        if !self.camera.is_current(opening) || !self.camera.wanted.get() || self.closed.get() {
            track.stop();
            return;
        }
        js::set(&track, "contentHint", &CAMERA.content_hint.into());
        let events = self.sender_events(Source::Camera, opening);
        match VideoSender::start(CAMERA_SOURCE, track, self.client.clone(), events) {
            Ok(sender) => {
                self.camera.begin_to_send(sender);
                self.client.set_muted(CAMERA_SOURCE.track, false).ok();
                self.show_self();
                self.tell();
            }
            Err(reason) => self.fail(Source::Camera, opening, DeviceError::Other(reason)),
        }
    }

    fn use_screen(&self, track: MediaStreamTrack, opening: u64) -> Result<(), DeviceError> {
        if !self.screen.is_current(opening) || self.closed.get() {
            track.stop();
            return Ok(());
        }
        js::set(&track, "contentHint", &SCREEN.content_hint.into());
        let events = self.sender_events(Source::Screen, opening);
        let sender = VideoSender::start(SCREEN_SOURCE, track, self.client.clone(), events)
            .map_err(DeviceError::Other)?;
        self.screen.accepted.set(false);
        self.screen.layers.take();
        self.screen.begin_to_send(sender);
        self.client.publish(SCREEN_SOURCE.expected(false)).ok();
        self.tell();
        Ok(())
    }

    /// What to do with the events of a sender, unless another one has taken its place.
    fn sender_events(&self, source: Source, opening: u64) -> impl Fn(SenderEvent) + 'static {
        let me = self.me.clone();
        move |event| {
            if let Some(local) = me.upgrade() {
                local.hear(source, opening, event);
            }
        }
    }

    fn hear(&self, source: Source, opening: u64, event: SenderEvent) {
        match event {
            _ if !self.is_current(source, opening) => {}
            SenderEvent::Described(info) => {
                // Fails when the client has ended.
                self.client.publish(info).ok();
            }
            SenderEvent::Ended if source == Source::Screen => self.stop_screen(),
            SenderEvent::Ended => self.fail(source, opening, DeviceError::NoDevice),
            SenderEvent::Failed(reason) => {
                self.switch_off(source);
                let notice = Notice::EncodingFailed {
                    device: source,
                    reason,
                };
                self.remote.push(CallEvent::Notice(notice));
            }
        }
    }

    fn is_current(&self, source: Source, opening: u64) -> bool {
        match source {
            Source::Microphone => self.microphone.is_current(opening),
            Source::Camera => self.camera.is_current(opening),
            Source::Screen => self.screen.is_current(opening),
        }
    }

    fn fail(&self, device: Source, opening: u64, error: DeviceError) {
        if self.is_current(device, opening) && !self.closed.get() {
            self.switch_off(device);
            self.remote
                .push(CallEvent::Notice(Notice::Device { device, error }));
        }
    }

    fn switch_off(&self, source: Source) {
        match source {
            Source::Microphone => {
                self.microphone.begin();
                self.microphone.wanted.set(false);
                self.microphone.sender.take();
                self.client.set_muted(MICROPHONE, true).ok();
            }
            Source::Camera => {
                self.camera.begin();
                self.camera.wanted.set(false);
                self.camera.sender.take();
                self.client.set_muted(CAMERA_SOURCE.track, true).ok();
                self.show_self();
            }
            Source::Screen => {
                self.screen.begin();
                if self.screen.sender.take().is_some() {
                    self.client.unpublish(SCREEN_SOURCE.track).ok();
                }
            }
        }
        self.tell();
    }

    pub(super) fn set_microphone(self: &Rc<Self>, on: bool) {
        self.microphone.wanted.set(on);
        let sender = self.microphone.sender.borrow();
        if let Some(sender) = sender.as_ref() {
            sender.set_muted(!on);
            self.client.set_muted(MICROPHONE, !on).ok();
        }
        let open = sender.is_some();
        drop(sender);
        if on && !open {
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

    pub(super) fn select_camera(self: &Rc<Self>, device_id: String) {
        self.choice.borrow_mut().camera = Some(device_id);
        if self.camera.wanted.get() {
            // Some cameras can be opened once only, even by the same page.
            self.camera.sender.take();
            self.open_missing();
        }
    }

    pub(super) fn select_microphone(self: &Rc<Self>, device_id: String) {
        self.choice.borrow_mut().microphone = Some(device_id);
        if self.microphone.sender.take().is_some() || self.microphone.wanted.get() {
            self.open_missing();
        }
        self.tell();
    }

    pub(super) async fn share_screen(&self) -> Result<(), DeviceError> {
        let opening = self.screen.begin();
        let stream = devices::open_screen(&SCREEN).await?;
        let track = Preview::of(Some(stream)).camera.ok_or(DeviceError::NoDevice)?;
        self.use_screen(track, opening)
    }

    pub(super) fn stop_screen(&self) {
        self.switch_off(Source::Screen);
    }

    /// The relay takes frames of this track from now on.
    pub(super) fn accepted(&self, track: TrackId) {
        self.set_accepted(|id| id == track, true);
    }

    /// The relay takes nothing until it has accepted the tracks again.
    pub(super) fn disconnected(&self) {
        self.set_accepted(|_| true, false);
    }

    fn set_accepted(&self, which: impl Fn(TrackId) -> bool, accepted: bool) {
        if which(MICROPHONE) {
            self.microphone.accepted.set(accepted);
            if let Some(sender) = self.microphone.sender.borrow().as_ref() {
                sender.set_flowing(accepted);
            }
        }
        for (source, slot) in self.pictures() {
            if which(source.track) {
                slot.accepted.set(accepted);
                if let Some(sender) = slot.sender.borrow().as_ref() {
                    sender.set_flowing(accepted);
                }
            }
        }
    }

    /// The layers of this track at which anybody looks. Listening cannot be told from not listening, so a
    /// voice always flows.
    pub(super) fn watched(&self, track: TrackId, layers: Vec<u8>) {
        if let Some((_, slot)) = self
            .pictures()
            .into_iter()
            .find(|(source, _)| source.track == track)
        {
            slot.set_layers(layers);
        }
    }

    pub(super) fn keyframe_wanted(&self, track: TrackId, spatial: u8) {
        for (source, slot) in self.pictures() {
            if let (true, Some(sender)) = (source.track == track, slot.sender.borrow().as_ref()) {
                sender.request_keyframe(spatial);
            }
        }
    }

    fn pictures(&self) -> [(VideoSource, &Slot<VideoSender>); 2] {
        [(CAMERA_SOURCE, &self.camera), (SCREEN_SOURCE, &self.screen)]
    }

    /// Shows the own camera in this element.
    pub(super) fn attach_self(&self, video: HtmlVideoElement) {
        // The own voice would come back.
        video.set_muted(true);
        self.self_view.replace(Some(video));
        self.show_self();
    }

    fn show_self(&self) {
        let view = self.self_view.borrow();
        let Some(video) = view.as_ref() else { return };
        let stream = self.camera.sender.borrow().as_ref().and_then(|sender| {
            let stream = MediaStream::new().ok()?;
            stream.add_track(sender.track());
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
            self.remote.push(CallEvent::Local(state));
        }
    }

    /// How loud the own voice is; 0 while it is muted.
    pub(super) fn level(&self) -> f64 {
        let sender = self.microphone.sender.borrow();
        sender.as_ref().map_or(0.0, AudioSender::level)
    }

    pub(super) fn stats(&self, now: Timestamp) -> Vec<LocalTrackStats> {
        let microphone = self.microphone.sender.borrow();
        let camera = self.camera.sender.borrow();
        let screen = self.screen.sender.borrow();
        let videos = [(camera.as_ref(), &self.camera), (screen.as_ref(), &self.screen)];
        let videos = videos.into_iter().filter_map(|(sender, slot)| {
            Some(LocalTrackStats {
                layers_wanted: slot.layers.borrow().clone(),
                ..sender?.stats(now)
            })
        });
        microphone
            .iter()
            .map(|sender| sender.stats(now))
            .chain(videos)
            .collect()
    }

    /// Closes all devices; the call is over.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.microphone.sender.take();
        self.camera.sender.take();
        self.screen.sender.take();
        self.show_self();
        self.tell();
    }
}

/// What the own person starts with.
pub(super) struct Start {
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
