//! The own microphone, camera and screen: what the page captures, announced and sent as far as the relay takes
//! it. Which devices these are, and when they are open, is the page's business.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use videocall_types::{Timestamp, TrackId, TrackKind};
use wasm_bindgen::JsValue;

use super::report::Reporter;
use crate::Client;
use crate::bridge::messages::{CaptureEnd, FromEngine, Opening};
use crate::call::{CallEvent, Notice};
use crate::core::{EncoderTarget, Receivers};
use crate::media::device_error::Source;
use crate::media::feed::FeedKind;
use crate::media::parameters::{CAMERA, SCREEN, SCREEN_SOUND_BITRATE_BPS, VOICE_BITRATE_BPS};
use crate::media::web::audio_sender::{AudioSender, AudioSource};
use crate::media::web::capture::{PictureSource, SoundSource};
use crate::media::web::js;
use crate::media::web::video_sender::{SenderEvent, VideoSender, VideoSource};
use crate::stats::LocalTrackStats;

const MICROPHONE_SOURCE: AudioSource = AudioSource {
    track: TrackId(1),
    kind: TrackKind::Microphone,
    bitrate_bps: VOICE_BITRATE_BPS,
};

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

const SCREEN_SOUND_SOURCE: AudioSource = AudioSource {
    track: TrackId(4),
    kind: TrackKind::ScreenAudio,
    bitrate_bps: SCREEN_SOUND_BITRATE_BPS,
};

/// What the own person sends.
pub(super) struct Sent {
    me: Weak<Self>,
    client: Client,
    page: Rc<Reporter>,
    muted: Cell<bool>,
    /// What the encoders are to do, and for whom, also for those that begin later.
    targets: RefCell<Vec<EncoderTarget>>,
    receivers: Cell<Receivers>,
    microphone: Slot<AudioSender>,
    camera: Slot<VideoSender>,
    screen: Slot<VideoSender>,
    screen_sound: Slot<AudioSender>,
}

/// One source.
struct Slot<S> {
    /// The capture in use; what an earlier one says is void.
    opening: Cell<Opening>,
    sender: RefCell<Option<S>>,
    /// The relay takes frames.
    accepted: Cell<bool>,
    /// Of pictures: the layers at which somebody looks; none was said to be looked at or not so far.
    layers: RefCell<Option<Vec<u8>>>,
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self {
            opening: Cell::default(),
            sender: RefCell::new(None),
            accepted: Cell::new(false),
            layers: RefCell::default(),
        }
    }
}

impl Slot<AudioSender> {
    /// Uses this sender from now on.
    fn begin_to_send(&self, opening: Opening, sender: AudioSender, targets: &[EncoderTarget]) {
        sender.set_flowing(self.accepted.get());
        sender.set_targets(targets);
        self.opening.set(opening);
        self.sender.replace(Some(sender));
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

impl Sent {
    /// Announces the tracks, so that they are part of the greeting.
    pub(super) fn new(client: Client, page: Rc<Reporter>, muted: bool, camera_off: bool) -> Rc<Self> {
        // A client that has just started takes commands.
        client.publish(MICROPHONE_SOURCE.describe(muted)).ok();
        client.publish(CAMERA_SOURCE.expected(camera_off)).ok();
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            client,
            page,
            muted: Cell::new(muted),
            targets: RefCell::default(),
            receivers: Cell::default(),
            microphone: Slot::default(),
            camera: Slot::default(),
            screen: Slot::default(),
            screen_sound: Slot::default(),
        })
    }

    /// Sends what this capture delivers, instead of what was sent of this source.
    pub(super) fn capture(&self, source: Source, opening: Opening, kind: FeedKind, object: JsValue) {
        let started = match source {
            Source::Microphone => self.capture_voice(opening, kind, object),
            Source::ScreenSound => self.capture_screen_sound(opening, kind, object),
            Source::Camera => self.capture_pictures(CAMERA_SOURCE, opening, kind, object),
            Source::Screen => self.capture_pictures(SCREEN_SOURCE, opening, kind, object),
        };
        if let Err(error) = started {
            let end = CaptureEnd::Failed(js::describe(&error));
            self.page.tell(&FromEngine::CaptureEnded(source, opening, end));
        }
    }

    fn capture_voice(&self, opening: Opening, kind: FeedKind, object: JsValue) -> Result<(), JsValue> {
        let sound = SoundSource::new(kind, object)?;
        let events = self.sender_events(Source::Microphone, opening);
        let sender = AudioSender::start(MICROPHONE_SOURCE, sound, self.client.clone(), events);
        sender.set_muted(self.muted.get());
        self.microphone
            .begin_to_send(opening, sender, &self.targets.borrow());
        // Fails when the client has ended; so below.
        self.client
            .set_muted(MICROPHONE_SOURCE.track, self.muted.get())
            .ok();
        Ok(())
    }

    fn capture_screen_sound(&self, opening: Opening, kind: FeedKind, object: JsValue) -> Result<(), JsValue> {
        let sound = SoundSource::new(kind, object)?;
        let events = self.sender_events(Source::ScreenSound, opening);
        let sender = AudioSender::start(SCREEN_SOUND_SOURCE, sound, self.client.clone(), events);
        sender.set_muted(false);
        self.screen_sound.accepted.set(false);
        self.screen_sound
            .begin_to_send(opening, sender, &self.targets.borrow());
        self.client.publish(SCREEN_SOUND_SOURCE.describe(false)).ok();
        Ok(())
    }

    fn capture_pictures(
        &self,
        source: VideoSource,
        opening: Opening,
        kind: FeedKind,
        object: JsValue,
    ) -> Result<(), JsValue> {
        let pictures = PictureSource::new(kind, object)?;
        let (device, slot) = match source.kind {
            TrackKind::Screen => (Source::Screen, &self.screen),
            _ => (Source::Camera, &self.camera),
        };
        if device == Source::Screen {
            slot.accepted.set(false);
            slot.layers.take();
        }
        let events = self.sender_events(device, opening);
        slot.opening.set(opening);
        let sender = VideoSender::start(source, pictures, self.client.clone(), events);
        sender.set_targets(&self.targets.borrow());
        sender.set_receivers(self.receivers.get());
        slot.begin_to_send(sender);
        match device {
            Source::Screen => self.client.publish(source.expected(false)).ok(),
            _ => self.client.set_muted(source.track, false).ok(),
        };
        Ok(())
    }

    /// What to do with the events of a sender, unless another one has taken its place.
    fn sender_events(&self, source: Source, opening: Opening) -> impl Fn(SenderEvent) + 'static {
        let me = self.me.clone();
        move |event| {
            if let Some(sent) = me.upgrade().filter(|sent| sent.opening(source) == opening) {
                sent.hear(source, opening, event);
            }
        }
    }

    fn opening(&self, source: Source) -> Opening {
        match source {
            Source::Microphone => self.microphone.opening.get(),
            Source::Camera => self.camera.opening.get(),
            Source::Screen => self.screen.opening.get(),
            Source::ScreenSound => self.screen_sound.opening.get(),
        }
    }

    fn hear(&self, source: Source, opening: Opening, event: SenderEvent) {
        let end = match event {
            SenderEvent::Described(info) => {
                self.client.publish(info).ok();
                return;
            }
            SenderEvent::SpeakingWhileMuted => {
                let event = CallEvent::Notice(Notice::SpeakingWhileMuted);
                self.page.event(event, || None);
                return;
            }
            SenderEvent::AskCamera(size) => {
                self.page.tell(&FromEngine::AskCamera(opening, size));
                return;
            }
            SenderEvent::Ended => CaptureEnd::Ended,
            SenderEvent::Failed(reason) => CaptureEnd::Failed(reason),
        };
        self.drop_sender(source);
        self.page.tell(&FromEngine::CaptureEnded(source, opening, end));
    }

    fn drop_sender(&self, source: Source) -> bool {
        match source {
            Source::Microphone => self.microphone.sender.take().is_some(),
            Source::Camera => self.camera.sender.take().is_some(),
            Source::Screen => self.screen.sender.take().is_some(),
            Source::ScreenSound => self.screen_sound.sender.take().is_some(),
        }
    }

    /// Sends nothing of this source any more, and says so.
    pub(super) fn release(&self, source: Source) {
        self.drop_sender(source);
        match source {
            Source::Microphone => self.client.set_muted(MICROPHONE_SOURCE.track, true).ok(),
            Source::Camera => self.client.set_muted(CAMERA_SOURCE.track, true).ok(),
            Source::Screen => self.client.unpublish(SCREEN_SOURCE.track).ok(),
            Source::ScreenSound => self.client.unpublish(SCREEN_SOUND_SOURCE.track).ok(),
        };
    }

    pub(super) fn set_muted(&self, muted: bool) {
        self.muted.set(muted);
        if let Some(sender) = self.microphone.sender.borrow().as_ref() {
            sender.set_muted(muted);
            self.client.set_muted(MICROPHONE_SOURCE.track, muted).ok();
        }
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
        for (source, slot) in self.sounds() {
            if which(source.track) {
                slot.accepted.set(accepted);
                if let Some(sender) = slot.sender.borrow().as_ref() {
                    sender.set_flowing(accepted);
                }
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

    /// What the encoders are to do.
    pub(super) fn aim(&self, targets: Vec<EncoderTarget>) {
        for (_, slot) in self.pictures() {
            if let Some(sender) = slot.sender.borrow().as_ref() {
                sender.set_targets(&targets);
            }
        }
        for (_, slot) in self.sounds() {
            if let Some(sender) = slot.sender.borrow().as_ref() {
                sender.set_targets(&targets);
            }
        }
        self.targets.replace(targets);
    }

    /// Who receives what is sent.
    pub(super) fn set_receivers(&self, receivers: Receivers) {
        self.receivers.set(receivers);
        for (_, slot) in self.pictures() {
            if let Some(sender) = slot.sender.borrow().as_ref() {
                sender.set_receivers(receivers);
            }
        }
    }

    pub(super) fn keyframe_wanted(&self, track: TrackId, spatial: u8) {
        for (source, slot) in self.pictures() {
            if let (true, Some(sender)) = (source.track == track, slot.sender.borrow().as_ref()) {
                sender.request_keyframe(spatial);
            }
        }
    }

    const fn sounds(&self) -> [(AudioSource, &Slot<AudioSender>); 2] {
        [
            (MICROPHONE_SOURCE, &self.microphone),
            (SCREEN_SOUND_SOURCE, &self.screen_sound),
        ]
    }

    fn pictures(&self) -> [(VideoSource, &Slot<VideoSender>); 2] {
        [(CAMERA_SOURCE, &self.camera), (SCREEN_SOURCE, &self.screen)]
    }

    /// How loud the own voice is; 0 while it is muted.
    pub(super) fn level(&self) -> f64 {
        let sender = self.microphone.sender.borrow();
        sender.as_ref().map_or(0.0, AudioSender::level)
    }

    pub(super) fn stats(&self, now: Timestamp) -> Vec<LocalTrackStats> {
        let microphone = self.microphone.sender.borrow();
        let screen_sound = self.screen_sound.sender.borrow();
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
            .chain(screen_sound.iter().map(|sender| sender.stats(now)))
            .collect()
    }

    /// Sends nothing more; the call is over.
    pub(super) fn close(&self) {
        self.microphone.sender.take();
        self.camera.sender.take();
        self.screen.sender.take();
        self.screen_sound.sender.take();
    }
}
