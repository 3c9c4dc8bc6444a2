//! From raw pictures to encoded ones.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::elements::{QueueBound, caps_filter, chain, leaky_queue, make};
use crate::arguments::{Codec, VideoArguments};

/// Raw pictures waiting for the encoder. One is being encoded, one waits; when the client or the
/// encoder is slower than the camera, the older one is dropped, before it costs anything.
pub(super) const QUEUE: u32 = 2;
/// Frames between keyframes nobody asked for. Receivers ask when they need one, so this only
/// bounds the damage of a request that is lost: a minute and a half at 30 frames per second.
const KEYFRAME_DISTANCE: i32 = 2_700;
/// Speed of libvpx's realtime mode: 0 to 16, higher is faster and coarser. 8 is where 720p at 30
/// frames per second fits into one core of a Raspberry Pi 4.
const VPX_SPEED: i32 = 8;
/// Never coarser than this on libvpx's scale of 63: below it a picture is mush, so frames get
/// larger instead for a moment.
const VPX_MAX_QUANTIZER: i32 = 56;
/// Milliseconds of video that the rate control may spend at once: a long one lets keyframes
/// clog the path, a short one makes them ugly.
const RATE_WINDOW_MS: i32 = 600;
/// The largest keyframe, in percent of an average frame.
const MAX_KEYFRAME_PERCENT: i32 = 900;

/// The part of a pipeline between raw pictures and the sink.
pub(super) struct VideoBranch {
    /// Where raw pictures go in.
    pub(super) input: gst::Element,
    /// Lets raw pictures through to the encoder, or drops them.
    pub(super) valve: gst::Element,
    /// What turns the ones into the others.
    pub(super) encoder: gst::Element,
    /// How many of them are let through.
    pub(super) pace: Arc<Pace>,
    /// Where encoded ones come out.
    pub(super) output: gst::Element,
}

/// Adds the branch to the pipeline. With `pace`, pictures of any size and rate come as fast as they
/// can be read; they are brought to the wanted size and rate and held until they are due.
pub(super) fn branch(bin: &gst::Bin, settings: &VideoArguments, pace: bool) -> anyhow::Result<VideoBranch> {
    let queue = leaky_queue(QueueBound::Buffers(QUEUE))?;
    let valve = make("valve")?;
    // The end of a file passes also while nobody watches.
    valve.set_property_from_str("drop-mode", "forward-sticky-events");
    let convert = make("videoconvert")?;
    let filter = caps_filter(&encoder_caps(settings))?;
    let mut elements = Vec::new();
    if pace {
        let scale = make("videoscale")?;
        scale.set_property("add-borders", true);
        // The pacer comes before the queue, which would drop what is early.
        elements.extend([
            make("videorate")?,
            make("clocksync")?,
            queue,
            valve.clone(),
            scale,
        ]);
    } else {
        elements.extend([queue, valve.clone()]);
    }
    elements.extend([convert, filter]);
    let encoders = encoder(settings)?;
    let encoder = encoders.first().cloned();
    elements.extend(encoders);
    let pace = Arc::new(Pace::default());
    pace.apply_to(&valve);
    chain(bin, &elements.iter().collect::<Vec<_>>())?;
    let output = elements.pop();
    let input = elements.into_iter().next();
    input
        .zip(output)
        .zip(encoder)
        .map(|((input, output), encoder)| VideoBranch {
            input,
            valve,
            encoder,
            pace,
            output,
        })
        .ok_or_else(|| anyhow::anyhow!("a video branch has at least two elements"))
}

/// Leaves out pictures, so that no more are encoded in a second than are wanted. No other caps come of it,
/// with which encoders would begin anew.
#[derive(Default)]
pub(super) struct Pace {
    /// 0 lets all pass.
    frames_per_second: AtomicU32,
}

impl Pace {
    pub(super) fn set(&self, frames_per_second: u32) {
        self.frames_per_second.store(frames_per_second, Ordering::Relaxed);
    }

    fn apply_to(self: &Arc<Self>, element: &gst::Element) {
        let Some(pad) = element.static_pad("sink") else {
            return;
        };
        let pace = Arc::clone(self);
        let due = Mutex::new(None);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let time = info.buffer().and_then(|buffer| buffer.pts());
            let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
            match time {
                Some(time) if !pace.is_due(&mut due, time) => gst::PadProbeReturn::Drop,
                _ => gst::PadProbeReturn::Ok,
            }
        });
    }

    /// Whether a picture of this time is wanted; `due` is when the next one is. Cameras are not exact: one that
    /// comes a little early is in time.
    fn is_due(&self, due: &mut Option<gst::ClockTime>, time: gst::ClockTime) -> bool {
        let frames_per_second = self.frames_per_second.load(Ordering::Relaxed);
        if frames_per_second == 0 {
            return true;
        }
        let interval = gst::ClockTime::SECOND / u64::from(frames_per_second);
        // Times that jump back begin anew.
        let next = due.filter(|due| *due <= time + interval * 2).unwrap_or(time);
        if time + interval / 3 < next {
            return false;
        }
        // After a pause the rhythm begins anew.
        *due = Some((next + interval).max(time + interval / 2));
        true
    }
}

/// Raw pictures in the one format that all three encoders take.
fn encoder_caps(settings: &VideoArguments) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", settings.resolution.width as i32)
        .field("height", settings.resolution.height as i32)
        .field("framerate", gst::Fraction::new(settings.fps as i32, 1))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build()
}

fn encoder(settings: &VideoArguments) -> anyhow::Result<Vec<gst::Element>> {
    match settings.codec {
        Codec::Vp8 => Ok(vec![vpx("vp8enc", settings)?]),
        Codec::Vp9 => {
            let encoder = vpx("vp9enc", settings)?;
            encoder.set_property("row-mt", true);
            Ok(vec![encoder])
        }
        Codec::H264 => x264(settings),
    }
}

/// Gives a running encoder another bitrate, bits per second. No keyframe comes of it but with x264.
pub(super) fn set_bitrate(encoder: &gst::Element, bits_per_second: u32) {
    if encoder.has_property("target-bitrate") {
        encoder.set_property("target-bitrate", bits_per_second as i32);
    } else {
        encoder.set_property("bitrate", (bits_per_second / 1000).max(1));
    }
}

fn vpx(factory: &str, settings: &VideoArguments) -> anyhow::Result<gst::Element> {
    let encoder = make(factory)?;
    encoder.set_property("deadline", 1_i64);
    encoder.set_property("cpu-used", VPX_SPEED);
    encoder.set_property("lag-in-frames", 0_i32);
    encoder.set_property_from_str("end-usage", "cbr");
    encoder.set_property("target-bitrate", settings.bitrate_kbps as i32 * 1000);
    encoder.set_property("buffer-size", RATE_WINDOW_MS);
    encoder.set_property("buffer-initial-size", RATE_WINDOW_MS / 2);
    encoder.set_property("buffer-optimal-size", RATE_WINDOW_MS * 2 / 3);
    encoder.set_property("max-intra-bitrate", MAX_KEYFRAME_PERCENT);
    encoder.set_property("max-quantizer", VPX_MAX_QUANTIZER);
    encoder.set_property("keyframe-max-dist", KEYFRAME_DISTANCE);
    encoder.set_property("threads", threads());
    Ok(encoder)
}

/// A byte stream with the parameter sets before every keyframe, so that receivers need no
/// description besides the frames.
fn x264(settings: &VideoArguments) -> anyhow::Result<Vec<gst::Element>> {
    let encoder = make("x264enc")?;
    encoder.set_property_from_str("tune", "zerolatency");
    encoder.set_property_from_str("speed-preset", "superfast");
    encoder.set_property("bitrate", settings.bitrate_kbps);
    encoder.set_property("vbv-buf-capacity", RATE_WINDOW_MS as u32);
    encoder.set_property("key-int-max", KEYFRAME_DISTANCE as u32);
    encoder.set_property("bframes", 0_u32);
    encoder.set_property("threads", threads() as u32);
    let parser = make("h264parse")?;
    parser.set_property("config-interval", -1_i32);
    let filter = caps_filter(
        &gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .field("profile", "constrained-baseline")
            .build(),
    )?;
    Ok(vec![encoder, parser, filter])
}

/// Half of the processors, for the machine has other things to do; more than four gain nothing.
fn threads() -> i32 {
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    (processors / 2).clamp(1, 4) as i32
}
