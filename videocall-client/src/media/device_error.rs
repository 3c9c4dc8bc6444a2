//! Why a camera, microphone or screen cannot be had, as a page can explain it.

use serde::{Deserialize, Serialize};

/// Which source of the own person something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// The own voice.
    Microphone,
    /// The own face.
    Camera,
    /// The own screen or window.
    Screen,
    /// The sound of that.
    ScreenSound,
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum DeviceError {
    /// The person, the browser's settings or the operating system said no.
    #[error("the browser does not let this page use it; allow it beside the address and try again")]
    NoPermission,
    /// There is none, or none like the one that was chosen.
    #[error("no such device is connected")]
    NoDevice,
    /// Another program holds it, or it fails.
    #[error("the device is used by another program or does not answer")]
    InUse,
    /// The browser or the page's address does not allow capturing at all.
    #[error("this browser cannot capture it on this page")]
    Unsupported,
    /// Anything else, in the browser's words.
    #[error("the browser says: {0}")]
    Other(String),
}

impl DeviceError {
    /// From the name and message of the exception with which `getUserMedia` or `getDisplayMedia`
    /// fails (W3C Media Capture and Streams §10.2, Screen Capture §5.1).
    pub fn from_exception(name: &str, message: &str) -> Self {
        match name {
            "NotAllowedError" | "SecurityError" | "PermissionDeniedError" => Self::NoPermission,
            "NotFoundError" | "OverconstrainedError" | "DevicesNotFoundError" => Self::NoDevice,
            "NotReadableError" | "AbortError" | "TrackStartError" => Self::InUse,
            "NotSupportedError" | "TypeError" | "InvalidStateError" => Self::Unsupported,
            _ if message.is_empty() => Self::Other(name.into()),
            _ => Self::Other(message.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_become_what_a_person_can_act_on() {
        let cases = [
            ("NotAllowedError", DeviceError::NoPermission),
            ("NotFoundError", DeviceError::NoDevice),
            ("OverconstrainedError", DeviceError::NoDevice),
            ("NotReadableError", DeviceError::InUse),
            ("TypeError", DeviceError::Unsupported),
            ("Strange", DeviceError::Other("odd".into())),
        ];
        for (name, expected) in cases {
            assert_eq!(DeviceError::from_exception(name, "odd"), expected);
        }
    }
}
