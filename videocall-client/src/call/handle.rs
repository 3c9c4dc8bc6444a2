//! The handle of a call, and how its parts hear of what happens.

use std::rc::{Rc, Weak};
use std::time::Duration;

use videocall_types::TrackRef;
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlCanvasElement, HtmlVideoElement, MediaStream};

use crate::core::{ConnectionState, Event};
use crate::media::device_error::DeviceError;
use crate::media::web::devices::DeviceChoice;
use crate::media::web::js::{self, Listener};
use crate::media::web::speaker::{Speaker, SpeakerEvent};
use crate::stats::CallStats;
use crate::transport::web::{WebClock, sleep};
use crate::{Client, ClientConfig, EventStream};

use super::events::{CallEvent, Notice, Priority, RosterChange};
use super::local::{Local, Start};
use super::queue::{CallEvents, EventQueue};
use super::remote::Remote;

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

/// How loud everybody is, 0 (silence) to 1 (full scale).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    /// The own voice; 0 while it is muted.
    pub own: f64,
    /// Every audio track of the others that has been heard.
    pub others: Vec<(TrackRef, f64)>,
}

/// How often it is looked whether a picture has stalled.
const REFRESH_INTERVAL: Duration = Duration::from_millis(500);

/// A call. Clones are handles to the same one; when the last is dropped, the call is left.
#[derive(Clone)]
pub struct Call(Rc<Handle>);

/// Leaves when nobody holds it any more.
struct Handle(Rc<Inner>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.leave();
    }
}

struct Inner {
    client: Client,
    remote: Rc<Remote>,
    local: Rc<Local>,
}

/// Two handles are equal when they belong to the same call.
impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

impl Call {
    /// Starts to connect and to capture, both at once. To be called while a click is handled, because
    /// browsers allow sound only then.
    pub fn start(options: CallOptions) -> (Self, CallEvents) {
        let (client, client_events) = Client::start(options.client);
        let queue = EventQueue::default();
        let speaker_events = {
            let queue = queue.clone();
            move |event| queue.push(CallEvent::Notice(speaker_notice(event)), || None)
        };
        let speaker = Speaker::open(&options.worklet_url, speaker_events);
        let remote = Remote::new(client.clone(), queue.clone(), speaker);
        let start = Start {
            choice: options.devices,
            camera_on: options.camera_on,
            microphone_on: options.microphone_on,
            preview: options.preview,
        };
        let local = Local::start(client.clone(), remote.clone(), start);
        let inner = Rc::new(Inner {
            client,
            remote,
            local,
        });
        spawn_local(inner.clone().run(client_events));
        spawn_local(refresh(Rc::downgrade(&inner)));
        (Self(Rc::new(Handle(inner))), queue.stream())
    }

    /// Opens or mutes the microphone; [`CallEvent::Local`] says when it is done.
    pub fn set_microphone(&self, on: bool) {
        self.0.0.local.set_microphone(on);
    }

    /// Switches the camera on or off; [`CallEvent::Local`] says when it is done.
    pub fn set_camera(&self, on: bool) {
        self.0.0.local.set_camera(on);
    }

    /// Uses another camera from now on.
    pub fn select_camera(&self, device_id: String) {
        self.0.0.local.select_camera(device_id);
    }

    /// Uses another microphone from now on.
    pub fn select_microphone(&self, device_id: String) {
        self.0.0.local.select_microphone(device_id);
    }

    /// Lets the person choose a screen or window, and shares it until [`Call::stop_screen`] or until the
    /// browser's own button ends it. To be called while a click is handled.
    ///
    /// # Errors
    /// [`DeviceError::NoPermission`] also when the person has cancelled the choice.
    pub async fn share_screen(&self) -> Result<(), DeviceError> {
        self.0.0.local.share_screen().await
    }

    /// Ends sharing the screen.
    pub fn stop_screen(&self) {
        self.0.0.local.stop_screen();
    }

    /// Draws a video track of somebody else on this canvas from now on, whose size follows the
    /// picture's. A track without a canvas is not received, so the page attaches one as soon as it
    /// knows the track, whatever the state of its picture. The rest follows from the page: what is off
    /// screen, without extent or on a hidden page is not received either, and the quality is the one that
    /// the canvas's size on the display asks for.
    pub fn attach(&self, track: TrackRef, canvas: HtmlCanvasElement) {
        self.0.0.remote.attach(track, canvas);
    }

    /// Draws the track no more.
    pub fn detach(&self, track: TrackRef) {
        self.0.0.remote.detach(track);
    }

    /// When the path is too short for all pictures, those of higher priority are kept longer. Holds while
    /// the track is attached.
    pub fn set_priority(&self, track: TrackRef, priority: Priority) {
        self.0.0.remote.set_priority(track, priority);
    }

    /// Hears a microphone whether its owner is among the active speakers or not, or not so any more.
    pub fn listen(&self, microphone: TrackRef, always: bool) {
        // A client that has ended hears nothing.
        self.0.0.client.listen(microphone, always).ok();
    }

    /// Shows the own camera in this element from now on.
    pub fn attach_self(&self, video: HtmlVideoElement) {
        self.0.0.local.attach_self(video);
    }

    /// How loud everybody is; cheap enough to be asked many times a second.
    pub fn levels(&self) -> Levels {
        let inner = &self.0.0;
        Levels {
            own: inner.local.level(),
            others: inner.remote.levels(WebClock::now()),
        }
    }

    /// Figures of everything, as `docs/statistics.md` describes them.
    pub fn stats(&self) -> CallStats {
        let inner = &self.0.0;
        let now = WebClock::now();
        CallStats {
            session: inner.client.session(),
            connection: inner.client.stats(),
            local_tracks: inner.local.stats(now),
            remote_tracks: inner.remote.stats(now),
        }
    }

    /// Leaves for good; [`CallEvent::Closed`] follows.
    pub fn leave(&self) {
        self.0.0.leave();
    }
}

impl Inner {
    /// Passes on what the client says until the call is over.
    async fn run(self: Rc<Self>, mut events: EventStream) {
        let page_ends = js::window().map(|window| {
            let inner = Rc::downgrade(&self);
            Listener::new(&window, "pagehide", move |_| {
                if let Some(inner) = inner.upgrade() {
                    inner.leave();
                }
            })
        });
        while let Some(event) = events.next().await {
            self.hear(event);
        }
        drop(page_ends);
        self.close();
    }

    fn hear(&self, event: Event) {
        match event {
            Event::Frame(frame) => self.remote.take(frame),
            Event::Connection(status) => {
                if status.state != ConnectionState::Connected {
                    self.local.disconnected();
                }
                self.remote.push(CallEvent::Connection(status));
            }
            Event::Joined {
                session,
                participants,
                ..
            } => {
                self.remote.change(RosterChange::Replaced {
                    session,
                    participants,
                });
            }
            Event::ParticipantJoined(participant) => {
                self.remote.change(RosterChange::Joined(participant));
            }
            Event::ParticipantLeft(session) => self.remote.change(RosterChange::Left(session)),
            Event::TrackChanged { session, track } => {
                self.remote.change(RosterChange::TrackChanged { session, track });
            }
            Event::TrackRemoved(track) => self.remote.change(RosterChange::TrackRemoved(track)),
            Event::TrackAccepted(track) => self.local.accepted(track),
            Event::KeyframeWanted { track, spatial } => self.local.keyframe_wanted(track, spatial),
            Event::LayersWanted {
                track,
                spatial_layers,
            } => {
                self.local.watched(track, spatial_layers);
            }
            Event::EncoderTargets(_) => {}
            Event::Speakers(sessions) => self.remote.push(CallEvent::Speakers(sessions)),
            Event::Reachability {
                other_relays_reachable,
            } => {
                let notice = Notice::OtherRelaysReachable(other_relays_reachable);
                self.remote.push(CallEvent::Notice(notice));
            }
            Event::Closed(closing) => {
                tracing::info!(code = ?closing.code, "the call is over");
                self.close();
                self.remote.push(CallEvent::Closed(closing));
            }
        }
    }

    fn leave(&self) {
        self.client.leave();
        self.local.close();
    }

    fn close(&self) {
        self.local.close();
        self.remote.close();
    }
}

async fn refresh(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        inner.remote.refresh(WebClock::now());
        drop(inner);
        sleep(REFRESH_INTERVAL).await;
    }
}

fn speaker_notice(event: SpeakerEvent) -> Notice {
    match event {
        SpeakerEvent::Blocked => Notice::PlaybackBlocked,
        SpeakerEvent::Failed(reason) => Notice::PlaybackFailed(reason),
        SpeakerEvent::Works => Notice::PlaybackWorks,
    }
}
