//! How many messages of the engine may be on their way to the page.
//!
//! A browser queues without bound what is posted to a thread that is busy. So the engine posts no more than
//! these; what comes meanwhile waits in its own queue, where the newer takes the place of the older.

/// Messages that the page has not taken: more than one turn of its event loop brings.
const CAPACITY: u32 = 32;

/// What is on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    sent: u64,
    taken: u64,
    /// Number of the last message of a kind of which one at a time is enough.
    last_report: Option<u64>,
}

impl Window {
    /// Whether another message may be sent.
    pub(crate) const fn has_room(&self) -> bool {
        self.sent - self.taken < CAPACITY as u64
    }

    /// Whether a report may be sent: when the page has taken the one before.
    pub(crate) fn has_room_for_report(&self) -> bool {
        self.has_room() && self.last_report.is_none_or(|number| number <= self.taken)
    }

    /// A message was sent.
    pub(crate) const fn sent(&mut self) {
        self.sent += 1;
    }

    /// A report was sent.
    pub(crate) const fn sent_report(&mut self) {
        self.sent += 1;
        self.last_report = Some(self.sent);
    }

    /// The page has taken the oldest message that it had not taken.
    pub(crate) const fn taken(&mut self) {
        if self.taken < self.sent {
            self.taken += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_takes_nothing_gets_a_window_and_no_more() {
        let mut window = Window::default();
        let sent = std::iter::from_fn(|| window.has_room().then(|| window.sent())).count();
        assert_eq!(sent, CAPACITY as usize);
        window.taken();
        assert!(window.has_room());
        window.sent();
        assert!(!window.has_room());
    }

    #[test]
    fn of_reports_one_is_on_its_way() {
        let mut window = Window::default();
        window.sent();
        assert!(window.has_room_for_report());
        window.sent_report();
        window.sent();
        window.taken();
        assert!(
            !window.has_room_for_report(),
            "the page has the message before it"
        );
        window.taken();
        assert!(window.has_room_for_report());
    }

    #[test]
    fn acknowledging_what_was_not_sent_gains_nothing() {
        let mut window = Window::default();
        window.taken();
        let sent = std::iter::from_fn(|| window.has_room().then(|| window.sent())).count();
        assert_eq!(sent, CAPACITY as usize);
    }
}
