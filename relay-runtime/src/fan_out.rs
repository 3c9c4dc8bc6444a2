//! Giving a packet to its receivers, and letting their carriers write it at once.
//!
//! A packet that is pushed into an outbox wakes whoever waits for it. Usually that is a task, which is put into a
//! queue, perhaps of another thread, which may have to be woken first: for fifty receivers fifty times. A carrier
//! whose writing is one system call that never waits can have its waker say [`write`] instead. Writers that are named
//! while a packet is being given to its receivers write right after that, in the task of the sender, when no lock is
//! held any more; those of a large audience in batches that other threads can take.
//!
//! Who receives what is left to relay-core, writing to carriers.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::coop;

/// Writers that one task serves in turn: few enough that an audience is shared by all cores, many enough that a
/// task costs little beside what it writes.
const BATCH: usize = 64;

/// Writes what waits for one receiver.
pub trait Writer: Send + Sync {
    /// Writes as much as can be written without waiting; leaves the rest to a task.
    fn write_now(&self);

    /// Has a task write.
    fn write_later(&self);
}

type Batch = Vec<Arc<dyn Writer>>;

thread_local! {
    /// Who is to write.
    static NAMED: RefCell<Named> = const { RefCell::new(Named { open: false, batch: Batch::new() }) };
}

struct Named {
    /// A packet is being given to its receivers.
    open: bool,
    batch: Batch,
}

/// Has a receiver's packets written: at the end of the fan-out that calls this, otherwise by a task.
pub fn write(writer: Arc<dyn Writer>) {
    let not_now = NAMED.with_borrow_mut(|named| {
        if !named.open {
            return Some(writer);
        }
        named.batch.push(writer);
        if named.batch.len() == BATCH {
            write_elsewhere(named.batch.drain(..).collect());
        }
        None
    });
    if let Some(writer) = not_now {
        writer.write_later();
    }
}

/// Runs what gives a packet to its receivers, in a task of tokio's runtime: that is where batches go.
pub(crate) fn run<T>(give: impl FnOnce() -> T) -> T {
    let _open = Open::new();
    give()
}

/// Writers are named as long as this lives, and write then.
struct Open;

impl Open {
    fn new() -> Self {
        NAMED.with_borrow_mut(|named| named.open = true);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut batch = NAMED.with_borrow_mut(|named| {
            named.open = false;
            std::mem::take(&mut named.batch)
        });
        if std::thread::panicking() {
            batch.iter().for_each(|writer| writer.write_later());
        } else if may_do(batch.len()) {
            batch.iter().for_each(|writer| writer.write_now());
        } else {
            return write_elsewhere(batch);
        }
        // Its memory serves the next packet.
        batch.clear();
        NAMED.with_borrow_mut(|named| named.batch = batch);
    }
}

fn write_elsewhere(batch: Batch) {
    tokio::spawn(async move { batch.iter().for_each(|writer| writer.write_now()) });
}

/// Takes so many operations from those that a task may do before it lets others run (`tokio::task::coop`): who sends
/// a lot must not keep its thread from everybody else. False when it has not so many left.
fn may_do(operations: usize) -> bool {
    let mut nobody = Context::from_waker(Waker::noop());
    (0..operations).all(|_| match coop::poll_proceed(&mut nobody) {
        Poll::Ready(taken) => {
            taken.made_progress();
            true
        }
        Poll::Pending => false,
    })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::{self, ThreadId};

    use parking_lot::Mutex;

    use super::*;

    /// Notes which thread wrote, and how often a task was asked to.
    #[derive(Default)]
    struct Counting {
        written: Mutex<Vec<ThreadId>>,
        left: AtomicUsize,
    }

    impl Counting {
        fn many(count: usize) -> Vec<Arc<Self>> {
            (0..count).map(|_| Arc::default()).collect()
        }

        fn written(&self) -> usize {
            self.written.lock().len()
        }

        fn left(&self) -> usize {
            self.left.load(Ordering::Relaxed)
        }
    }

    impl Writer for Counting {
        fn write_now(&self) {
            self.written.lock().push(thread::current().id());
        }

        fn write_later(&self) {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_wakes_a_receiver_at_another_time_leaves_it_to_its_task() {
        let writer = Arc::new(Counting::default());
        write(writer.clone());
        run(|| ());
        write(writer.clone());
        assert_eq!((writer.written(), writer.left()), (0, 2));
    }

    #[test]
    fn receivers_are_written_to_once_everybody_has_the_packet() {
        let writers = Counting::many(BATCH - 1);
        let here = thread::current().id();
        for packet in 0..3 {
            run(|| {
                writers.iter().for_each(|writer| write(writer.clone()));
                assert!(writers.iter().all(|writer| writer.written() == packet));
            });
            assert!(writers.iter().all(|writer| writer.written() == packet + 1));
        }
        assert!(writers.iter().all(|writer| *writer.written.lock() == [here; 3]));
    }

    /// Such as that a control message is owed to somebody, of whom a lock may be held.
    #[test]
    fn what_a_receiver_wakes_while_it_is_written_to_is_left_to_a_task() {
        struct Waking(Arc<Counting>);
        impl Writer for Waking {
            fn write_now(&self) {
                write(self.0.clone());
            }

            fn write_later(&self) {}
        }
        let other = Arc::new(Counting::default());
        run(|| write(Arc::new(Waking(other.clone()))));
        assert_eq!((other.written(), other.left()), (0, 1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_large_audience_is_shared_by_threads() {
        let writers = Counting::many(3 * BATCH + 1);
        run(|| writers.iter().for_each(|writer| write(writer.clone())));
        assert_eq!(writers.last().map(|writer| writer.written()), Some(1));
        while writers.iter().any(|writer| writer.written() == 0) {
            tokio::task::yield_now().await;
        }
        assert!(
            writers
                .iter()
                .all(|writer| writer.written() == 1 && writer.left() == 0)
        );
    }

    #[tokio::test]
    async fn a_sender_of_many_packets_lets_others_run() {
        let writers = Counting::many(BATCH - 1);
        let sending = tokio::spawn({
            let writers = writers.clone();
            async move {
                for _ in 0..100 {
                    run(|| writers.iter().for_each(|writer| write(writer.clone())));
                }
                writers.iter().map(|writer| writer.written()).max()
            }
        });
        let most = sending.await.expect("it ends").expect("there are writers");
        assert!(
            (1..10).contains(&most),
            "{most} packets were written without a pause"
        );
        while writers.iter().any(|writer| writer.written() < 100) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_fan_out_that_fails_leaves_nothing_behind() {
        let (given, later) = (Arc::new(Counting::default()), Arc::new(Counting::default()));
        let failed = catch_unwind(AssertUnwindSafe(|| {
            run(|| {
                write(given.clone());
                panic!("on purpose");
            })
        }));
        assert!(failed.is_err());
        write(later.clone());
        assert_eq!((given.written(), given.left()), (0, 1));
        assert_eq!((later.written(), later.left()), (0, 1));
    }
}
