//! What this browser can do, in the page's own terms.

use videocall_client::support::{self, Missing};
use yew::prelude::*;

use crate::state::lacking::{Lacking, distinct};

/// What this browser can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrowserSupport {
    /// What a call needs and is not there.
    pub(crate) lacking: Vec<Lacking>,
    /// The screen can be shared.
    pub(crate) screen_sharing: bool,
}

/// Looks once; a browser does not change.
#[hook]
pub(crate) fn use_support() -> std::rc::Rc<BrowserSupport> {
    use_memo((), |()| {
        let found = support::check();
        BrowserSupport {
            lacking: distinct(found.missing.into_iter().map(lacking)),
            screen_sharing: found.screen_sharing,
        }
    })
}

const fn lacking(missing: Missing) -> Lacking {
    match missing {
        Missing::SecureContext => Lacking::SecureContext,
        Missing::Network => Lacking::Network,
        Missing::MediaDevices => Lacking::Devices,
        Missing::CaptureProcessing => Lacking::Capture,
        Missing::VideoEncoder | Missing::VideoDecoder => Lacking::Video,
        Missing::AudioEncoder | Missing::AudioDecoder => Lacking::Audio,
        Missing::AudioWorklet => Lacking::Playback,
        Missing::DrawingWorker => Lacking::Drawing,
    }
}
