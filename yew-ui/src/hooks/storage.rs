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
    /// Whether the operator learns how calls are: [`NO`], or anything else for yes.
    Reports,
    /// Whether echo is removed from the microphone's sound, likewise.
    EchoCancellation,
    /// Whether noise is, likewise.
    NoiseSuppression,
    /// Whether its volume is adjusted, likewise.
    AutoGainControl,
}

/// The answer of somebody who does not want something.
const NO: &str = "no";

impl Stored {
    const fn key(self) -> &'static str {
        match self {
            Self::Name => "videocall.name",
            Self::Camera => "videocall.camera",
            Self::Microphone => "videocall.microphone",
            Self::Reports => "videocall.timing",
            Self::EchoCancellation => "videocall.echo-cancellation",
            Self::NoiseSuppression => "videocall.noise-suppression",
            Self::AutoGainControl => "videocall.auto-gain-control",
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

/// Whether something is wanted that one has to say no to.
pub(crate) fn is_wanted(what: Stored) -> bool {
    load(what).as_deref() != Some(NO)
}

/// Remembers whether it is.
pub(crate) fn set_wanted(what: Stored, wanted: bool) {
    store(what, if wanted { "" } else { NO });
}

fn storage() -> Option<web_sys::Storage> {
    gloo::utils::window().local_storage().ok().flatten()
}
