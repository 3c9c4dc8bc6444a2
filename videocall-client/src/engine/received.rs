//! Everybody else's tracks: frames to decoders, decoders to surfaces and loudspeaker, and whether there is
//! a picture to show.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use videocall_types::{Frame, LayerId, SessionId, Timestamp, TrackKind, TrackRef};
use wasm_bindgen::{JsCast, JsValue};

use super::report::Reporter;
use super::surfaces::Surfaces;
use crate::Client;
use crate::bridge::messages::SurfaceId;
use crate::bridge::port::object;
use crate::call::{CallEvent, PictureState, Roster, RosterChange};
use crate::media::web::painter::Painter;
use crate::media::web::remote_audio::RemoteAudio;
use crate::media::web::remote_video::RemoteVideo;
use crate::media::web::speaker::Speaker;
use crate::media::web::surface::Surface;
use crate::media::web::timing::Timing;
use crate::stats::{LayerStats, RemoteTrackStats};
use crate::transport::web::WebClock;

/// A camera without a new picture for this long is shown as waiting. Screens may stand still.
const STALLED_AFTER: Duration = Duration::from_secs(3);

/// All tracks that are received.
pub(super) struct Received {
    me: Weak<Self>,
    client: Client,
    page: Rc<Reporter>,
    speaker: Speaker,
    painter: Painter,
    /// The page can be seen.
    visible: Cell<bool>,
    /// When the page could be seen again after it was hidden: pictures that stood still meanwhile have
    /// not stalled.
    seen_since: Cell<Timestamp>,
    roster: RefCell<Roster>,
    videos: RefCell<HashMap<TrackRef, RemoteVideo>>,
    surfaces: RefCell<Surfaces>,
    audios: RefCell<HashMap<TrackRef, RemoteAudio>>,
    /// Of each participant's camera and microphone, and of what they share.
    timings: RefCell<HashMap<(SessionId, bool), Rc<Timing>>>,
    shown: RefCell<HashMap<TrackRef, Shown>>,
}

/// What the user interface was told of a track's picture.
#[derive(Clone, Copy, Debug)]
struct Shown {
    state: PictureState,
    /// Pictures from before, when the track was off, do not count.
    fresh_after: Timestamp,
}

impl Received {
    pub(super) fn new(client: Client, page: Rc<Reporter>) -> Rc<Self> {
        let first_picture = {
            let client = client.clone();
            // A client that has ended tells nothing.
            move || {
                client.picture_shown().ok();
            }
        };
        Rc::new_cyclic(|me: &Weak<Self>| Self {
            me: me.clone(),
            client,
            page,
            speaker: Speaker::default(),
            visible: Cell::new(true),
            painter: Painter::new(first_picture),
            seen_since: Cell::default(),
            roster: RefCell::default(),
            videos: RefCell::default(),
            surfaces: RefCell::default(),
            audios: RefCell::default(),
            timings: RefCell::default(),
            shown: RefCell::default(),
        })
    }

    /// Takes a change of the roster and passes it on.
    pub(super) fn change(&self, change: RosterChange) {
        self.roster.borrow_mut().apply(&change);
        self.forget_ended();
        self.push(CallEvent::Roster(change));
        self.refresh(WebClock::now());
    }

    /// Takes a frame.
    pub(super) fn take(&self, frame: Frame) {
        let now = WebClock::now();
        let track = frame.header.track_ref();
        if frame.header.kind.is_audio() {
            self.audios
                .borrow_mut()
                .entry(track)
                .or_insert_with(|| {
                    RemoteAudio::new(&self.speaker, self.timing(track.session, frame.header.kind))
                })
                .take(frame, now);
        } else {
            self.with_video(track, frame.header.kind, |video| video.take(frame, now));
        }
    }

    /// The page has handed over what shows pictures.
    pub(super) fn add_surface(&self, id: SurfaceId, surface: Surface) {
        self.surfaces.borrow_mut().add(id, surface);
    }

    /// A surface is gone from the page.
    pub(super) fn forget_surface(&self, id: SurfaceId) {
        self.surfaces.borrow_mut().forget(id);
    }

    /// Shows a track on this surface.
    pub(super) fn attach(&self, track: TrackRef, id: SurfaceId) {
        let surface = self.surfaces.borrow_mut().attach(track, id);
        if let Some(video) = self.videos.borrow().get(&track) {
            video.set_surface(surface, WebClock::now());
        }
    }

    /// Draws the track no more.
    pub(super) fn detach(&self, track: TrackRef) {
        self.surfaces.borrow_mut().detach(track);
        if let Some(video) = self.videos.borrow().get(&track) {
            video.set_surface(None, WebClock::now());
        }
    }

    /// Whether the page can be seen.
    pub(super) fn set_visible(&self, visible: bool) {
        if visible && !self.visible.get() {
            self.seen_since.set(WebClock::now());
        }
        self.visible.set(visible);
        // A client that has ended receives nothing anyway.
        self.client.set_paused(!visible).ok();
    }

    /// Plays through a port, and through memory if it came with any.
    ///
    /// # Errors
    /// When there is no port.
    pub(super) fn play_through(&self, mut objects: Vec<JsValue>) -> Result<(), String> {
        let memory = objects.pop().and_then(|memory| memory.dyn_into().ok());
        self.speaker.connect(object(objects)?, memory);
        Ok(())
    }

    /// From the worklet's output to the ear.
    pub(super) fn set_output_latency(&self, latency: Duration) {
        self.speaker.set_latency(latency);
    }

    /// Ends all decoding; to be called when the call is over.
    pub(super) fn close(&self) {
        self.videos.borrow_mut().clear();
        self.surfaces.take();
        self.audios.borrow_mut().clear();
        self.speaker.close();
    }

    /// Tells the user interface which pictures have come, gone or stalled.
    pub(super) fn refresh(&self, now: Timestamp) {
        if !self.visible.get() {
            return;
        }
        let tracks: Vec<_> = self
            .roster
            .borrow()
            .tracks()
            .filter(|(_, _, info)| !info.kind.is_audio())
            .map(|(track, _, info)| (track, info.kind, info.muted))
            .collect();
        for (track, kind, muted) in tracks {
            self.refresh_track(track, kind, muted, now);
        }
    }

    fn refresh_track(&self, track: TrackRef, kind: TrackKind, muted: bool, now: Timestamp) {
        let before = self.shown.borrow().get(&track).copied();
        let fresh_after = match before {
            Some(shown) if muted || shown.state != PictureState::Off => shown.fresh_after,
            Some(_) => now,
            None => Timestamp::ZERO,
        };
        let videos = self.videos.borrow();
        let video = videos.get(&track);
        if let Some(video) = video.filter(|_| muted) {
            video.rest();
        }
        let last_picture = video.and_then(RemoteVideo::last_picture);
        let undecodable = video.is_some_and(RemoteVideo::is_undecodable);
        drop(videos);
        let live = last_picture.is_some_and(|at| {
            at >= fresh_after
                && (kind == TrackKind::Screen || now.since(at.max(self.seen_since.get())) < STALLED_AFTER)
        });
        let state = match (muted, live) {
            (true, _) => PictureState::Off,
            (false, true) => PictureState::Live,
            (false, false) if undecodable => PictureState::Undecodable,
            (false, false) => PictureState::Waiting,
        };
        self.shown
            .borrow_mut()
            .insert(track, Shown { state, fresh_after });
        if before.is_none_or(|shown| shown.state != state) {
            self.push(CallEvent::Picture { track, state });
        }
    }

    /// A picture was decoded: the user interface hears of it when it is the first.
    fn picture_came(&self, track: TrackRef) {
        let waits = self
            .shown
            .borrow()
            .get(&track)
            .is_none_or(|shown| matches!(shown.state, PictureState::Waiting | PictureState::Undecodable));
        let info = self
            .roster
            .borrow()
            .track(track)
            .map(|info| (info.kind, info.muted));
        if let (true, Some((kind, muted))) = (waits, info) {
            self.refresh_track(track, kind, muted, WebClock::now());
        }
    }

    fn with_video(&self, track: TrackRef, kind: TrackKind, action: impl FnOnce(&RemoteVideo)) {
        let mut videos = self.videos.borrow_mut();
        let video = videos.entry(track).or_insert_with(|| {
            let me = self.me.clone();
            let timing = self.timing(track.session, kind);
            let (client, painter) = (self.client.clone(), self.painter.clone());
            let video = RemoteVideo::new((track, kind), client, painter, timing, move || {
                if let Some(received) = me.upgrade() {
                    received.picture_came(track);
                }
            });
            video.begin_on(self.surfaces.borrow().of(track));
            video
        });
        action(video);
    }

    fn forget_ended(&self) {
        let roster = self.roster.borrow();
        let exists = |track: &TrackRef| roster.track(*track).is_some();
        self.videos.borrow_mut().retain(|track, _| exists(track));
        self.audios.borrow_mut().retain(|track, _| exists(track));
        self.shown.borrow_mut().retain(|track, _| exists(track));
        // Those that are in use.
        self.timings
            .borrow_mut()
            .retain(|_, timing| Rc::strong_count(timing) > 1);
    }

    /// What picture and sound of one source share.
    fn timing(&self, session: SessionId, kind: TrackKind) -> Rc<Timing> {
        let shared = matches!(kind, TrackKind::Screen | TrackKind::ScreenAudio);
        self.timings
            .borrow_mut()
            .entry((session, shared))
            .or_default()
            .clone()
    }

    /// From a sender's capture to here, by what the clocks show.
    fn elapsed_ms(&self, track: TrackRef, kind: TrackKind, by_the_clocks_us: i64) -> Option<f64> {
        let shared = matches!(kind, TrackKind::Screen | TrackKind::ScreenAudio);
        let timings = self.timings.borrow();
        let clock = timings.get(&(track.session, shared))?.clock.borrow();
        clock.elapsed_ms(
            by_the_clocks_us,
            Duration::from_secs_f64(self.client.stats().rtt_ms? / 1000.0),
        )
    }

    /// Tells the user interface, with the whole roster when it has fallen behind.
    pub(super) fn push(&self, event: CallEvent) {
        self.page.event(event, || self.roster.borrow().whole());
    }

    /// How loud the sound is that is heard.
    pub(super) fn levels(&self, now: Timestamp) -> Vec<(TrackRef, f64)> {
        self.audios
            .borrow()
            .iter()
            .map(|(&track, audio)| (track, audio.level(now)))
            // What others send may decode to anything.
            .filter(|&(_, level)| level > 0.0 && level.is_finite())
            .collect()
    }

    /// Figures of every track of everybody.
    pub(super) fn stats(&self, now: Timestamp) -> Vec<RemoteTrackStats> {
        let layers = self.client.layer_stats();
        self.roster
            .borrow()
            .tracks()
            .map(|(track, participant, info)| {
                let mut stats = RemoteTrackStats {
                    muted: info.muted,
                    name: participant.display_name.clone(),
                    ..blank(track, info.kind)
                };
                add_layers(&mut stats, track, &layers);
                self.add_audio(&mut stats, track, now);
                self.add_video(&mut stats, track, now);
                stats
            })
            .collect()
    }

    fn add_audio(&self, stats: &mut RemoteTrackStats, track: TrackRef, now: Timestamp) {
        let audios = self.audios.borrow();
        let Some(audio) = audios.get(&track) else { return };
        let figures = audio.figures(now);
        stats.codec = figures.codec;
        stats.frames_received = stats.frames_received.max(figures.received.frames());
        let player = figures.player;
        stats.frames_decoded = player.decoded;
        stats.frames_dropped += player.jitter.late + player.jitter.duplicates + player.jitter.skipped;
        stats.bitrate_bps = figures.received.bits_per_second(now);
        stats.loss_pct = figures.path.loss_percent(now);
        stats.jitter_ms = Some(figures.path.jitter_ms());
        stats.jitter_buffer_ms = Some(player.jitter.buffered_ms + figures.queued_ms);
        stats.jitter_target_ms = Some(player.jitter.target_ms);
        stats.concealed_samples = Some(player.concealed_samples);
        stats.longest_gap_ms = Some(player.jitter.longest_gap_us as f64 / 1000.0);
        stats.redundant_frames_used = Some(player.jitter.redundant_used);
        stats.mouth_to_ear_ms = figures
            .lag_us
            .and_then(|lag| self.elapsed_ms(track, stats.kind, lag));
        stats.shared_memory = Some(figures.is_shared);
        stats.audio_level = Some(figures.level);
        stats.dominant_frequency_hz = figures.tone_hz;
    }

    fn add_video(&self, stats: &mut RemoteTrackStats, track: TrackRef, now: Timestamp) {
        let videos = self.videos.borrow();
        let Some(video) = videos.get(&track) else { return };
        let figures = video.figures(now);
        stats.codec = figures.codec;
        // The client's own figures are some tenths of a second old.
        stats.frames_received = stats.frames_received.max(figures.received.frames());
        stats.frames_decoded = figures.decoded.frames();
        stats.frames_dropped += figures.dropped;
        stats.bitrate_bps = figures.received.bits_per_second(now);
        stats.loss_pct = figures.path.loss_percent(now);
        stats.jitter_ms = Some(figures.path.jitter_ms());
        if let Some(freezes) = figures.freezes {
            stats.freeze_count = Some(freezes.count(now));
            stats.freeze_ms_total = Some(freezes.total(now).as_secs_f64() * 1000.0);
        }
        stats.width = figures.size.map(|size| size.0);
        stats.height = figures.size.map(|size| size.1);
        stats.fps = Some(figures.decoded.frames_per_second(now));
        stats.layer = figures.layer;
        stats.av_offset_ms = figures.offset_ms;
        stats.glass_to_glass_ms = figures
            .lag_us
            .and_then(|lag| self.elapsed_ms(track, stats.kind, lag as i64));
    }
}

fn add_layers(stats: &mut RemoteTrackStats, track: TrackRef, layers: &[(LayerId, LayerStats)]) {
    for (_, layer) in layers.iter().filter(|(layer, _)| layer.track == track) {
        stats.frames_received += layer.frames_received;
        stats.frames_dropped += layer.frames_dropped;
        stats.bytes_received += layer.bytes_received;
    }
}

fn blank(track: TrackRef, kind: TrackKind) -> RemoteTrackStats {
    RemoteTrackStats {
        session: track.session,
        track: track.track,
        kind,
        name: String::new(),
        muted: false,
        codec: None,
        frames_received: 0,
        frames_decoded: 0,
        frames_dropped: 0,
        bytes_received: 0,
        bitrate_bps: 0.0,
        width: None,
        height: None,
        fps: None,
        layer: None,
        loss_pct: None,
        jitter_ms: None,
        freeze_count: None,
        freeze_ms_total: None,
        av_offset_ms: None,
        glass_to_glass_ms: None,
        mouth_to_ear_ms: None,
        shared_memory: None,
        jitter_buffer_ms: None,
        jitter_target_ms: None,
        concealed_samples: None,
        longest_gap_ms: None,
        redundant_frames_used: None,
        audio_level: None,
        dominant_frequency_hz: None,
    }
}
