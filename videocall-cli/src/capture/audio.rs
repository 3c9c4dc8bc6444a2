//! From raw sound to Opus frames.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use videocall_types::DecoderConfig;

use super::elements::{QueueBound, caps_filter, chain, leaky_queue, make};
use super::level::LevelMeter;

/// The one rate at which Opus works inside (RFC 6716 §2).
pub(super) const SAMPLE_RATE: u32 = 48_000;
/// Stereo, as WebCodecs' Opus decoders expect of a config without description.
pub(super) const CHANNELS: u32 = 2;
/// The usual compromise of interactive audio: half the packets of 10 ms, half the delay of 40 ms.
pub(super) const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(20);
/// Transparent for voices and good for music, bits per second.
pub(crate) const BITRATE_BPS: u32 = 64_000;
/// What opusenc takes.
const LEAST_BITRATE_BPS: u32 = 6_000;
const MOST_BITRATE_BPS: u32 = 510_000;
/// Percent of packets the encoder's redundancy prepares for; enough to switch it on.
const EXPECTED_LOSS: i32 = 5;
/// Raw sound waiting for the encoder: when the machine stalls for longer, the oldest is of no use
/// to a conversation any more and is dropped.
const QUEUE: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// The part of a pipeline between raw sound and the sink.
pub(super) struct AudioBranch {
    /// Where raw sound goes in.
    pub(super) input: gst::Element,
    /// Where Opus frames come out: the encoder.
    pub(super) output: gst::Element,
    /// How loud they are.
    pub(super) levels: Arc<LevelMeter>,
}

/// Adds the branch to the pipeline.
pub(super) fn branch(bin: &gst::Bin, pace: bool) -> anyhow::Result<AudioBranch> {
    let queue = leaky_queue(QueueBound::Time(QUEUE))?;
    let convert = make("audioconvert")?;
    let resample = make("audioresample")?;
    let filter = caps_filter(
        &gst::Caps::builder("audio/x-raw")
            .field(
                "format",
                if cfg!(target_endian = "big") {
                    "S16BE"
                } else {
                    "S16LE"
                },
            )
            .field("layout", "interleaved")
            .field("rate", SAMPLE_RATE as i32)
            .field("channels", CHANNELS as i32)
            .build(),
    )?;
    let encoder = make("opusenc")?;
    set_bitrate(&encoder, BITRATE_BPS);
    encoder.set_property_from_str("frame-size", "20");
    encoder.set_property("inband-fec", true);
    encoder.set_property("packet-loss-percentage", EXPECTED_LOSS);
    // A machine's hum is what its listeners want to hear; silence costs next to nothing anyway.
    encoder.set_property("dtx", false);
    let levels = Arc::new(LevelMeter::default());
    watch(&encoder, levels.clone());
    let input = if pace {
        // Files are read as fast as the disk allows; this lets pass what is due. It comes before
        // the queue, which would drop what is early.
        let pacer = make("clocksync")?;
        chain(bin, &[&pacer, &queue, &convert, &resample, &filter, &encoder])?;
        pacer
    } else {
        chain(bin, &[&queue, &convert, &resample, &filter, &encoder])?;
        queue
    };
    Ok(AudioBranch {
        input,
        output: encoder,
        levels,
    })
}

/// Gives a running encoder another bitrate, bits per second.
pub(super) fn set_bitrate(encoder: &gst::Element, bits_per_second: u32) {
    let bitrate = bits_per_second.clamp(LEAST_BITRATE_BPS, MOST_BITRATE_BPS);
    encoder.set_property("bitrate", bitrate as i32);
}

/// What a decoder of these frames has to know.
pub(super) fn decoder_config() -> DecoderConfig {
    DecoderConfig {
        codec: "opus".into(),
        sample_rate: SAMPLE_RATE,
        channels: CHANNELS,
        ..Default::default()
    }
}

/// Measures everything that enters the encoder.
fn watch(encoder: &gst::Element, levels: Arc<LevelMeter>) {
    let Some(pad) = encoder.static_pad("sink") else {
        return;
    };
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer()
            && let Some(time) = buffer.pts()
            && let Ok(bytes) = buffer.map_readable()
        {
            levels.measure(time, &bytes);
        }
        gst::PadProbeReturn::Ok
    });
}
