//! Takes pictures out of a `<video>` that plays the track, where there is no `MediaStreamTrackProcessor`, and
//! posts them to the engine (WICG requestVideoFrameCallback; WebCodecs §9.4, `VideoFrame` of an element).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use gloo::timers::callback::Interval;
use js_sys::Function;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    HtmlVideoElement, MediaStream, MediaStreamTrack, MessageChannel, MessagePort, VideoFrame, VideoFrameInit,
};

use super::super::js::{self, Listener};
use super::port::PortWriter;

/// Pictures that are with the engine and that it has not taken: when it is behind, new ones are left out.
const MAX_AHEAD: u64 = 2;

/// The element says when it has a new picture, but not on a page that is hidden, and in some browsers never.
/// So it is looked at this often: pictures of a hidden page are as many.
const LOOK: Duration = Duration::from_millis(100);

/// The same where the element never says: 30 pictures a second.
const LOOK_ALWAYS: Duration = Duration::from_millis(33);

/// Called with the time and what is known of the picture.
type OnPicture = Closure<dyn FnMut(f64, JsValue)>;

/// Posts the pictures of a track until it is dropped.
#[derive(Debug)]
pub(super) struct Pump {
    state: Rc<State>,
    _looks: Interval,
    _ended: Listener,
}

#[derive(Debug)]
struct State {
    video: HtmlVideoElement,
    writer: PortWriter,
    /// What the element calls with each picture.
    on_picture: RefCell<Option<OnPicture>>,
    /// When the element was last asked and has not answered: milliseconds of the page's clock.
    called_at: Cell<f64>,
    /// The element's position at the picture that was posted last, seconds.
    position: Cell<f64>,
}

impl Pump {
    /// Starts; the port is for the engine.
    pub(super) fn start(track: &MediaStreamTrack) -> Result<(Self, MessagePort), JsValue> {
        let channel = MessageChannel::new()?;
        let video = element(track)?;
        let state = Rc::new(State {
            video,
            writer: PortWriter::new(channel.port1()),
            on_picture: RefCell::default(),
            called_at: Cell::new(f64::NEG_INFINITY),
            position: Cell::new(-1.0),
        });
        let tells = state.listen();
        let looks = Interval::new(millis(if tells { LOOK } else { LOOK_ALWAYS }), {
            let state = state.clone();
            move || state.look(tells)
        });
        let ended = Listener::new(track, "ended", {
            let state = state.clone();
            move |_| state.writer.end()
        });
        let pump = Self {
            state,
            _looks: looks,
            _ended: ended,
        };
        Ok((pump, channel.port2()))
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // The callback holds the state, and the state the callback.
        self.state.on_picture.take();
        self.state.video.set_src_object(None);
    }
}

impl State {
    /// Hears of each picture from now on. False: this browser's elements do not say.
    fn listen(self: &Rc<Self>) -> bool {
        if !js::get(&self.video, "requestVideoFrameCallback").is_function() {
            return false;
        }
        let state = Rc::downgrade(self);
        let on_picture = OnPicture::new(move |now, metadata| {
            if let Some(state) = state.upgrade() {
                state.called_at.set(now);
                state.take(stamp_of(&metadata).unwrap_or(now));
                state.ask();
            }
        });
        self.on_picture.replace(Some(on_picture));
        self.ask();
        true
    }

    fn ask(&self) {
        let ask = js::get(&self.video, "requestVideoFrameCallback");
        if let (Some(ask), Some(on_picture)) = (ask.dyn_ref::<Function>(), self.on_picture.borrow().as_ref())
        {
            // Fails on what is no function only.
            ask.call1(&self.video, on_picture.as_ref()).ok();
        }
    }

    /// Takes a picture if there is a new one of which nothing was said.
    fn look(&self, tells: bool) {
        let now = js::window()
            .and_then(|window| window.performance())
            .map_or(0.0, |performance| performance.now());
        let is_told = tells && now - self.called_at.get() < 2.0 * f64::from(millis(LOOK));
        if !is_told && self.video.current_time() > self.position.get() {
            self.take(now);
        }
    }

    /// Posts the picture that the element shows, captured at this time of the page's clock in milliseconds.
    fn take(&self, captured_at: f64) {
        self.position.set(self.video.current_time());
        if self.writer.ahead() >= MAX_AHEAD {
            return;
        }
        let init = VideoFrameInit::new();
        init.set_timestamp_f64((captured_at * 1000.0).round());
        // Fails before the first picture, and when the element has lost its last.
        if let Ok(picture) = VideoFrame::new_with_html_video_element_and_video_frame_init(&self.video, &init)
        {
            self.writer.send(&picture);
        }
    }
}

/// When the device delivered a picture, else when the element got it.
fn stamp_of(metadata: &JsValue) -> Option<f64> {
    ["captureTime", "presentationTime"]
        .into_iter()
        .find_map(|name| js::get(metadata, name).as_f64())
}

/// An element that plays the track, on no page.
fn element(track: &MediaStreamTrack) -> Result<HtmlVideoElement, JsValue> {
    let document = js::window()
        .and_then(|window| window.document())
        .ok_or("this page has no document")?;
    let video: HtmlVideoElement = document.create_element("video")?.dyn_into()?;
    video.set_muted(true);
    js::set(&video, "playsInline", &JsValue::TRUE);
    let stream = MediaStream::new()?;
    stream.add_track(track);
    video.set_src_object(Some(&stream));
    // Muted elements may play without a click.
    js::ignore(video.play()?.unchecked_into());
    Ok(video)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
