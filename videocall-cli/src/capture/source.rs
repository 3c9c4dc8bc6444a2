//! Where raw pictures and sound come from.

use std::path::Path;

use anyhow::{Context as _, bail};
use gstreamer as gst;
use gstreamer::prelude::*;

use super::audio;
use super::elements::{caps_filter, chain, make};
use crate::arguments::{AudioArguments, FrameFormat, Source, VideoArguments};
use crate::devices::{self, Camera};

/// Moves the colour bars of the test source, pixels per frame: enough to see, too little to make
/// the encoder sweat.
const TEST_SPEED: i32 = 4;
/// Loudness of the tone of the test source, of 1.
const TONE_VOLUME: f64 = 0.4;
/// What a microphone hands over at a time, microseconds: one Opus frame.
const MICROPHONE_LATENCY_US: i64 = 20_000;

/// What a live source consists of; the elements are in the pipeline already.
pub(super) struct LiveSource {
    pub(super) video: gst::Element,
    /// Absent when no sound is wanted or none is to be had.
    pub(super) audio: Option<gst::Element>,
}

/// Adds a test source or a camera and a microphone.
pub(super) fn live(
    bin: &gst::Bin,
    video: &VideoArguments,
    audio: &AudioArguments,
) -> anyhow::Result<LiveSource> {
    let test = video.source == Some(Source::Test);
    Ok(LiveSource {
        video: if test {
            test_picture(bin, video)?
        } else {
            camera(bin, video)?
        },
        audio: match audio.no_audio {
            true => None,
            false if test => Some(tone(bin, audio.tone_hz)?),
            false => microphone(bin, audio.audio_device.as_deref())?,
        },
    })
}

/// Adds a file's reader, whose pads appear once its content is known.
pub(super) fn file(bin: &gst::Bin, path: &Path) -> anyhow::Result<gst::Element> {
    if !path.is_file() {
        bail!("there is no file {}; check --source", path.display());
    }
    let reader = make("filesrc")?;
    reader.set_property("location", path.to_string_lossy().as_ref());
    let decoder = make("decodebin")?;
    chain(bin, &[&reader, &decoder])?;
    Ok(decoder)
}

/// The capabilities asked of a source of this size, rate and format.
fn source_caps(video: &VideoArguments) -> gst::Caps {
    let caps = match video.frame_format.raw_name() {
        Some(format) => gst::Caps::builder("video/x-raw").field("format", format),
        None => gst::Caps::builder("image/jpeg"),
    };
    caps.field("width", video.resolution.width as i32)
        .field("height", video.resolution.height as i32)
        .field("framerate", gst::Fraction::new(video.fps as i32, 1))
        .build()
}

fn test_picture(bin: &gst::Bin, video: &VideoArguments) -> anyhow::Result<gst::Element> {
    if video.frame_format == FrameFormat::Mjpg {
        bail!(
            "--source test has no {:?}; use --frame-format NV12",
            video.frame_format
        );
    }
    let source = make("videotestsrc")?;
    source.set_property_from_str("pattern", "smpte75");
    source.set_property("horizontal-speed", TEST_SPEED);
    source.set_property("is-live", true);
    let filter = caps_filter(&source_caps(video))?;
    chain(bin, &[&source, &filter])?;
    Ok(filter)
}

fn tone(bin: &gst::Bin, hz: u32) -> anyhow::Result<gst::Element> {
    let source = make("audiotestsrc")?;
    source.set_property_from_str("wave", "sine");
    source.set_property("freq", f64::from(hz));
    source.set_property("volume", TONE_VOLUME);
    source.set_property("is-live", true);
    let samples = u64::from(audio::SAMPLE_RATE) * audio::FRAME.mseconds() / 1000;
    source.set_property("samplesperbuffer", samples as i32);
    let filter = caps_filter(
        &gst::Caps::builder("audio/x-raw")
            .field("rate", audio::SAMPLE_RATE as i32)
            .build(),
    )?;
    chain(bin, &[&source, &filter])?;
    Ok(filter)
}

fn camera(bin: &gst::Bin, video: &VideoArguments) -> anyhow::Result<gst::Element> {
    let camera = devices::camera(video.video_device_index.unwrap_or(0))?;
    let caps = source_caps(video);
    check_capabilities(&camera, video, &caps)?;
    let source = make("v4l2src")?;
    source.set_property("device", &camera.path);
    let filter = caps_filter(&caps)?;
    chain(bin, &[&source, &filter])?;
    if video.frame_format != FrameFormat::Mjpg {
        return Ok(filter);
    }
    let decoder = make("jpegdec")?;
    chain(bin, &[&decoder])?;
    filter
        .link(&decoder)
        .context("the camera's pictures do not fit the JPEG decoder")?;
    Ok(decoder)
}

/// Says what the camera offers instead of letting the negotiation fail somewhere in the middle.
fn check_capabilities(camera: &Camera, video: &VideoArguments, caps: &gst::Caps) -> anyhow::Result<()> {
    if camera.caps.can_intersect(caps) {
        return Ok(());
    }
    bail!(
        "camera {index} ({name}) does not offer {format:?} {resolution} at {fps} frames per second; \
         see `videocall-cli info --list-resolutions {index}`",
        index = camera.index,
        name = camera.name,
        format = video.frame_format,
        resolution = video.resolution,
        fps = video.fps,
    )
}

/// `None` when none was asked for and there is none.
fn microphone(bin: &gst::Bin, wanted: Option<&str>) -> anyhow::Result<Option<gst::Element>> {
    let Some(device) = devices::microphone(wanted)? else {
        return Ok(None);
    };
    let source = device
        .create_element(None)
        .with_context(|| format!("the microphone {} cannot be opened", device.display_name()))?;
    if source.has_property_with_type("latency-time", i64::static_type()) {
        source.set_property("latency-time", MICROPHONE_LATENCY_US);
    }
    chain(bin, &[&source])?;
    Ok(Some(source))
}
