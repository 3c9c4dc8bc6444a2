//! GStreamer elements by name, with the Debian package to install where one is missing.

use anyhow::{Context as _, anyhow};
use gstreamer as gst;
use gstreamer::prelude::*;

/// Which Debian package holds an element that the pipelines here use.
fn package_of(factory: &str) -> &'static str {
    match factory {
        "v4l2src" | "vp8enc" | "vp9enc" | "jpegdec" | "pulsesrc" => "gstreamer1.0-plugins-good",
        "h264parse" => "gstreamer1.0-plugins-bad",
        "x264enc" => "gstreamer1.0-plugins-ugly",
        _ => "gstreamer1.0-plugins-base",
    }
}

/// Makes an element.
///
/// # Errors
/// When its plugin is not installed; the message names the package.
pub(super) fn make(factory: &str) -> anyhow::Result<gst::Element> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        anyhow!(
            "GStreamer has no element {factory}; install it: apt-get install {}",
            package_of(factory)
        )
    })
}

/// A filter that lets pass only what has these capabilities.
pub(super) fn caps_filter(caps: &gst::Caps) -> anyhow::Result<gst::Element> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// A queue that forgets its oldest buffer rather than hold more than these.
pub(super) fn leaky_queue(bound: QueueBound) -> anyhow::Result<gst::Element> {
    let queue = make("queue")?;
    queue.set_property_from_str("leaky", "downstream");
    queue.set_property("max-size-bytes", 0_u32);
    let (buffers, time) = match bound {
        QueueBound::Buffers(buffers) => (buffers, 0),
        QueueBound::Time(time) => (0, time.nseconds()),
    };
    queue.set_property("max-size-buffers", buffers);
    queue.set_property("max-size-time", time);
    Ok(queue)
}

/// What limits a queue.
pub(super) enum QueueBound {
    Buffers(u32),
    Time(gst::ClockTime),
}

/// Adds the elements to the bin and links each to the next.
pub(super) fn chain(bin: &gst::Bin, elements: &[&gst::Element]) -> anyhow::Result<()> {
    bin.add_many(elements.iter().copied())
        .context("an element is used twice")?;
    gst::Element::link_many(elements.iter().copied())
        .context("two parts of the GStreamer pipeline do not fit together")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_names_its_package() {
        gst::init().expect("GStreamer starts");
        let error = make("x265enc-of-nowhere").expect_err("there is none");
        assert!(
            error
                .to_string()
                .contains("apt-get install gstreamer1.0-plugins-")
        );
        assert_eq!(package_of("x264enc"), "gstreamer1.0-plugins-ugly");
    }
}
