//! The end of a branch: encoded buffers become frames in a bounded channel.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::sync::mpsc;

use super::{Captured, Media};

/// Buffers inside the sink; the channel behind it is the queue that counts.
const SINK_BUFFERS: u32 = 1;

/// A sink that hands frames to the channel and waits while it is full. `complete` adds what only
/// the branch knows; its second argument is the frame's time as its encoder wrote it.
pub(super) fn new<F>(media: Media, frames: mpsc::Sender<Captured>, mut complete: F) -> gst::Element
where
    F: FnMut(&mut Captured, gst::ClockTime) + Send + 'static,
{
    let sink = gst_app::AppSink::builder()
        .sync(false)
        // A branch without data must not keep the others from starting.
        .async_(false)
        .max_buffers(SINK_BUFFERS)
        .build();
    let new_sample = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let Some((mut frame, time)) = read(media, sink, &sample) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        complete(&mut frame, time);
        // Fails only when the receiver is gone, and the pipeline about to stop.
        frames.blocking_send(frame).map_err(|_| gst::FlowError::Eos)?;
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(new_sample)
            .build(),
    );
    sink.upcast()
}

/// `None` for buffers without time or content, which some encoders emit for their headers.
fn read(media: Media, sink: &gst_app::AppSink, sample: &gst::Sample) -> Option<(Captured, gst::ClockTime)> {
    let buffer = sample.buffer()?;
    let time = buffer.pts()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let running = segment.to_running_time(time)?;
    let base = sink.base_time()?;
    let bytes = buffer.map_readable().ok()?;
    if bytes.is_empty() {
        return None;
    }
    let duration = buffer.duration().map_or(0, gst::ClockTime::useconds);
    let frame = Captured {
        media,
        capture_time_us: (base + running).useconds(),
        keyframe: media == Media::Audio || !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        duration_us: u32::try_from(duration).unwrap_or(0),
        audio_level: None,
        decoder: None,
        payload: Bytes::copy_from_slice(&bytes),
    };
    Some((frame, time))
}
