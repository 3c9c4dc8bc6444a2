//! What the browser remembers between visits. A browser that refuses storage remembers nothing; that is no fault.

/// Something remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The person's name.
    Name,
    /// The id of the camera that was last chosen.
    Camera,
    /// The id of the microphone that was last chosen.
    Microphone,
    /// Whether the operator learns how long joining takes: [`NO`], or anything else for yes.
    Timing,
}

/// The answer of somebody who does not want something.
pub(crate) const NO: &str = "no";

impl Stored {
    const fn key(self) -> &'static str {
        match self {
            Self::Name => "videocall.name",
            Self::Camera => "videocall.camera",
            Self::Microphone => "videocall.microphone",
            Self::Timing => "videocall.timing",
        }
    }
}

/// What was stored last, if anything.
pub(crate) fn load(what: Stored) -> Option<String> {
    storage()?
        .get_item(what.key())
        .ok()
        .flatten()
        .filter(|value| !value.is_empty())
}

/// Remembers a value in place of the last one.
pub(crate) fn store(what: Stored, value: &str) {
    if let Some(storage) = storage() {
        // Full or forbidden: the person types it again next time.
        storage.set_item(what.key(), value).ok();
    }
}

fn storage() -> Option<web_sys::Storage> {
    gloo::utils::window().local_storage().ok().flatten()
}
