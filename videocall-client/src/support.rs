//! What the browser must be able to do for a call, checked before anybody presses Join.
//!
//! It leaves it to the page how to say so; [`Missing::message`] has a sentence for each case.

/// Something a call needs that this browser does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The page was not loaded over HTTPS or from localhost, so the browser withholds all the rest.
    SecureContext,
    /// Neither WebTransport nor WebSocket.
    Network,
    /// Cameras and microphones cannot be asked for.
    MediaDevices,
    /// The pictures of a capture cannot be read, neither by `MediaStreamTrackProcessor` nor as a `VideoFrame`.
    CaptureProcessing,
    /// WebCodecs does not encode pictures.
    VideoEncoder,
    /// WebCodecs does not decode pictures.
    VideoDecoder,
    /// WebCodecs does not encode sound.
    AudioEncoder,
    /// WebCodecs does not decode sound.
    AudioDecoder,
    /// Decoded sound cannot be played.
    AudioWorklet,
    /// A worker cannot draw on a page's canvases (`OffscreenCanvas`).
    DrawingWorker,
}

impl Missing {
    /// A sentence a person can act on.
    pub const fn message(self) -> &'static str {
        match self {
            Self::SecureContext => {
                "This page is not secure, so the browser gives it no camera. Open it over https or on localhost."
            }
            Self::Network => "This browser can open neither WebTransport nor WebSocket connections.",
            Self::MediaDevices => "This browser gives pages no access to cameras and microphones.",
            Self::CaptureProcessing => {
                "This browser does not let pages process camera pictures. Use a current Chrome, Edge, Firefox or Safari."
            }
            Self::VideoEncoder => {
                "This browser cannot encode video (WebCodecs). Use a current Chrome, Edge, Firefox or Safari."
            }
            Self::VideoDecoder => {
                "This browser cannot decode video (WebCodecs). Use a current Chrome, Edge, Firefox or Safari."
            }
            Self::AudioEncoder => {
                "This browser cannot encode sound (WebCodecs). Use a current Chrome, Edge, Firefox or Safari."
            }
            Self::AudioDecoder => {
                "This browser cannot decode sound (WebCodecs). Use a current Chrome, Edge, Firefox or Safari."
            }
            Self::AudioWorklet => "This browser cannot play processed sound (AudioWorklet).",
            Self::DrawingWorker => {
                "This browser does not let background threads draw (OffscreenCanvas). Use a current version of it."
            }
        }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

/// What this browser can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    /// What a call needs and is not there; empty when a call works.
    pub missing: Vec<Missing>,
    /// Connections over QUIC are possible; otherwise calls run over WebSocket.
    pub web_transport: bool,
    /// The screen can be shared.
    pub screen_sharing: bool,
}

impl Support {
    /// Whether a call works in this browser.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Draws the conclusions from what exists: `has` is asked for names of globals and, with dots,
    /// of their members.
    pub fn conclude(has: impl Fn(&str) -> bool) -> Self {
        let needs: [(Missing, &[&str]); 9] = [
            (Missing::Network, &["WebTransport", "WebSocket"]),
            (Missing::MediaDevices, &["navigator.mediaDevices.getUserMedia"]),
            (
                Missing::CaptureProcessing,
                &["MediaStreamTrackProcessor", "VideoFrame"],
            ),
            (Missing::VideoEncoder, &["VideoEncoder"]),
            (Missing::VideoDecoder, &["VideoDecoder"]),
            (Missing::AudioEncoder, &["AudioEncoder"]),
            (Missing::AudioDecoder, &["AudioDecoder"]),
            (Missing::AudioWorklet, &["AudioWorkletNode"]),
            (
                Missing::DrawingWorker,
                &["HTMLCanvasElement.prototype.transferControlToOffscreen"],
            ),
        ];
        let missing = if has("isSecureContext") {
            needs
                .into_iter()
                .filter(|(_, any_of)| !any_of.iter().any(|name| has(name)))
                .map(|(missing, _)| missing)
                .collect()
        } else {
            // The rest is hidden from insecure pages; listing it would point the wrong way.
            vec![Missing::SecureContext]
        };
        Self {
            missing,
            web_transport: has("WebTransport"),
            screen_sharing: has("navigator.mediaDevices.getDisplayMedia"),
        }
    }
}

/// Looks at what this browser offers. Quick; asks for no permission.
#[cfg(target_arch = "wasm32")]
pub fn check() -> Support {
    Support::conclude(has_global)
}

/// Whether the path leads to something that JavaScript takes for true.
#[cfg(target_arch = "wasm32")]
fn has_global(path: &str) -> bool {
    let mut value: wasm_bindgen::JsValue = js_sys::global().into();
    for name in path.split('.') {
        match js_sys::Reflect::get(&value, &name.into()) {
            Ok(next) => value = next,
            Err(_) => return false,
        }
    }
    value.is_truthy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_with_everything_misses_nothing() {
        let support = Support::conclude(|_| true);
        assert!(support.is_complete() && support.web_transport && support.screen_sharing);
    }

    #[test]
    fn an_insecure_page_is_told_only_that() {
        let support = Support::conclude(|_| false);
        assert_eq!(support.missing, [Missing::SecureContext]);
    }

    #[test]
    fn either_carrier_is_enough() {
        let support = Support::conclude(|name| name != "WebTransport");
        assert!(support.is_complete() && !support.web_transport);
        let support = Support::conclude(|name| !name.starts_with("Web"));
        assert_eq!(support.missing, [Missing::Network]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let support = Support::conclude(|name| name != "AudioEncoder");
        assert_eq!(support.missing, [Missing::AudioEncoder]);
    }

    #[test]
    fn one_way_to_read_pictures_is_enough() {
        let support = Support::conclude(|name| name != "MediaStreamTrackProcessor");
        assert!(support.is_complete());
        let ways = ["MediaStreamTrackProcessor", "VideoFrame"];
        let support = Support::conclude(|name| !ways.contains(&name));
        assert_eq!(support.missing, [Missing::CaptureProcessing]);
    }
}
