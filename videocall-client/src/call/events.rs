//! What a call tells its user interface, and the bounded queue between the two.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::Stream;
use videocall_types::{Closing, Participant, SessionId, TrackInfo, TrackRef};

use crate::core::ConnectionStatus;
use crate::media::device_error::{DeviceError, Source};

/// Something a user interface shows.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEvent {
    /// The connection's state, carrier or notice has changed.
    Connection(ConnectionStatus),
    /// Who is in the meeting, and with what, has changed.
    Roster(RosterChange),
    /// Whether a track of somebody else has a picture to show.
    Picture {
        /// Which track.
        track: TrackRef,
        /// Whether.
        state: PictureState,
    },
    /// What is sent of the own person has changed.
    Local(LocalState),
    /// Something a person should know.
    Notice(Notice),
    /// The call is over. Nothing follows.
    Closed(Closing),
}

/// A change of who is in the meeting. The own person is never part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterChange {
    /// The whole roster, which replaces the one known before: after joining and after reconnecting.
    Replaced {
        /// The own session.
        session: SessionId,
        /// Everybody else.
        participants: Vec<Participant>,
    },
    /// Somebody came, or came back with other tracks: replaces who has the same session.
    Joined(Participant),
    /// Somebody is gone, with all their tracks.
    Left(SessionId),
    /// A track is new, or was muted or unmuted.
    TrackChanged {
        /// Whose.
        session: SessionId,
        /// The whole description.
        track: TrackInfo,
    },
    /// A track has ended.
    TrackRemoved(TrackRef),
}

/// Whether a track has a picture to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureState {
    /// Pictures are being drawn.
    Live,
    /// None has come yet, or none for a while.
    Waiting,
    /// The sender has switched it off.
    Off,
}

impl PictureState {
    /// `live`, `waiting` or `off`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Off => "off",
        }
    }
}

/// What is sent of the own person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalState {
    /// The microphone is open and heard.
    pub microphone: bool,
    /// The camera is on.
    pub camera: bool,
    /// The screen is shared.
    pub screen: bool,
}

/// Something a person should know while the call goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// A device cannot be used; the call goes on without it.
    #[error("{}: {error}", source_name(*.device))]
    Device {
        /// Which.
        device: Source,
        /// Why.
        error: DeviceError,
    },
    /// The browser plays no sound before the page was clicked.
    #[error("click anywhere on the page to hear the others")]
    PlaybackBlocked,
    /// Sound cannot be played at all.
    #[error("sound cannot be played: {0}")]
    PlaybackFailed(String),
    /// A source cannot be encoded; the call goes on without it.
    #[error("{} cannot be encoded: {reason}", source_name(*.device))]
    EncodingFailed {
        /// Which.
        device: Source,
        /// In the browser's words.
        reason: String,
    },
    /// Whether participants on other relays can be reached has changed.
    #[error("{}", if *.0 { "everybody can be reached again" } else { "people on other servers cannot be reached at the moment" })]
    OtherRelaysReachable(bool),
}

const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Microphone => "microphone",
        Source::Camera => "camera",
        Source::Screen => "screen",
    }
}

/// Changes of the roster that may wait; beyond, they are replaced by the whole roster.
const MAX_ROSTER_CHANGES: usize = 256;

/// Notices that may wait; beyond, the oldest are dropped.
const MAX_NOTICES: usize = 16;

/// The call's end of the queue.
///
/// Bounded without losing anything that still counts: of states only the newest waits (one
/// connection, one local state, one per track), changes of the roster become the whole roster when they
/// are too many, and of notices the newest are kept.
#[derive(Clone, Default)]
pub(super) struct EventQueue(Rc<RefCell<Queue>>);

#[derive(Default)]
struct Queue {
    events: VecDeque<CallEvent>,
    waker: Option<Waker>,
    ended: bool,
}

impl EventQueue {
    /// Adds an event. `roster` gives the whole roster when the changes are too many.
    pub(super) fn push(&self, event: CallEvent, roster: impl FnOnce() -> Option<RosterChange>) {
        let mut queue = self.0.borrow_mut();
        if queue.ended {
            return;
        }
        queue.ended = matches!(event, CallEvent::Closed(_));
        match event {
            CallEvent::Roster(change) => queue.push_roster(change, roster),
            CallEvent::Notice(_) => queue.push_notice(event),
            state => queue.push_state(state),
        }
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// The user interface's end. There is one.
    pub(super) fn stream(&self) -> CallEvents {
        CallEvents(self.0.clone())
    }
}

impl Queue {
    fn push_state(&mut self, event: CallEvent) {
        let same = |queued: &CallEvent| match (queued, &event) {
            (CallEvent::Connection(_), CallEvent::Connection(_))
            | (CallEvent::Local(_), CallEvent::Local(_)) => true,
            (CallEvent::Picture { track: a, .. }, CallEvent::Picture { track: b, .. }) => a == b,
            _ => false,
        };
        self.events.retain(|queued| !same(queued));
        self.events.push_back(event);
    }

    fn push_roster(&mut self, change: RosterChange, whole: impl FnOnce() -> Option<RosterChange>) {
        let is_roster = |queued: &CallEvent| matches!(queued, CallEvent::Roster(_));
        let waiting = self.events.iter().filter(|queued| is_roster(queued)).count();
        let change = match (waiting >= MAX_ROSTER_CHANGES).then(whole).flatten() {
            Some(replaced) => {
                self.events.retain(|queued| !is_roster(queued));
                replaced
            }
            None => change,
        };
        self.events.push_back(CallEvent::Roster(change));
    }

    fn push_notice(&mut self, event: CallEvent) {
        let is_notice = |queued: &CallEvent| matches!(queued, CallEvent::Notice(_));
        if self.events.iter().filter(|queued| is_notice(queued)).count() >= MAX_NOTICES
            && let Some(oldest) = self.events.iter().position(is_notice)
        {
            self.events.remove(oldest);
        }
        self.events.push_back(event);
    }
}

/// The events of a call, in order; ends after [`CallEvent::Closed`].
pub struct CallEvents(Rc<RefCell<Queue>>);

impl Stream for CallEvents {
    type Item = CallEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<CallEvent>> {
        let mut queue = self.0.borrow_mut();
        match queue.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.ended => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
