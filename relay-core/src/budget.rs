//! How much may wait for all receivers of a relay together.
//!
//! What is dropped when it is too much is left to the outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use videocall_types::limits::MAX_QUEUED_BYTES;

/// Bytes that an outbox takes from the budget at a time: three frames of video. One that holds less
/// takes none, so receivers that keep up seldom touch what all of them share; what is not counted
/// for them is 80 MB for 5000 sessions, small beside [`MAX_QUEUED_BYTES`].
const STEP: usize = 16 * 1024;

/// The bytes that may wait in all outboxes of a relay together.
#[derive(Debug)]
pub struct QueueBudget {
    limit: usize,
    taken: AtomicUsize,
}

impl QueueBudget {
    /// A budget of so many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: AtomicUsize::new(0),
        })
    }

    /// The bytes that may wait.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes that outboxes have taken for what waits in them: at least what is in those that hold
    /// more than a step.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                taken.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Default for QueueBudget {
    fn default() -> Self {
        Self {
            limit: MAX_QUEUED_BYTES,
            taken: AtomicUsize::new(0),
        }
    }
}

/// What one outbox has of the budget.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<QueueBudget>,
    taken: usize,
}

impl Share {
    pub(crate) fn new(budget: Arc<QueueBudget>) -> Self {
        Self { budget, taken: 0 }
    }

    /// Brings the share in line with what waits. `false`: the relay has no more to give, and no more
    /// than [`Share::allowed`] should wait.
    pub(crate) fn hold(&mut self, waiting: usize) -> bool {
        if waiting > self.allowed() {
            let wanted = (waiting - self.allowed()).div_ceil(STEP) * STEP;
            let given = self.budget.take(wanted);
            if given {
                self.taken += wanted;
            }
            return given;
        }
        // One step is kept beyond what waits, so that a queue at its edge does not go back and forth.
        let kept = waiting.div_ceil(STEP) * STEP;
        if let Some(spare) = self.taken.checked_sub(kept).filter(|spare| *spare > 0) {
            self.taken = kept;
            self.budget.give_back(spare);
        }
        true
    }

    /// Bytes that may wait here without a further step.
    pub(crate) fn allowed(&self) -> usize {
        self.taken + STEP
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_that_keep_up_take_nothing() {
        let budget = QueueBudget::new(STEP);
        let mut shares: Vec<_> = (0..100).map(|_| Share::new(budget.clone())).collect();
        assert!(shares.iter_mut().all(|share| share.hold(STEP)));
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn the_budget_covers_what_waits_and_is_never_exceeded() {
        let budget = QueueBudget::new(10 * STEP);
        let (mut one, mut other) = (Share::new(budget.clone()), Share::new(budget.clone()));
        assert!(one.hold(8 * STEP));
        assert!(!other.hold(8 * STEP), "three steps are left");
        assert!(other.hold(4 * STEP));
        assert_eq!(budget.taken(), 10 * STEP);
        assert!(!one.hold(9 * STEP));
        assert_eq!(one.allowed(), 8 * STEP);
        assert!(other.hold(0));
        assert!(one.hold(9 * STEP));
        drop((one, other));
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn a_queue_at_the_edge_of_a_step_does_not_go_back_and_forth() {
        let budget = QueueBudget::new(10 * STEP);
        let mut share = Share::new(budget.clone());
        let mut changes = 0;
        let mut before = 0;
        for round in 0..100 {
            share.hold(2 * STEP + round % 2);
            changes += usize::from(budget.taken() != before);
            before = budget.taken();
        }
        assert!(changes <= 2, "{changes}");
    }
}
