//! The cameras and microphones of this machine, as GStreamer's device monitor knows them.

use anyhow::{Context as _, anyhow};
use gstreamer as gst;
use gstreamer::prelude::*;
use serde::Serialize;

/// A camera.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Camera {
    /// The number in the name of its device: 0 for `/dev/video0`.
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) path: String,
    /// What it offers.
    #[serde(skip)]
    pub(crate) caps: gst::Caps,
}

/// A microphone.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Microphone {
    /// Its place in the list.
    pub(crate) index: usize,
    pub(crate) name: String,
}

/// All cameras, by index.
///
/// # Errors
/// When GStreamer cannot be started.
pub(crate) fn cameras() -> anyhow::Result<Vec<Camera>> {
    let mut cameras: Vec<Camera> = devices("Video/Source")?.iter().filter_map(camera_of).collect();
    cameras.sort_by_key(|camera| camera.index);
    // Sound servers list the same devices once more.
    cameras.dedup_by_key(|camera| camera.index);
    Ok(cameras)
}

/// The camera with this index.
///
/// # Errors
/// When there is none; the message lists those there are.
pub(crate) fn camera(index: u32) -> anyhow::Result<Camera> {
    let cameras = cameras()?;
    if let Some(camera) = cameras.iter().find(|camera| camera.index == index) {
        return Ok(camera.clone());
    }
    if cameras.is_empty() {
        return Err(anyhow!(
            "there is no camera {index}, nor any other; plug one in (or let this user read \
             /dev/video*), or use --source test or --source file:PATH"
        ));
    }
    let known: Vec<String> = cameras
        .iter()
        .map(|camera| format!("{} ({})", camera.index, camera.name))
        .collect();
    Err(anyhow!(
        "there is no camera {index}; give --video-device-index one of: {}",
        known.join(", ")
    ))
}

/// All microphones.
///
/// # Errors
/// When GStreamer cannot be started.
pub(crate) fn microphones() -> anyhow::Result<Vec<Microphone>> {
    let devices = microphone_devices()?;
    Ok(devices
        .iter()
        .enumerate()
        .map(|(index, device)| Microphone {
            index,
            name: device.display_name().into(),
        })
        .collect())
}

/// The microphone with this number or name; without either the first, if there is one.
///
/// # Errors
/// When there is none such; the message lists those there are.
pub(crate) fn microphone(wanted: Option<&str>) -> anyhow::Result<Option<gst::Device>> {
    let devices = microphone_devices()?;
    let Some(wanted) = wanted else {
        return Ok(devices.into_iter().next());
    };
    let fits = |(index, device): &(usize, &gst::Device)| {
        wanted.parse() == Ok(*index) || device.display_name() == wanted
    };
    if let Some((_, device)) = devices.iter().enumerate().find(fits) {
        return Ok(Some(device.clone()));
    }
    if devices.is_empty() {
        return Err(anyhow!(
            "there is no microphone {wanted:?}, nor any other; use --no-audio"
        ));
    }
    let known: Vec<String> = devices
        .iter()
        .enumerate()
        .map(|(index, device)| format!("{index} ({})", device.display_name()))
        .collect();
    Err(anyhow!(
        "there is no microphone {wanted:?}; give --audio-device one of: {}",
        known.join(", ")
    ))
}

/// Without the monitors of loudspeakers, which sound servers list as microphones.
fn microphone_devices() -> anyhow::Result<Vec<gst::Device>> {
    let is_monitor = |device: &gst::Device| {
        device
            .properties()
            .and_then(|properties| properties.get::<String>("device.class").ok())
            .is_some_and(|class| class == "monitor")
    };
    let mut devices = devices("Audio/Source")?;
    devices.retain(|device| !is_monitor(device));
    Ok(devices)
}

fn devices(class: &str) -> anyhow::Result<Vec<gst::Device>> {
    gst::init().context("GStreamer cannot be started")?;
    let monitor = gst::DeviceMonitor::new();
    // `None` when no installed plugin knows devices of this class: then there are none.
    let Some(_filter) = monitor.add_filter(Some(class), None) else {
        return Ok(Vec::new());
    };
    Ok(monitor.devices().into_iter().collect())
}

/// `None` for what is not a V4L2 device.
fn camera_of(device: &gst::Device) -> Option<Camera> {
    let properties = device.properties()?;
    let path = ["device.path", "api.v4l2.path"]
        .into_iter()
        .find_map(|key| properties.get::<String>(key).ok())?;
    Some(Camera {
        index: path.strip_prefix("/dev/video")?.parse().ok()?,
        name: device.display_name().into(),
        path,
        caps: device.caps().unwrap_or_else(gst::Caps::new_empty),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_is_not_there_is_refused_with_advice() {
        let error = camera(9_999).expect_err("no machine has so many").to_string();
        assert!(error.contains("there is no camera 9999"), "{error}");
        assert!(
            error.contains("--source test") || error.contains("one of: "),
            "{error}"
        );
    }

    #[test]
    fn a_microphone_that_is_not_there_is_refused_with_advice() {
        let error = microphone(Some("nobody's"))
            .expect_err("no such name")
            .to_string();
        assert!(
            error.contains("--no-audio") || error.contains("one of: "),
            "{error}"
        );
    }
}
