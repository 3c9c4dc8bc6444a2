//! Real pipelines: what comes out of the encoders is what a meeting would get.

use std::time::Duration;

use clap::Parser as _;

use super::*;
use crate::arguments::{Arguments, Command};

/// Far longer than any of these pipelines needs on a slow machine; a hang fails instead of waiting.
const PATIENCE: Duration = Duration::from_secs(30);

fn start(flags: &str) -> anyhow::Result<Capture> {
    let line = format!(
        "videocall-cli stream --user-id robot --meeting-id demo --resolution 320x180 --fps 15 {flags}"
    );
    let arguments = Arguments::try_parse_from(line.split_whitespace()).expect("valid flags");
    match arguments.command {
        Command::Stream(stream) => Capture::start(&stream.video, &stream.audio),
        Command::Info(_) | Command::Load(_) => panic!("asked for a stream"),
    }
}

/// The frames up to the first for which `enough` holds.
async fn frames_until(capture: &mut Capture, mut enough: impl FnMut(&Captured) -> bool) -> Vec<Captured> {
    let collect = async {
        let mut frames = Vec::new();
        loop {
            let frame = capture.next().await.expect("it works").expect("it goes on");
            let last = enough(&frame);
            frames.push(frame);
            if last {
                return frames;
            }
        }
    };
    tokio::time::timeout(PATIENCE, collect)
        .await
        .expect("frames come")
}

fn of(media: Media, frames: &[Captured]) -> Vec<&Captured> {
    frames.iter().filter(|frame| frame.media == media).collect()
}

fn count(media: Media, wanted: usize) -> impl FnMut(&Captured) -> bool {
    let mut seen = 0;
    move |frame| {
        seen += usize::from(frame.media == media);
        seen == wanted
    }
}

fn assert_rising(frames: &[&Captured]) {
    for pair in frames.windows(2) {
        assert!(pair[0].capture_time_us < pair[1].capture_time_us, "{pair:?}");
    }
}

#[tokio::test]
async fn the_test_source_gives_pictures_and_sound_on_one_clock() {
    let mut capture = start("--source test").expect("starts");
    let frames = frames_until(&mut capture, count(Media::Video, 20)).await;
    let (video, audio) = (of(Media::Video, &frames), of(Media::Audio, &frames));

    assert_rising(&video);
    assert_rising(&audio);
    assert!(video[0].keyframe, "the first picture stands alone");
    let config = video[0]
        .decoder
        .as_ref()
        .expect("keyframes say how to decode them");
    assert_eq!(
        (config.codec.as_str(), config.width, config.height),
        ("vp8", 320, 180)
    );
    assert!(
        video[1..].iter().all(|frame| !frame.keyframe),
        "nobody asked for more keyframes"
    );

    assert!(
        audio
            .iter()
            .all(|frame| frame.keyframe && frame.duration_us == 20_000)
    );
    assert_eq!(
        audio[0].decoder.as_ref().map(|config| config.codec.as_str()),
        Some("opus")
    );
    // A sine of amplitude 0.4 is 11 dB below full scale.
    let loud = audio.iter().filter(|frame| frame.audio_level == Some(11)).count();
    assert!(
        loud + 2 >= audio.len(),
        "{loud} of {} have the tone's level",
        audio.len()
    );

    // One clock: both tracks begin within a fraction of a second of one another.
    let apart = video[0].capture_time_us.abs_diff(audio[0].capture_time_us);
    assert!(apart < 500_000, "{apart} us apart");
}

#[tokio::test]
async fn a_keyframe_comes_when_it_is_asked_for() {
    let mut capture = start("--source test --no-audio").expect("starts");
    assert!(!capture.has_audio());
    frames_until(&mut capture, count(Media::Video, 3)).await;
    capture.force_keyframe();
    let frames = frames_until(&mut capture, |frame| frame.keyframe).await;
    assert!(
        frames.len() <= 2 + VIDEO_QUEUE + video::QUEUE as usize,
        "{} frames later",
        frames.len()
    );
}

#[tokio::test]
async fn every_encoder_takes_another_bitrate_while_it_runs() {
    for (codec, property, expected) in [
        ("vp8", "target-bitrate", "150000"),
        ("vp9", "target-bitrate", "150000"),
        ("h264", "bitrate", "150"),
    ] {
        let mut capture = start(&format!("--source test --no-audio --codec {codec}")).expect("starts");
        frames_until(&mut capture, count(Media::Video, 2)).await;
        capture.aim(Aim {
            bits_per_second: 150_000,
            frames_per_second: 0,
        });
        let set = lock(&capture.video_ends)
            .encoder
            .as_ref()
            .map(|encoder| encoder.property_value(property).serialize().expect("a number"));
        assert_eq!(set.as_deref(), Some(expected), "{codec}");
        let frames = frames_until(&mut capture, count(Media::Video, 10)).await;
        // x264 begins anew.
        let goes_on = frames.iter().all(|frame| !frame.keyframe);
        assert!(goes_on || codec == "h264", "{codec}");
    }
}

#[tokio::test]
async fn fewer_pictures_are_encoded_when_fewer_are_wanted() {
    let mut capture = start("--source test --no-audio").expect("starts");
    frames_until(&mut capture, count(Media::Video, 3)).await;
    capture.aim(Aim {
        bits_per_second: 100_000,
        frames_per_second: 5,
    });
    // What was on its way before.
    frames_until(
        &mut capture,
        count(Media::Video, VIDEO_QUEUE + video::QUEUE as usize + 1),
    )
    .await;
    let frames = frames_until(&mut capture, count(Media::Video, 6)).await;
    let video = of(Media::Video, &frames);
    assert!(
        video.iter().all(|frame| !frame.keyframe),
        "no encoder begins anew"
    );
    for pair in video.windows(2) {
        let apart = pair[1].capture_time_us - pair[0].capture_time_us;
        assert!(apart >= 190_000, "{apart} us apart");
    }
}

#[tokio::test]
async fn sound_takes_another_bitrate_while_it_runs() {
    let mut capture = start("--source test").expect("starts");
    frames_until(&mut capture, count(Media::Audio, 10)).await;
    let mean = |frames: &[Captured]| {
        let sound = of(Media::Audio, frames);
        sound.iter().map(|frame| frame.payload.len()).sum::<usize>() / sound.len()
    };
    let before = frames_until(&mut capture, count(Media::Audio, 20)).await;
    capture.set_audio_bitrate(16_000);
    frames_until(&mut capture, count(Media::Audio, AUDIO_QUEUE + 20)).await;
    let after = frames_until(&mut capture, count(Media::Audio, 20)).await;
    assert!(
        mean(&after) * 2 < mean(&before),
        "{} and {} bytes",
        mean(&before),
        mean(&after)
    );
}

/// Far more sound than the pictures that may be on their way to or through the encoder last.
const IN_FLIGHT: usize = 50;

#[tokio::test]
async fn while_nobody_watches_nothing_is_encoded_and_the_camera_goes_on() {
    let mut capture = start("--source test").expect("starts");
    frames_until(&mut capture, count(Media::Video, 3)).await;
    capture.set_watched(false);
    frames_until(&mut capture, count(Media::Audio, IN_FLIGHT)).await;
    let idle = frames_until(&mut capture, count(Media::Audio, IN_FLIGHT)).await;
    assert!(of(Media::Video, &idle).is_empty(), "a second without pictures");
    capture.set_watched(true);
    capture.force_keyframe();
    let frames = frames_until(&mut capture, count(Media::Video, 10)).await;
    let keyframes: Vec<_> = of(Media::Video, &frames)
        .iter()
        .map(|frame| frame.keyframe)
        .collect();
    assert!(keyframes[0], "a decoder can begin with it");
    assert!(!keyframes[1..].contains(&true), "one is enough: {keyframes:?}");
}

#[tokio::test]
async fn every_codec_names_itself() {
    for (codec, string) in [("vp9", "vp09.00.11.08"), ("h264", "avc1.42c0")] {
        let mut capture = start(&format!("--source test --no-audio --codec {codec}")).expect("starts");
        let frames = frames_until(&mut capture, count(Media::Video, 2)).await;
        let config = frames[0].decoder.as_ref().expect("a keyframe first");
        assert!(config.codec.starts_with(string), "{codec}: {}", config.codec);
    }
}

#[tokio::test]
async fn a_slow_caller_loses_pictures_but_no_reference() {
    let mut capture = start("--source test --no-audio").expect("starts");
    let before = frames_until(&mut capture, count(Media::Video, 2)).await;
    // Nobody reads while the pipeline's clock goes on by two seconds of pictures.
    let clock = gst::SystemClock::obtain();
    let until = clock.time() + gst::ClockTime::from_seconds(2);
    tokio::task::spawn_blocking(move || clock.new_single_shot_id(until).wait())
        .await
        .expect("the clock runs")
        .0
        .expect("the time comes");
    let wanted = VIDEO_QUEUE + video::QUEUE as usize + 3;
    let after = frames_until(&mut capture, count(Media::Video, wanted)).await;
    let all: Vec<&Captured> = before.iter().chain(&after).collect();
    assert_rising(&all);
    let longest = all
        .windows(2)
        .map(|p| p[1].capture_time_us - p[0].capture_time_us)
        .max();
    assert!(
        longest > Some(1_000_000),
        "pictures were dropped before encoding: {longest:?}"
    );
}

/// A file of 30 pictures and one second of sound, made by GStreamer itself.
fn film(folder: &std::path::Path) -> std::path::PathBuf {
    gst::init().expect("GStreamer starts");
    let path = folder.join("film.webm");
    let description = format!(
        "webmmux name=mux ! filesink location={} \
         videotestsrc num-buffers=30 ! video/x-raw,width=160,height=120,framerate=30/1 ! vp8enc deadline=1 ! mux. \
         audiotestsrc num-buffers=50 samplesperbuffer=960 ! audio/x-raw,rate=48000 ! audioconvert ! opusenc ! mux.",
        path.display()
    );
    let pipeline = gst::parse::launch(&description).expect("a pipeline");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let bus = pipeline.bus().expect("a bus");
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &wanted);
    pipeline.set_state(gst::State::Null).expect("it stops");
    assert_eq!(message.map(|m| m.type_()), Some(gst::MessageType::Eos));
    path
}

#[tokio::test]
async fn a_file_plays_at_its_own_pace_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = film(folder.path());
    let mut capture = start(&format!("--source file:{}", path.display())).expect("starts");
    let mut frames = Vec::new();
    let play = async {
        while let Some(frame) = capture.next().await.expect("it works") {
            frames.push(frame);
        }
    };
    let started = std::time::Instant::now();
    tokio::time::timeout(PATIENCE, play).await.expect("it ends");
    assert!(
        started.elapsed() > Duration::from_millis(800),
        "not faster than life"
    );
    let (video, audio) = (of(Media::Video, &frames), of(Media::Audio, &frames));
    assert_rising(&video);
    assert_rising(&audio);
    // One second, at the 15 pictures per second that were asked for; a machine that is busy drops some.
    assert!((2..=17).contains(&video.len()), "{} pictures", video.len());
    assert!((20..=53).contains(&audio.len()), "{} sounds", audio.len());
    let size = video[0]
        .decoder
        .as_ref()
        .map(|config| (config.width, config.height));
    assert_eq!(size, Some((320, 180)));

    // Played again, its times go on where they were, and it begins with a keyframe.
    let mut again = start(&format!("--source file:{} --no-audio", path.display())).expect("starts");
    let first = frames_until(&mut again, |_| true).await;
    assert!(first[0].keyframe && first[0].capture_time_us > video[video.len() - 1].capture_time_us);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_advice() {
    let missing = start("--source file:/nowhere/film.mp4")
        .map(drop)
        .expect_err("not there");
    assert!(missing.to_string().contains("check --source"), "{missing}");

    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("film.mp4");
    std::fs::write(&text, "this is no film").expect("written");
    let mut capture = start(&format!("--source file:{}", text.display())).expect("starts");
    let failed = tokio::time::timeout(PATIENCE, capture.next())
        .await
        .expect("it ends");
    let error = failed.expect_err("no film").to_string();
    assert!(
        error.contains("cannot be read") || error.contains("apt-get"),
        "{error}"
    );

    let compressed = start("--source test --frame-format MJPG")
        .map(drop)
        .expect_err("not offered");
    assert!(compressed.to_string().contains("NV12"), "{compressed}");
}
