//! Both directions of a path in real time: what the proxies put packets into and take them out of.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::conditions::Conditions;
use super::link::Link;
use super::report::Report;

/// From or to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// A path that several tasks use.
#[derive(Debug)]
pub(super) struct Path<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    began: Instant,
    /// Since the conditions began: what was before has been forgotten.
    since: Duration,
    up: Link<T>,
    down: Link<T>,
}

impl<T> State<T> {
    fn new(conditions: Conditions) -> Self {
        Self {
            began: Instant::now(),
            since: Duration::ZERO,
            up: Link::new(conditions.up, conditions.seed.wrapping_mul(2)),
            down: Link::new(conditions.down, conditions.seed.wrapping_mul(2).wrapping_add(1)),
        }
    }

    fn receive(&mut self, now: Duration) -> Option<(Way, T)> {
        let up = self.up.receive(now).map(|packet| (Way::Up, packet));
        up.or_else(|| self.down.receive(now).map(|packet| (Way::Down, packet)))
    }
}

impl<T> Path<T> {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self {
            state: Mutex::new(State::new(conditions)),
            changed: Notify::new(),
        }
    }

    /// Begins anew: other conditions, time zero, nothing counted. What is on its way is lost.
    pub(super) fn begin(&self, conditions: Conditions) {
        *self.state.lock() = State::new(conditions);
    }

    /// Forgets what was counted; the conditions go on.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        let now = state.began.elapsed();
        state.since = now;
        state.up.forget(now);
        state.down.forget(now);
    }

    /// A packet comes, of so many bytes with all headers.
    pub(super) fn send(&self, way: Way, bytes: u64, packet: T) {
        let mut state = self.state.lock();
        let now = state.began.elapsed();
        match way {
            Way::Up => state.up.send(now, bytes, packet),
            Way::Down => state.down.send(now, bytes, packet),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The next packet that arrives. Only one task may wait for it.
    pub(super) async fn receive(&self) -> (Way, T) {
        loop {
            let wait = {
                let mut state = self.state.lock();
                let now = state.began.elapsed();
                if let Some(arrived) = state.receive(now) {
                    return arrived;
                }
                let next = [state.up.next(), state.down.next()].into_iter().flatten().min();
                next.map(|at| at.saturating_sub(now))
            };
            match wait {
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    pub(super) fn report(&self) -> Report {
        let state = self.state.lock();
        let now = state.began.elapsed();
        Report {
            seconds: (now - state.since).as_secs_f64(),
            up: state.up.tally().report(state.up.direction(), now),
            down: state.down.tally().report(state.down.direction(), now),
        }
    }
}
