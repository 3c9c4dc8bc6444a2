//! A whole call for a user interface: connection, devices, codecs, playout and pictures behind one
//! handle and one stream of events.
//!
//! It leaves all that is seen to the user interface, and the rules of connections to
//! [`crate::ClientCore`].

mod events;

use std::rc::Rc;

use web_sys::{HtmlCanvasElement, HtmlVideoElement, MediaStream};

use videocall_types::TrackRef;

use crate::ClientConfig;
use crate::media::device_error::DeviceError;
use crate::media::web::devices::DeviceChoice;
use crate::stats::CallStats;

pub use events::{CallEvent, CallEvents, LocalState, Notice, PictureState, RosterChange};

/// What a call starts with.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// Where to connect, and as whom.
    pub client: ClientConfig,
    /// Which devices to use.
    pub devices: DeviceChoice,
    /// Start with the camera on.
    pub camera_on: bool,
    /// Start with the microphone on.
    pub microphone_on: bool,
    /// What the preview before the call has opened; its tracks are used as far as they fit, so that no
    /// device is opened twice. The call closes it in the end.
    pub preview: Option<MediaStream>,
    /// Where the page serves `audio-worklet.js`.
    pub worklet_url: String,
}

impl CallOptions {
    /// A call with the browser's default devices, camera and microphone on.
    pub fn new(client: ClientConfig) -> Self {
        Self {
            client,
            devices: DeviceChoice::default(),
            camera_on: true,
            microphone_on: true,
            preview: None,
            worklet_url: "/static/audio-worklet.js".to_owned(),
        }
    }
}

/// A call. Clones are handles to the same one; when the last is dropped, the call is left.
#[derive(Clone)]
pub struct Call(Rc<()>);

/// Two handles are equal when they belong to the same call.
impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Call {
    /// Starts to connect and to capture, both at once. To be called while a click is handled, because
    /// browsers allow sound only then.
    pub fn start(options: CallOptions) -> (Self, CallEvents) {
        let _ = options;
        (Self(Rc::new(())), events::EventQueue::default().stream())
    }

    /// Opens or mutes the microphone; [`CallEvent::Local`] says when it is done.
    pub fn set_microphone(&self, on: bool) {
        let _ = on;
    }

    /// Switches the camera on or off; [`CallEvent::Local`] says when it is done.
    pub fn set_camera(&self, on: bool) {
        let _ = on;
    }

    /// Uses another camera from now on.
    pub fn select_camera(&self, device_id: String) {
        let _ = device_id;
    }

    /// Uses another microphone from now on.
    pub fn select_microphone(&self, device_id: String) {
        let _ = device_id;
    }

    /// Lets the person choose a screen or window, and shares it until [`Call::stop_screen`] or until the
    /// browser's own button ends it. To be called while a click is handled.
    ///
    /// # Errors
    /// [`DeviceError::NoPermission`] also when the person has cancelled the choice.
    pub async fn share_screen(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    /// Ends sharing the screen.
    pub fn stop_screen(&self) {}

    /// Draws a video track of somebody else on this canvas from now on, whose size follows the
    /// picture's. A track without a canvas is not decoded.
    pub fn attach(&self, track: TrackRef, canvas: HtmlCanvasElement) {
        let _ = (track, canvas);
    }

    /// Draws the track no more.
    pub fn detach(&self, track: TrackRef) {
        let _ = track;
    }

    /// Shows the own camera in this element from now on.
    pub fn attach_self(&self, video: HtmlVideoElement) {
        let _ = video;
    }

    /// Figures of everything, as `docs/statistics.md` describes them.
    pub fn stats(&self) -> CallStats {
        CallStats::default()
    }

    /// Leaves for good; [`CallEvent::Closed`] follows.
    pub fn leave(&self) {}
}
