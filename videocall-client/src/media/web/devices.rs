//! Cameras and microphones: listing them, asking for them, hearing of changes.
//!
//! It leaves reading and encoding what they deliver to the capture modules.

use futures::Stream;
use futures::channel::mpsc;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DisplayMediaStreamConstraints, DomException, MediaDeviceInfo, MediaDeviceKind, MediaDevices, MediaStream,
    MediaStreamConstraints, MediaTrackConstraints,
};

use super::js;
use crate::media::camera_size::CameraSize;
pub use crate::media::device_error::{DeviceError, Source};
use crate::media::parameters::{CAMERA, VideoParameters};

/// A camera or microphone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What the browser knows it by; for [`DeviceChoice`].
    pub id: String,
    /// Its name; empty until the person has once allowed a device of its kind.
    pub label: String,
}

/// What is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceList {
    /// In the browser's order: the default comes first.
    pub cameras: Vec<Device>,
    /// In the browser's order: the default comes first.
    pub microphones: Vec<Device>,
}

/// Which devices a person has chosen, `None` takes the browser's default, and how they are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceChoice {
    /// The id of a camera.
    pub camera: Option<String>,
    /// The id of a microphone.
    pub microphone: Option<String>,
    /// What is done to the microphone's sound.
    pub processing: AudioProcessing,
}

/// What the browser does to a microphone's sound before it is encoded (W3C Media Capture and Streams §4.3.8). All of it
/// serves speech and harms music.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioProcessing {
    /// What comes out of the loudspeakers is taken out.
    pub echo_cancellation: bool,
    /// Noise of the surroundings is taken out.
    pub noise_suppression: bool,
    /// Quiet and loud voices are made equal.
    pub auto_gain_control: bool,
}

impl Default for AudioProcessing {
    /// All of it.
    fn default() -> Self {
        Self {
            echo_cancellation: true,
            noise_suppression: true,
            auto_gain_control: true,
        }
    }
}

/// Lists what is connected. Asks for no permission.
///
/// # Errors
/// When the browser offers no devices to this page.
pub async fn list() -> Result<DeviceList, DeviceError> {
    let found = JsFuture::from(media_devices()?.enumerate_devices().map_err(error_from)?)
        .await
        .map_err(error_from)?;
    let mut list = DeviceList::default();
    for device in js_sys::Array::from(&found).iter() {
        let Ok(device) = device.dyn_into::<MediaDeviceInfo>() else {
            continue;
        };
        let entry = Device {
            id: device.device_id(),
            label: device.label(),
        };
        match device.kind() {
            MediaDeviceKind::Videoinput => list.cameras.push(entry),
            MediaDeviceKind::Audioinput => list.microphones.push(entry),
            _ => {}
        }
    }
    Ok(list)
}

/// Says whenever a device is connected or disconnected. Several changes at once are one item.
///
/// # Errors
/// When the browser offers no devices to this page.
pub fn changes() -> Result<impl Stream<Item = ()>, DeviceError> {
    // One pending item says all there is to say; more are dropped.
    let (mut changed, changes) = mpsc::channel(0);
    let listener = js::Listener::new(media_devices()?.as_ref(), "devicechange", move |_| {
        // Full means that the reader is to look anyway.
        changed.try_send(()).ok();
    });
    Ok(futures::StreamExt::map(changes, move |()| {
        let _keep = &listener;
    }))
}

/// Opens camera and microphone, as far as wanted, with one question to the person.
///
/// # Errors
/// Why they cannot be had; with both wanted, when either is missing.
pub async fn open(camera: bool, microphone: bool, choice: &DeviceChoice) -> Result<MediaStream, DeviceError> {
    let constraints = MediaStreamConstraints::new();
    if camera {
        constraints.set_video(&camera_constraints(choice.camera.as_deref()));
    }
    if microphone {
        constraints.set_audio(&microphone_constraints(choice));
    }
    let promise = media_devices()?
        .get_user_media_with_constraints(&constraints)
        .map_err(error_from)?;
    let stream = JsFuture::from(promise).await.map_err(error_from)?;
    stream.dyn_into().map_err(error_from)
}

/// Lets the person choose a screen or window, with its sound where the browser offers that; to be called while a click
/// is handled.
///
/// # Errors
/// Why there is none; [`DeviceError::NoPermission`] also when the person has cancelled.
pub(crate) async fn open_screen(parameters: &VideoParameters) -> Result<MediaStream, DeviceError> {
    let video = js_sys::Object::new();
    js::set(
        &video,
        "frameRate",
        &js::ideal(parameters.largest().frames_per_second),
    );
    let constraints = DisplayMediaStreamConstraints::new();
    constraints.set_video(&video);
    constraints.set_audio(&screen_sound_constraints());
    // Without it the sound of a whole screen is not offered (W3C Screen Capture §5.4).
    js::set(&constraints, "systemAudio", &"include".into());
    let promise = media_devices()?
        .get_display_media_with_constraints(&constraints)
        .map_err(error_from)?;
    let stream = JsFuture::from(promise).await.map_err(error_from)?;
    stream.dyn_into().map_err(error_from)
}

/// Ends the capture of every track of a stream; the devices' lights go out.
pub fn close(stream: &MediaStream) {
    for track in stream.get_tracks().iter() {
        if let Ok(track) = track.dyn_into::<web_sys::MediaStreamTrack>() {
            track.stop();
        }
    }
}

pub(super) fn media_devices() -> Result<MediaDevices, DeviceError> {
    let navigator = js::window().ok_or(DeviceError::Unsupported)?.navigator();
    // Insecure pages have no `mediaDevices`; the binding would hand out `undefined`.
    navigator
        .media_devices()
        .ok()
        .filter(|devices| !devices.is_undefined())
        .ok_or(DeviceError::Unsupported)
}

pub(super) fn error_from(value: JsValue) -> DeviceError {
    if let Some(exception) = value.dyn_ref::<DomException>() {
        return DeviceError::from_exception(&exception.name(), &exception.message());
    }
    match value.dyn_ref::<js_sys::Error>() {
        Some(error) => {
            let (name, message) = (String::from(error.name()), String::from(error.message()));
            DeviceError::from_exception(&name, &message)
        }
        None => DeviceError::Other(js::describe(&value)),
    }
}

fn camera_constraints(id: Option<&str>) -> JsValue {
    let constraints = camera_size(None);
    exact_device(&constraints, id);
    constraints.into()
}

/// What a camera is asked for: this, or as much as is ever of use.
pub(crate) fn camera_size(size: Option<CameraSize>) -> MediaTrackConstraints {
    let largest = CAMERA.largest();
    let size = size.unwrap_or(CameraSize {
        width: largest.max_width,
        height: largest.max_height,
        frames_per_second: largest.frames_per_second,
    });
    let constraints = MediaTrackConstraints::new();
    js::set(&constraints, "width", &js::ideal(size.width));
    js::set(&constraints, "height", &js::ideal(size.height));
    js::set(&constraints, "frameRate", &js::ideal(size.frames_per_second));
    constraints
}

fn microphone_constraints(choice: &DeviceChoice) -> JsValue {
    let constraints = MediaTrackConstraints::new();
    let processing = choice.processing;
    for (name, wanted) in [
        ("echoCancellation", processing.echo_cancellation),
        ("noiseSuppression", processing.noise_suppression),
        ("autoGainControl", processing.auto_gain_control),
    ] {
        js::set(&constraints, name, &wanted.into());
    }
    js::set(&constraints, "channelCount", &js::ideal(1));
    exact_device(&constraints, choice.microphone.as_deref());
    constraints.into()
}

/// As it is: what serves a voice harms everything else. And without what this page itself plays, as the others would
/// hear themselves.
fn screen_sound_constraints() -> JsValue {
    let constraints = MediaTrackConstraints::new();
    for name in ["echoCancellation", "noiseSuppression", "autoGainControl"] {
        js::set(&constraints, name, &JsValue::FALSE);
    }
    js::set(&constraints, "restrictOwnAudio", &JsValue::TRUE);
    constraints.into()
}

fn exact_device(constraints: &MediaTrackConstraints, id: Option<&str>) {
    if let Some(id) = id.filter(|id| !id.is_empty()) {
        let exact = js_sys::Object::new();
        js::set(&exact, "exact", &id.into());
        js::set(constraints, "deviceId", &exact);
    }
}
