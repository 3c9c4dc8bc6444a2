//! Capture and encoding: a GStreamer pipeline whose encoded frames come out as data.
//!
//! Both tracks carry the time at which they were captured on one clock, that of the pipeline. What
//! happens to the frames is left to the caller; when it is slow, raw pictures are dropped in front
//! of the encoder, never encoded ones behind it.

pub(crate) mod audio;
mod codec;
mod elements;
mod level;
mod sink;
mod source;
mod video;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures::StreamExt as _;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use tokio::sync::mpsc;
use videocall_types::DecoderConfig;

use crate::arguments::{AudioArguments, Source, VideoArguments};

/// Encoded pictures waiting for the caller. When they are full the encoder waits, and the queue in
/// front of it drops.
const VIDEO_QUEUE: usize = 2;
/// Encoded sound waiting for the caller: 200 ms, after which the queue in front of the encoder drops.
const AUDIO_QUEUE: usize = 10;
/// An audio frame in so many carries the decoder's configuration, for those who join: one a second.
const AUDIO_CONFIG_INTERVAL: u64 = 50;

/// What a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Video,
    Audio,
}

/// An encoded frame.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) media: Media,
    /// When it was captured, microseconds on the system's monotonic clock.
    pub(crate) capture_time_us: u64,
    /// Decodable on its own; true on all sound.
    pub(crate) keyframe: bool,
    /// How long it lasts, microseconds; 0 when unknown.
    pub(crate) duration_us: u32,
    /// As in RFC 6464; on sound only.
    pub(crate) audio_level: Option<u8>,
    /// On keyframes of video, on some of sound.
    pub(crate) decoder: Option<DecoderConfig>,
    pub(crate) payload: Bytes,
}

/// What of the video branch is still needed once it runs.
#[derive(Default)]
struct VideoEnds {
    valve: Option<gst::Element>,
    encoder: Option<gst::Element>,
    pace: Option<Arc<video::Pace>>,
    sink: Option<gst::Element>,
    /// Nobody watches; kept for a branch that is only found later.
    closed: bool,
    /// Other than those of the settings; kept likewise.
    aim: Option<Aim>,
}

/// What pictures are to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aim {
    pub(crate) bits_per_second: u32,
    pub(crate) frames_per_second: u32,
}

impl VideoEnds {
    fn obey(&self) {
        let Some(aim) = self.aim else { return };
        if let Some(encoder) = &self.encoder {
            video::set_bitrate(encoder, aim.bits_per_second);
        }
        if let Some(pace) = &self.pace {
            pace.set(aim.frames_per_second);
        }
    }
}

/// What of the audio branch is still needed once it runs.
#[derive(Default)]
struct AudioEnds {
    encoder: Option<gst::Element>,
    /// As with pictures.
    bits_per_second: Option<u32>,
}

/// A running pipeline. It stops when this is dropped.
pub(crate) struct Capture {
    pipeline: gst::Pipeline,
    messages: gst::bus::BusStream,
    video: mpsc::Receiver<Captured>,
    audio: mpsc::Receiver<Captured>,
    video_ends: Arc<Mutex<VideoEnds>>,
    audio_ends: Arc<Mutex<AudioEnds>>,
    has_audio: bool,
    ended: bool,
}

impl Capture {
    /// Starts to capture and encode.
    ///
    /// # Errors
    /// When a device, a file or a plugin is missing or the settings do not fit it.
    pub(crate) fn start(video: &VideoArguments, audio: &AudioArguments) -> anyhow::Result<Self> {
        gst::init().context("GStreamer cannot be started; install libgstreamer1.0-0")?;
        let pipeline = gst::Pipeline::new();
        // One clock for both tracks, and one that goes on when a pipeline follows another.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        let (video_sender, video_receiver) = mpsc::channel(VIDEO_QUEUE);
        let (audio_sender, audio_receiver) = mpsc::channel(AUDIO_QUEUE);
        let builder = Builder {
            pipeline: pipeline.downgrade(),
            settings: video.clone(),
            video: video_sender,
            audio: audio_sender,
            video_ends: Arc::default(),
            audio_ends: Arc::default(),
        };
        let (video_ends, audio_ends) = (builder.video_ends.clone(), builder.audio_ends.clone());
        let has_audio = builder.build(&pipeline, audio)?;
        let bus = pipeline.bus().context("a pipeline without messages")?;
        let capture = Self {
            messages: bus.stream(),
            pipeline,
            video: video_receiver,
            audio: audio_receiver,
            video_ends,
            audio_ends,
            has_audio,
            ended: false,
        };
        // The reason of a failure is in the messages, which `next` reads.
        let _ = capture.pipeline.set_state(gst::State::Playing);
        Ok(capture)
    }

    /// Whether sound is to be expected. For a file it is not known before its frames come.
    pub(crate) fn has_audio(&self) -> bool {
        self.has_audio
    }

    /// The next frame, sound first; `None` when the source has ended. Cancel-safe.
    ///
    /// # Errors
    /// When the pipeline has failed.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Captured>> {
        loop {
            if self.ended {
                return Ok(self.audio.try_recv().or_else(|_| self.video.try_recv()).ok());
            }
            tokio::select! {
                biased;
                Some(frame) = self.audio.recv() => return Ok(Some(frame)),
                Some(frame) = self.video.recv() => return Ok(Some(frame)),
                message = self.messages.next() => match message {
                    Some(message) => self.ended = is_end(&message)?,
                    None => self.ended = true,
                },
            }
        }
    }

    /// Asks the video encoder to make its next frame a keyframe.
    pub(crate) fn force_keyframe(&self) {
        let ends = lock(&self.video_ends);
        if let Some(sink) = ends.sink.as_ref() {
            let event = gst_video::UpstreamForceKeyUnitEvent::builder()
                .all_headers(true)
                .build();
            if !sink.send_event(event) {
                tracing::debug!("the encoder does not take a request for a keyframe yet");
            }
        }
    }
}

impl Capture {
    /// Whether anybody wants the pictures: while nobody does, the camera runs and the encoder does not.
    pub(crate) fn set_watched(&self, watched: bool) {
        let mut ends = lock(&self.video_ends);
        ends.closed = !watched;
        if let Some(valve) = ends.valve.as_ref() {
            valve.set_property("drop", !watched);
        }
    }

    /// What pictures are to take from now on.
    pub(crate) fn aim(&self, aim: Aim) {
        let mut ends = lock(&self.video_ends);
        ends.aim = Some(aim);
        ends.obey();
    }

    /// What sound is to take from now on, bits per second.
    pub(crate) fn set_audio_bitrate(&self, bits_per_second: u32) {
        let mut ends = lock(&self.audio_ends);
        ends.bits_per_second = Some(bits_per_second);
        if let Some(encoder) = &ends.encoder {
            audio::set_bitrate(encoder, bits_per_second);
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // First the receivers: a sink that waits for room would never stop.
        self.video.close();
        self.audio.close();
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::debug!("the pipeline does not stop cleanly");
        }
    }
}

/// What the pipeline is made of; for a file it lives on until the content is known.
struct Builder {
    /// Weak, because the pipeline owns the callbacks that hold this.
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    settings: VideoArguments,
    video: mpsc::Sender<Captured>,
    audio: mpsc::Sender<Captured>,
    video_ends: Arc<Mutex<VideoEnds>>,
    audio_ends: Arc<Mutex<AudioEnds>>,
}

impl Builder {
    /// Returns whether sound is to be expected.
    fn build(self, pipeline: &gst::Pipeline, audio: &AudioArguments) -> anyhow::Result<bool> {
        let bin = pipeline.upcast_ref::<gst::Bin>();
        if let Some(Source::File(path)) = self.settings.source.clone() {
            let decoder = source::file(bin, &path)?;
            self.link_when_known(&decoder, !audio.no_audio);
            return Ok(!audio.no_audio);
        }
        let source = source::live(bin, &self.settings, audio)?;
        source
            .video
            .link(&self.video_branch(bin, false)?)
            .context("the pictures do not fit the encoder")?;
        let Some(sound) = source.audio else {
            return Ok(false);
        };
        sound
            .link(&self.audio_branch(bin, false)?)
            .context("the sound does not fit the encoder")?;
        Ok(true)
    }

    /// Builds the branches of a file as its streams are found: the first picture and the first
    /// sound; what else there is (subtitles, other languages) stays unread.
    fn link_when_known(self, decoder: &gst::Element, with_audio: bool) {
        let found = Mutex::new((false, !with_audio));
        decoder.connect_pad_added(move |decoder, pad| {
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let name = caps
                .structure(0)
                .map_or("", |structure| structure.name().as_str());
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            let media = match name {
                "video/x-raw" if !std::mem::replace(&mut found.0, true) => Media::Video,
                "audio/x-raw" if !std::mem::replace(&mut found.1, true) => Media::Audio,
                _ => return,
            };
            if let Err(error) = self.link_found(pad, media) {
                let text = format!("{error:#}");
                gst::element_error!(decoder, gst::CoreError::Negotiation, ("{}", text));
            }
        });
    }

    fn link_found(&self, pad: &gst::Pad, media: Media) -> anyhow::Result<()> {
        let pipeline = self.pipeline.upgrade().context("the pipeline has stopped")?;
        let bin = pipeline.upcast_ref::<gst::Bin>();
        let input = match media {
            Media::Video => self.video_branch(bin, true)?,
            Media::Audio => self.audio_branch(bin, true)?,
        };
        for element in bin.iterate_elements().into_iter().flatten() {
            element
                .sync_state_with_parent()
                .context("an element does not start")?;
        }
        let sink = input.static_pad("sink").context("a branch has an input")?;
        pad.link(&sink)
            .context("the file's content does not fit the encoder")?;
        Ok(())
    }

    fn video_branch(&self, bin: &gst::Bin, pace: bool) -> anyhow::Result<gst::Element> {
        let branch = video::branch(bin, &self.settings, pace)?;
        let settings = self.settings.clone();
        let sink = sink::new(Media::Video, self.video.clone(), move |frame, _| {
            if !frame.keyframe {
                return;
            }
            let (codec, size) = (settings.codec, settings.resolution);
            frame.decoder =
                codec::codec_string(codec, size, settings.fps, &frame.payload).map(|codec| DecoderConfig {
                    codec,
                    width: size.width,
                    height: size.height,
                    ..Default::default()
                });
        });
        elements::chain(bin, &[&sink])?;
        branch
            .output
            .link(&sink)
            .context("encoded pictures find no way out")?;
        let mut ends = lock(&self.video_ends);
        branch.valve.set_property("drop", ends.closed);
        ends.valve = Some(branch.valve);
        ends.encoder = Some(branch.encoder);
        ends.pace = Some(branch.pace);
        ends.sink = Some(sink);
        ends.obey();
        Ok(branch.input)
    }

    fn audio_branch(&self, bin: &gst::Bin, pace: bool) -> anyhow::Result<gst::Element> {
        let branch = audio::branch(bin, pace)?;
        let (levels, mut count) = (branch.levels, 0_u64);
        let sink = sink::new(Media::Audio, self.audio.clone(), move |frame, time| {
            frame.audio_level = levels.at(time);
            // The encoder shortens its first frame by what a file's player would skip.
            frame.duration_us = audio::FRAME.useconds() as u32;
            frame.decoder = (count % AUDIO_CONFIG_INTERVAL == 0).then(audio::decoder_config);
            count += 1;
        });
        elements::chain(bin, &[&sink])?;
        branch
            .output
            .link(&sink)
            .context("encoded sound finds no way out")?;
        let mut ends = lock(&self.audio_ends);
        if let Some(bits_per_second) = ends.bits_per_second {
            audio::set_bitrate(&branch.output, bits_per_second);
        }
        ends.encoder = Some(branch.output);
        Ok(branch.input)
    }
}

/// Elements stay what they are when a thread panics.
fn lock<T>(ends: &Mutex<T>) -> MutexGuard<'_, T> {
    ends.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the message says that all is over.
///
/// # Errors
/// When it says that something has failed.
fn is_end(message: &gst::Message) -> anyhow::Result<bool> {
    match message.view() {
        gst::MessageView::Eos(_) => Ok(true),
        gst::MessageView::Error(error) => Err(failure(error)),
        gst::MessageView::Warning(warning) => {
            tracing::warn!(source = ?warning.src().map(|s| s.name()), "{}", warning.error());
            Ok(false)
        }
        gst::MessageView::Element(element) => missing_plugin(element).map_or(Ok(false), Err),
        _ => Ok(false),
    }
}

/// What went wrong, in GStreamer's words and with the device or file in question.
fn failure(error: &gst::message::Error) -> anyhow::Error {
    let source = error
        .src()
        .and_then(|source| source.downcast_ref::<gst::Element>());
    let factory = source
        .and_then(|element| element.factory())
        .map(|factory| factory.name());
    let advice = match factory.as_deref() {
        Some("v4l2src") => "the camera does not work; is another program using it?",
        Some("filesrc" | "decodebin" | "typefind") => "the file cannot be read; check --source",
        Some("pulsesrc" | "alsasrc") => "the microphone does not work; try --no-audio",
        _ => "capture has failed",
    };
    anyhow!("{advice} ({})", error.error())
}

/// A file's codec that no installed plugin decodes (message of GStreamer's missing-plugins API).
fn missing_plugin(message: &gst::message::Element) -> Option<anyhow::Error> {
    let structure = message.structure()?;
    if structure.name() != "missing-plugin" {
        return None;
    }
    let what: String = structure.get("name").unwrap_or_else(|_| "a decoder".into());
    Some(anyhow!(
        "GStreamer lacks {what} for this file; install it: apt-get install gstreamer1.0-libav \
         gstreamer1.0-plugins-bad"
    ))
}

#[cfg(test)]
mod tests;
