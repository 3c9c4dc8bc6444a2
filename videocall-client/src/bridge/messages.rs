//! The messages, each with what travels beside it because JSON cannot hold it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use videocall_types::TrackRef;

use crate::ClientConfig;
use crate::call::{CallEvent, Levels};
use crate::core::View;
use crate::media::camera_size::CameraSize;
use crate::media::device_error::Source;
use crate::media::feed::FeedKind;

/// An element of the page that shows pictures, by a number that the page gives it when it hands it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SurfaceId(pub(crate) u32);

/// One capture among all of a call. The page counts them, so that what is said of an earlier one is told from
/// what is said of the one in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening(pub(crate) u64);

/// From the page to the engine. A person and the layout of a page make few of them, so nothing bounds them but
/// that: an engine that takes none is broken, and its page shows that.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToEngine {
    /// Connect. The first message, and the only one of its kind.
    Start(Box<Start>),
    /// What will be called so. Beside it: the `OffscreenCanvas` of a canvas, or the `WritableStream` of pictures for a
    /// `<video>`.
    Surface(SurfaceId),
    /// That element is gone from the page.
    ForgetSurface(SurfaceId),
    /// Draw a track there from now on.
    Attach(TrackRef, SurfaceId),
    /// Draw it no more.
    Detach(TrackRef),
    /// A track can be seen, so large.
    Show(TrackRef, View),
    /// It cannot be seen.
    Hide(TrackRef),
    /// Whether the page can be seen at all.
    SetVisible(bool),
    /// Hear a microphone whether its owner speaks or not.
    Listen(TrackRef, bool),
    /// Send what is captured. Beside it: the object that its kind names.
    Capture(Source, Opening, FeedKind),
    /// The capture of this source is over, and wanted no more.
    Release(Source),
    /// Whether the own voice is heard.
    SetMuted(bool),
    /// There is a loudspeaker. Beside it: the `MessagePort` of its worklet, and the `SharedArrayBuffer` that the worklet
    /// reads, `undefined` if there is none.
    Loudspeaker,
    /// What the loudspeaker plays is heard so much later.
    OutputLatency(Duration),
    /// Somebody looks at the figures: they are wanted often for a while.
    WatchFigures,
    /// One message of those that [`FromEngine::is_counted`] was taken.
    Taken,
    /// Leave for good.
    Leave,
}

/// What a call begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Where to connect, and as whom.
    pub(crate) client: ClientConfig,
    /// The microphone is announced as muted.
    pub(crate) muted: bool,
    /// The camera is announced as switched off.
    pub(crate) camera_off: bool,
}

/// From the engine to the page.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum FromEngine {
    /// For the user interface. [`CallEvent::Closed`] is the last message of all.
    Event(Box<CallEvent>),
    /// How loud everybody is.
    Levels(Levels),
    /// Beside it: the figures, [`crate::stats::CallStats`] as a JSON text, which nobody reads unless somebody
    /// asks.
    Figures,
    /// A capture is over. At most one per capture.
    CaptureEnded(Source, Opening, CaptureEnd),
    /// The camera is to be asked for this much, for all it has without. At most once in some seconds for less, and
    /// then once for more.
    AskCamera(Opening, Option<CameraSize>),
    /// The engine cannot go on, in words for people. The last message of all.
    Broken(String),
}

/// Why a capture is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CaptureEnd {
    /// It ended by itself: unplugged, or ended by the browser's own button.
    Ended,
    /// It cannot be encoded; in the browser's words.
    Failed(String),
}

impl FromEngine {
    /// Whether the page acknowledges it, and so bounds how many there are on the way.
    pub(crate) const fn is_counted(&self) -> bool {
        match self {
            Self::Event(_) | Self::Levels(_) | Self::Figures => true,
            Self::CaptureEnded(..) | Self::AskCamera(..) | Self::Broken(_) => false,
        }
    }
}

/// A message as text.
///
/// # Errors
/// Never for the messages here, which have no maps with keys that are not texts.
pub(crate) fn encode(message: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(message)
}

/// The message of a text.
///
/// # Errors
/// When page and worker are of different versions.
pub(crate) fn decode<M: DeserializeOwned>(text: &str) -> Result<M, serde_json::Error> {
    serde_json::from_str(text)
}

#[cfg(test)]
mod tests {
    use videocall_types::api::TransportKind;
    use videocall_types::{
        CloseCode, Closing, LayerInfo, Participant, SessionId, TrackId, TrackInfo, TrackKind,
    };

    use super::*;
    use crate::call::{Notice, PictureState, RosterChange};
    use crate::core::{ConnectionState, ConnectionStatus};
    use crate::media::device_error::DeviceError;
    use crate::{Token, TransportPreference};

    fn track(number: u64) -> TrackRef {
        TrackRef {
            // Above what a JavaScript number holds exactly.
            session: SessionId::new(u64::MAX - number).expect("not zero"),
            track: TrackId(2),
        }
    }

    fn participant() -> Participant {
        Participant {
            session: track(1).session,
            user_id: "ann".parse().expect("a user name"),
            display_name: "Ann \"\u{0}😀".into(),
            tracks: vec![TrackInfo {
                track: TrackId(2),
                kind: TrackKind::Camera,
                muted: false,
                codec: "vp09.00.10.08".into(),
                layers: vec![LayerInfo {
                    width: 640,
                    ..LayerInfo::default()
                }],
            }],
            established_at_ms: u64::MAX,
            decodes: videocall_types::VideoCodecs::ALL,
        }
    }

    #[test]
    fn what_the_engine_says_arrives_as_it_was() {
        let status = ConnectionStatus {
            state: ConnectionState::Reconnecting,
            transport: Some(TransportKind::WebSocket),
            notice: Some("why".into()),
            rtt: Some(Duration::from_micros(1234)),
            refused: Some(CloseCode::Busy),
        };
        let events = [
            CallEvent::Connection(status),
            CallEvent::Roster(RosterChange::Replaced {
                session: track(0).session,
                participants: vec![participant()],
            }),
            CallEvent::Roster(RosterChange::TrackRemoved(track(3))),
            CallEvent::Picture {
                track: track(4),
                state: PictureState::Live,
            },
            CallEvent::Speakers(vec![track(5).session]),
            CallEvent::Notice(Notice::Device {
                device: Source::Screen,
                error: DeviceError::Other("odd".into()),
            }),
            CallEvent::Closed(Closing::new(CloseCode::MeetingEnded)),
        ];
        let levels = Levels {
            own: 0.25,
            others: vec![(track(6), 1.0)],
        };
        let end = CaptureEnd::Failed("odd".into());
        let size = CameraSize {
            width: 320,
            height: 180,
            frames_per_second: 15,
        };
        let others = [
            FromEngine::Levels(levels),
            FromEngine::Figures,
            FromEngine::CaptureEnded(Source::Camera, Opening(7), end),
            FromEngine::AskCamera(Opening(7), Some(size)),
            FromEngine::Broken("odd".into()),
        ];
        for message in events
            .into_iter()
            .map(|event| FromEngine::Event(Box::new(event)))
            .chain(others)
        {
            let text = encode(&message).expect("a text");
            assert_eq!(decode::<FromEngine>(&text).expect("a message"), message);
        }
    }

    #[test]
    fn a_start_arrives_whole_and_shows_no_token() {
        let mut client = ClientConfig::new(
            "https://a",
            "demo".parse().expect("id"),
            "ann".parse().expect("name"),
        );
        client.token = Some(Token::new("secret"));
        client.transport = TransportPreference::WebSocket;
        let start = ToEngine::Start(Box::new(Start {
            client,
            muted: true,
            camera_off: false,
        }));
        assert!(!format!("{start:?}").contains("secret"));
        let text = encode(&start).expect("a text");
        let Ok(ToEngine::Start(arrived)) = decode(&text) else {
            panic!("another message");
        };
        assert!(arrived.muted && !arrived.camera_off);
        assert_eq!(arrived.client.token.as_ref().map(Token::reveal), Some("secret"));
        assert_eq!(arrived.client.transport, TransportPreference::WebSocket);
        assert_eq!(
            encode(&arrived).ok(),
            encode(&match start {
                ToEngine::Start(start) => start,
                _ => unreachable!("it is a start"),
            })
            .ok()
        );
    }

    #[test]
    fn what_comes_again_and_again_is_counted() {
        let event = Box::new(CallEvent::Speakers(Vec::new()));
        for message in [FromEngine::Event(event), FromEngine::Figures] {
            assert!(message.is_counted(), "{message:?}");
        }
        let end = FromEngine::CaptureEnded(Source::Camera, Opening(1), CaptureEnd::Ended);
        assert!(!end.is_counted() && !FromEngine::Broken("odd".into()).is_counted());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in ["", "null", "{\"Nothing\":1}", "{\"Attach\":[]}", "\"Start\""] {
            assert!(decode::<ToEngine>(text).is_err(), "{text}");
        }
    }
}
