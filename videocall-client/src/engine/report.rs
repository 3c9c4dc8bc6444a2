//! What the engine tells the page: events through a bounded queue and window, levels and figures as the page
//! takes them.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use videocall_types::Timestamp;

use crate::bridge::messages::FromEngine;
use crate::bridge::port::Port;
use crate::bridge::window::Window;
use crate::call::{CallEvent, EventQueue, Levels, RosterChange};
use crate::stats::CallStats;
use crate::transport::web::WebClock;

/// Between two reports of levels: a speaking ring then follows a voice without a delay that is seen.
pub(super) const LEVELS_INTERVAL: Duration = Duration::from_millis(100);

/// Between two reports of figures while somebody looks at them, as often as the client renews its own; and while
/// nobody does, so that the first look finds something.
const FIGURES_INTERVAL: Duration = Duration::from_millis(200);
const IDLE_FIGURES_INTERVAL: Duration = Duration::from_secs(1);

/// Added for every track, so that the figures of a thousand people cost no more than a small share of a core.
const FIGURES_INTERVAL_PER_TRACK: Duration = Duration::from_millis(1);

/// After a look at the figures, another one is expected for so long. Who looks once a second is shown what is at
/// most a second old; renewing figures costs too much to be done for nobody.
const WATCHED_FOR: Duration = Duration::from_millis(500);

/// The way to the page.
pub(super) struct Reporter {
    page: Port<FromEngine>,
    /// Events for which the window has no room.
    waiting: EventQueue,
    window: RefCell<Window>,
    figures_due: Cell<Timestamp>,
    watched_until: Cell<Timestamp>,
    /// The call is over.
    over: Cell<bool>,
}

impl Reporter {
    pub(super) fn new(page: Port<FromEngine>) -> Self {
        Self {
            page,
            waiting: EventQueue::default(),
            window: RefCell::default(),
            figures_due: Cell::default(),
            watched_until: Cell::default(),
            over: Cell::new(false),
        }
    }

    /// Tells the user interface; `roster` gives the whole roster in case it has fallen behind.
    pub(super) fn event(&self, event: CallEvent, roster: impl FnOnce() -> Option<RosterChange>) {
        self.over
            .set(self.over.get() || matches!(event, CallEvent::Closed(_)));
        self.waiting.push(event, roster);
        self.flush();
    }

    /// Tells something that is not counted.
    pub(super) fn tell(&self, message: &FromEngine) {
        self.page.post(message);
    }

    /// The page has taken a message.
    pub(super) fn taken(&self) {
        self.window.borrow_mut().taken();
        self.flush();
    }

    /// The next report has figures: something has changed of which others learn at once.
    pub(super) fn renew_figures(&self) {
        self.figures_due.set(Timestamp::ZERO);
    }

    /// Somebody looks at the figures.
    pub(super) fn watch_figures(&self) {
        let now = WebClock::now();
        self.watched_until.set(now + WATCHED_FOR);
        self.figures_due
            .set(self.figures_due.get().min(now + FIGURES_INTERVAL));
    }

    /// Reports levels, and figures when they are due, unless the page has not taken the reports before.
    pub(super) fn report(
        &self,
        now: Timestamp,
        levels: impl FnOnce() -> Levels,
        figures: impl FnOnce() -> CallStats,
    ) {
        if self.over.get() || !self.window.borrow().has_room_for_report() {
            return;
        }
        self.page.post(&FromEngine::Levels(levels()));
        self.window.borrow_mut().sent_report();
        if now >= self.figures_due.get() {
            self.report_figures(now, &figures());
        }
    }

    fn report_figures(&self, now: Timestamp, figures: &CallStats) {
        let interval = match now < self.watched_until.get() {
            true => FIGURES_INTERVAL,
            false => IDLE_FIGURES_INTERVAL,
        };
        let tracks = u32::try_from(figures.remote_tracks.len()).unwrap_or(u32::MAX);
        self.figures_due
            .set(now + interval + FIGURES_INTERVAL_PER_TRACK * tracks);
        // Both fail for nothing that is in there.
        let posted = serde_json::to_string(figures)
            .is_ok_and(|text| self.page.post_with(&FromEngine::Figures, &[&text.into()]).is_ok());
        if posted {
            self.window.borrow_mut().sent_report();
        }
    }

    fn flush(&self) {
        while self.window.borrow().has_room() {
            let Some(event) = self.waiting.pop() else { return };
            self.page.post(&FromEngine::Event(Box::new(event)));
            self.window.borrow_mut().sent();
        }
    }
}
