//! One video track of somebody else: from frames to what shows them.
//!
//! It decides what is decoded: nothing while nobody looks, nothing whose references are missing, and no
//! enhancement while the decoder is behind.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

use videocall_types::limits::KEYFRAME_REQUEST_INTERVAL;
use videocall_types::{DecoderConfig, DependencyTracker, Frame, Timestamp, TrackKind, TrackRef};
use wasm_bindgen_futures::spawn_local;
use web_sys::VideoFrame;

use super::guard::Guard;
use super::painter::{Painter, Picture};
use super::surface::Surface;
use super::timing::Timing;
use super::video_decoder::{PictureDecoder, Preference};
use crate::Client;
use crate::media::freeze::FreezeMeter;
use crate::media::path::PathMeter;
use crate::media::playout::PicturePlayout;
use crate::media::rate::RateMeter;
use crate::media::transit::transit_us;
use crate::stats::LayerNumber;
use crate::transport::web::{WebClock, sleep};

/// Frames in the decoder beyond which enhancement layers are left out.
const SLOW_DECODER: u32 = 4;

/// Frames in the decoder beyond which everything is left out until a keyframe: half a second at 30 fps.
const STUCK_DECODER: u32 = 15;

/// A decoder that takes so many frames during a freeze and puts none out gets no more.
const SWALLOWED: u32 = 5;

/// Share of each new value in the delay that is told.
const SMOOTHING: f64 = 1.0 / 8.0;

/// A picture is seen with the display's next refresh: it is shown when that is the one nearest to its time.
const REFRESH: Duration = Duration::from_micros(16_667);

/// A track without a surface keeps what came since its last keyframe for this long after it appeared or was
/// detached, so that the first picture is there when the page has made room for it.
const BACKLOG_TIME: Duration = Duration::from_secs(2);

/// Bounds of what is kept meanwhile; beyond, all of it is dropped until the next keyframe.
const MAX_BACKLOG_FRAMES: usize = 64;
const MAX_BACKLOG_BYTES: usize = 1024 * 1024;

/// After so many failures in a row, pictures count as undecodable: one or two are what a lost piece of hardware leads to.
const UNDECODABLE_FAILURES: u32 = 3;

/// After so many failures in a row, keyframes are asked for less and less often: every 16 s in the end.
const MAX_FAILURE_DOUBLINGS: u32 = 5;

/// What a track has decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct VideoFigures {
    /// Frames that arrived, and their bytes.
    pub(crate) received: RateMeter,
    /// Pictures that came out of the decoder.
    pub(crate) decoded: RateMeter,
    /// Frames that arrived and were not decoded.
    pub(crate) dropped: u64,
    pub(crate) codec: Option<String>,
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) layer: Option<LayerNumber>,
    pub(crate) path: PathMeter,
    /// Of cameras: screens may stand still.
    pub(crate) freezes: Option<FreezeMeter>,
    /// When the last picture came out.
    pub(crate) last_picture: Option<Timestamp>,
    /// From capture to being drawn by the two clocks, over some pictures: microseconds.
    pub(crate) lag_us: Option<f64>,
    /// By how much pictures are seen later than their sound is heard, milliseconds.
    pub(crate) offset_ms: Option<f64>,
}

/// A video track of somebody else.
pub(crate) struct RemoteVideo(Rc<State>);

struct State {
    track: TrackRef,
    client: Client,
    painter: Painter,
    timing: Rc<Timing>,
    picture: Rc<Picture>,
    decoder: RefCell<Option<PictureDecoder>>,
    tracker: RefCell<DependencyTracker>,
    spatial: Cell<u8>,
    backlog: RefCell<Backlog>,
    figures: RefCell<VideoFigures>,
    /// Frames that the decoder got since its last picture.
    swallowed: Cell<u32>,
    /// Decoders that failed since the last picture.
    failures: Cell<u32>,
    keyframe_requested: Cell<Option<Timestamp>>,
    /// Pictures that wait for their time, and whether a timer runs for them.
    held: RefCell<PicturePlayout<Guard<VideoFrame>>>,
    waiting: Cell<bool>,
    /// Told of the first picture and of every first one after a pause.
    on_picture: Box<dyn Fn()>,
}

#[derive(Default)]
struct Backlog {
    frames: VecDeque<Frame>,
    bytes: usize,
    until: Timestamp,
}

impl RemoteVideo {
    /// A track that was not seen before. `on_picture` is called for every decoded picture.
    pub(crate) fn new(
        (track, kind): (TrackRef, TrackKind),
        client: Client,
        painter: Painter,
        timing: Rc<Timing>,
        on_picture: impl Fn() + 'static,
    ) -> Self {
        let backlog = Backlog {
            until: WebClock::now() + BACKLOG_TIME,
            ..Backlog::default()
        };
        Self(Rc::new(State {
            track,
            client,
            painter,
            timing,
            picture: Rc::default(),
            decoder: RefCell::default(),
            tracker: RefCell::default(),
            spatial: Cell::new(0),
            backlog: RefCell::new(backlog),
            figures: RefCell::default(),
            swallowed: Cell::new(0),
            failures: Cell::new(0),
            keyframe_requested: Cell::default(),
            held: RefCell::new(PicturePlayout::new(kind)),
            waiting: Cell::new(false),
            on_picture: Box::new(on_picture),
        }))
    }

    /// Takes a frame as it arrives.
    pub(crate) fn take(&self, frame: Frame, now: Timestamp) {
        let state = &self.0;
        state.note(&frame, now);
        if state.picture.has_surface() {
            state.decode(&frame, now);
        } else {
            state.backlog.borrow_mut().keep(frame, now);
        }
    }

    /// Shows its pictures here from the first frame on.
    pub(crate) fn begin_on(&self, surface: Option<Surface>) {
        self.0.painter.set_surface(&self.0.picture, surface);
    }

    /// Shows its pictures here from now on, or nowhere.
    pub(crate) fn set_surface(&self, surface: Option<Surface>, now: Timestamp) {
        let state = &self.0;
        if surface
            .as_ref()
            .is_some_and(|surface| state.picture.is_on(surface))
        {
            return;
        }
        let was_seen = state.picture.has_surface();
        state.painter.set_surface(&state.picture, surface);
        match (was_seen, state.picture.has_surface()) {
            (false, true) => state.resume(now),
            (true, false) => state.pause(now),
            _ => {}
        }
    }

    /// The sender shows nothing for now.
    pub(crate) fn rest(&self) {
        self.0.rest();
    }

    pub(crate) fn figures(&self, now: Timestamp) -> VideoFigures {
        VideoFigures {
            offset_ms: self.0.timing.lips.borrow().offset_ms(now),
            ..self.0.figures.borrow().clone()
        }
    }

    /// Whether its decoders have failed again and again since the last picture.
    pub(crate) fn is_undecodable(&self) -> bool {
        self.0.failures.get() >= UNDECODABLE_FAILURES
    }

    pub(crate) fn last_picture(&self) -> Option<Timestamp> {
        self.0.figures.borrow().last_picture
    }
}

impl Backlog {
    fn keep(&mut self, frame: Frame, now: Timestamp) {
        if frame.header.keyframe || now > self.until {
            self.frames.clear();
            self.bytes = 0;
        }
        // Without its keyframe nothing that follows is of use.
        if now > self.until || (self.frames.is_empty() && !frame.header.keyframe) {
            return;
        }
        self.bytes += frame.payload.len();
        self.frames.push_back(frame);
        if self.frames.len() > MAX_BACKLOG_FRAMES || self.bytes > MAX_BACKLOG_BYTES {
            self.frames.clear();
            self.bytes = 0;
        }
    }
}

impl State {
    fn note(&self, frame: &Frame, now: Timestamp) {
        self.timing.arrived(&frame.header, now);
        let mut figures = self.figures.borrow_mut();
        figures.received.add(frame.payload.len(), now);
        let header = &frame.header;
        if figures.layer.is_some_and(|layer| layer.spatial != header.spatial) {
            figures.path.renumber();
        }
        figures.path.arrived(header.sequence, header.capture_time_us, now);
        if header.kind == TrackKind::Camera {
            figures.freezes.get_or_insert_default();
        }
        figures.layer = Some(LayerNumber {
            spatial: header.spatial,
            temporal: header.temporal,
        });
        if let Some(decoder) = &frame.decoder {
            figures.codec = Some(decoder.codec.clone());
        }
    }

    /// Somebody looks: decodes what was kept, or asks for a picture.
    fn resume(self: &Rc<Self>, now: Timestamp) {
        let kept = std::mem::take(&mut *self.backlog.borrow_mut());
        if kept.frames.is_empty() {
            self.request_keyframe(now);
        }
        for frame in &kept.frames {
            self.decode(frame, now);
        }
    }

    /// Nobody looks any more. What comes next is kept for a moment: a page that rearranges its tiles takes
    /// surfaces away and gives new ones.
    fn pause(&self, now: Timestamp) {
        self.start_over();
        self.rest();
        self.backlog.borrow_mut().until = now + BACKLOG_TIME;
    }

    /// No picture is to be expected for now.
    fn rest(&self) {
        if let Some(freezes) = &mut self.figures.borrow_mut().freezes {
            freezes.pause();
        }
    }

    /// Only a keyframe can be decoded next.
    fn start_over(&self) {
        self.decoder.take();
        self.held.borrow_mut().clear();
        self.swallowed.set(0);
        self.tracker.borrow_mut().reset();
    }

    fn decode(self: &Rc<Self>, frame: &Frame, now: Timestamp) {
        if self
            .decoder
            .borrow()
            .as_ref()
            .is_some_and(PictureDecoder::has_failed)
        {
            self.start_over();
        }
        if !self.is_wanted(frame, now) || !self.prepare_decoder(frame) {
            self.figures.borrow_mut().dropped += 1;
            return;
        }
        let header = &frame.header;
        self.tracker.borrow_mut().pass(header.sequence, header.keyframe);
        let decoded = self
            .decoder
            .borrow()
            .as_ref()
            .map(|decoder| decoder.decode(frame));
        match decoded {
            Some(Err(_)) => self.fail(now),
            _ => self.swallowed.set(self.swallowed.get().saturating_add(1)),
        }
    }

    /// Whether the frame can be decoded, and the decoder has room for it.
    fn is_wanted(&self, frame: &Frame, now: Timestamp) -> bool {
        let header = &frame.header;
        if header.keyframe {
            self.spatial.set(header.spatial);
            return true;
        }
        let decodable = header.spatial == self.spatial.get()
            && self.tracker.borrow().is_decodable(
                header.sequence,
                header.keyframe,
                header.reference_distance,
            );
        // A missing enhancement heals with the next base frame.
        if !decodable && header.temporal == 0 {
            self.request_keyframe(now);
        }
        let waiting = self
            .decoder
            .borrow()
            .as_ref()
            .map_or(0, PictureDecoder::queue_size);
        if waiting > STUCK_DECODER || self.is_stuck(now) {
            self.start_over();
            self.request_keyframe(now);
            return false;
        }
        decodable && (waiting <= SLOW_DECODER || header.temporal == 0)
    }

    /// The picture stands still although the decoder gets frames: one that has lost its hardware says nothing.
    fn is_stuck(&self, now: Timestamp) -> bool {
        let figures = self.figures.borrow();
        let frozen = figures
            .freezes
            .as_ref()
            .is_some_and(|freezes| freezes.is_frozen(now));
        frozen && self.swallowed.get() >= SWALLOWED
    }

    /// Sees to it that there is a decoder for the frame. False: it cannot be decoded.
    fn prepare_decoder(self: &Rc<Self>, frame: &Frame) -> bool {
        let current = self
            .decoder
            .borrow()
            .as_ref()
            .map(|decoder| decoder.config().clone());
        let config = match (&frame.decoder, current) {
            (None, Some(_)) => return true,
            (Some(config), Some(current)) if *config == current => return true,
            (Some(config), _) if frame.header.keyframe => config,
            (Some(_), Some(_)) => return true,
            _ => return false,
        };
        match self.open_decoder(config) {
            Ok(decoder) => {
                self.decoder.replace(Some(decoder));
                true
            }
            Err(_) => {
                self.fail(WebClock::now());
                false
            }
        }
    }

    fn open_decoder(
        self: &Rc<Self>,
        config: &DecoderConfig,
    ) -> Result<PictureDecoder, wasm_bindgen::JsValue> {
        let (output, failure) = (Rc::downgrade(self), Rc::downgrade(self));
        let preference = if self.failures.get() == 0 {
            Preference::Quickest
        } else {
            Preference::None
        };
        PictureDecoder::open(
            config,
            preference,
            move |frame| with(&output, |state| state.show(frame)),
            move || with(&failure, |state| state.fail(WebClock::now())),
        )
    }

    fn show(self: &Rc<Self>, frame: Guard<VideoFrame>) {
        let now = WebClock::now();
        self.failures.set(0);
        self.swallowed.set(0);
        {
            let mut figures = self.figures.borrow_mut();
            figures.decoded.add(0, now);
            figures.size = Some((frame.display_width(), frame.display_height()));
            figures.last_picture = Some(now);
        }
        let captured = frame.timestamp() as u64;
        let in_sync = self.timing.lips.borrow().due(captured, now);
        let mut held = self.held.borrow_mut();
        held.push(frame, captured, in_sync, now);
        let shown = held.take(now, REFRESH);
        drop(held);
        if let Some(frame) = shown {
            self.draw(frame, now);
        }
        self.wait();
        (self.on_picture)();
    }

    /// Draws what is held when its time comes.
    fn wait(self: &Rc<Self>) {
        if self.held.borrow().is_empty() || self.waiting.replace(true) {
            return;
        }
        let state = Rc::downgrade(self);
        spawn_local(async move {
            while let Some(due) = state.upgrade().and_then(|state| state.held.borrow().next_due()) {
                sleep(due.since(WebClock::now())).await;
                with(&state, |state| {
                    let now = WebClock::now();
                    let due = state.held.borrow_mut().take(now, REFRESH);
                    if let Some(frame) = due {
                        state.draw(frame, now);
                    }
                });
            }
            with(&state, |state| state.waiting.set(false));
        });
    }

    fn draw(&self, frame: Guard<VideoFrame>, now: Timestamp) {
        let captured = frame.timestamp() as u64;
        self.painter.show(&self.picture, frame);
        self.drawn(captured, now);
    }

    fn drawn(&self, captured_us: u64, now: Timestamp) {
        self.timing.lips.borrow_mut().drawn(captured_us, now);
        let mut figures = self.figures.borrow_mut();
        if let Some(freezes) = &mut figures.freezes {
            freezes.shown(now);
        }
        let lag = transit_us(captured_us, now) as f64;
        let smoothed = figures
            .lag_us
            .map_or(lag, |before| before + (lag - before) * SMOOTHING);
        figures.lag_us = Some(smoothed);
    }

    /// The decoder can go on no more. It is dropped with the next frame, not here: this may be its own
    /// callback.
    fn fail(&self, now: Timestamp) {
        self.failures.set(self.failures.get().saturating_add(1));
        self.tracker.borrow_mut().reset();
        self.request_keyframe(now);
    }

    fn request_keyframe(&self, now: Timestamp) {
        let doublings = self.failures.get().saturating_sub(1).min(MAX_FAILURE_DOUBLINGS);
        let interval = KEYFRAME_REQUEST_INTERVAL * 2_u32.pow(doublings);
        let too_soon = self
            .keyframe_requested
            .get()
            .is_some_and(|requested| now.since(requested) < interval);
        if !too_soon {
            self.keyframe_requested.set(Some(now));
            // A client that has ended needs no picture.
            self.client.request_keyframe(self.track, self.spatial.get()).ok();
        }
    }
}

fn with(state: &Weak<State>, action: impl FnOnce(&Rc<State>)) {
    if let Some(state) = state.upgrade() {
        action(&state);
    }
}
