//! The bounded queue between a call and its user interface. There is one on each side of the way from the
//! engine to the page.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::Stream;

use super::events::{CallEvent, RosterChange};

/// Changes of the roster that may wait; beyond, they are replaced by the whole roster.
const MAX_ROSTER_CHANGES: usize = 256;

/// Notices that may wait; beyond, the oldest are dropped.
const MAX_NOTICES: usize = 16;

/// The call's end of the queue.
///
/// Bounded without losing anything that still counts: of states only the newest waits (one
/// connection, one local state, one list of speakers, one per track), changes of the roster become the whole roster when they
/// are too many, and of notices the newest are kept.
#[derive(Clone, Default)]
pub(crate) struct EventQueue(Rc<RefCell<Queue>>);

#[derive(Default)]
struct Queue {
    events: VecDeque<CallEvent>,
    waker: Option<Waker>,
    ended: bool,
}

impl EventQueue {
    /// Adds an event. `roster` gives the whole roster when the changes are too many.
    pub(crate) fn push(&self, event: CallEvent, roster: impl FnOnce() -> Option<RosterChange>) {
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

    /// The next event, if one waits.
    pub(crate) fn pop(&self) -> Option<CallEvent> {
        self.0.borrow_mut().events.pop_front()
    }

    /// The user interface's end. There is one.
    pub(crate) fn stream(&self) -> CallEvents {
        CallEvents(self.0.clone())
    }
}

impl Queue {
    fn push_state(&mut self, event: CallEvent) {
        let same = |queued: &CallEvent| match (queued, &event) {
            (CallEvent::Connection(_), CallEvent::Connection(_))
            | (CallEvent::Local(_), CallEvent::Local(_))
            | (CallEvent::Speakers(_), CallEvent::Speakers(_)) => true,
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

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use videocall_types::{CloseCode, Closing, SessionId, TrackId, TrackRef};

    use super::*;
    use crate::call::{LocalState, Notice, PictureState};

    fn session(number: usize) -> SessionId {
        SessionId::new(number as u64 + 1).expect("not zero")
    }

    fn waiting(queue: &EventQueue) -> Vec<CallEvent> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    fn push(queue: &EventQueue, event: CallEvent) {
        queue.push(event, || {
            Some(RosterChange::Replaced {
                session: session(0),
                participants: Vec::new(),
            })
        });
    }

    #[test]
    fn of_states_only_the_newest_waits() {
        let queue = EventQueue::default();
        let picture = |number, state| CallEvent::Picture {
            track: TrackRef {
                session: session(number),
                track: TrackId(2),
            },
            state,
        };
        push(&queue, picture(1, PictureState::Waiting));
        push(&queue, CallEvent::Local(LocalState::default()));
        push(&queue, picture(2, PictureState::Off));
        push(&queue, picture(1, PictureState::Live));
        assert_eq!(
            waiting(&queue),
            [
                CallEvent::Local(LocalState::default()),
                picture(2, PictureState::Off),
                picture(1, PictureState::Live),
            ]
        );
    }

    #[test]
    fn too_many_changes_of_the_roster_become_the_whole_roster() {
        let queue = EventQueue::default();
        for number in 0..=MAX_ROSTER_CHANGES {
            push(&queue, CallEvent::Roster(RosterChange::Left(session(number))));
        }
        let events = waiting(&queue);
        assert!(
            matches!(events[..], [CallEvent::Roster(RosterChange::Replaced { .. })]),
            "{events:?}"
        );
    }

    #[test]
    fn of_notices_the_newest_are_kept() {
        let queue = EventQueue::default();
        push(&queue, CallEvent::Notice(Notice::PlaybackFailed("old".into())));
        for _ in 0..MAX_NOTICES {
            push(&queue, CallEvent::Notice(Notice::PlaybackBlocked));
        }
        let expected = vec![CallEvent::Notice(Notice::PlaybackBlocked); MAX_NOTICES];
        assert_eq!(waiting(&queue), expected);
    }

    #[test]
    fn nothing_follows_the_end() {
        let queue = EventQueue::default();
        let end = CallEvent::Closed(Closing::new(CloseCode::Left));
        push(&queue, end.clone());
        push(&queue, CallEvent::Local(LocalState::default()));
        let mut events = queue.stream();
        assert_eq!(events.next().now_or_never(), Some(Some(end)));
        assert_eq!(events.next().now_or_never(), Some(None));
    }
}
