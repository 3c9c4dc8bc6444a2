//! QUIC's endpoint, which hands every packet that arrives to the connection that it is for.
//!
//! It is the one thing that the packets of all connections pass. As a task among those of the connections it gets a
//! turn as seldom as any of them: while a few clients flood the relay, everybody's packets would wait in the socket for
//! as long as its buffer lasts, a fifth of a second and more, which congestion controls at both ends take for a slow
//! path. On a thread of its own it never waits, and every packet costs two switches between threads. So it is a task,
//! and a thread looks after it: when the task has not had its turn for a moment, the thread takes it. What is too much
//! then waits with the connection that brought it.

use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use wtransport::ServerConfig;
use wtransport::quinn::{AsyncTimer, AsyncUdpSocket, Endpoint, Runtime, TokioRuntime};

use crate::gate::Gate;

/// How often the thread looks; a turn is taken from the task that has not come after one to two of these. The socket's
/// buffer holds more than what arrives meanwhile, and on a machine with time to spare tasks wait a fraction of it.
const LOOK_INTERVAL: Duration = Duration::from_millis(4);

/// How often it looks while nothing comes.
const QUIET_INTERVAL: Duration = Duration::from_millis(32);

/// `Pulse::woken` while there is nothing to do.
const ASLEEP: u64 = 0;

type Driving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes an endpoint on this socket, in the runtime of the caller.
///
/// # Errors
/// When the operating system gives no thread, or the socket is of no use.
pub(crate) fn open(config: &ServerConfig, socket: UdpSocket) -> anyhow::Result<(Endpoint, Arc<Gate>)> {
    let runtime = Arc::new(WatchedRuntime::default());
    let gate = Arc::new(Gate::new(runtime.wrap_udp_socket(socket)?));
    let endpoint = Endpoint::new_with_abstract_socket(
        config.quic_endpoint_config().clone(),
        Some(config.quic_config().clone()),
        gate.clone(),
        runtime.clone(),
    )
    .context("QUIC cannot be started")?;
    let driver = runtime.driver.lock().take();
    let watched = driver.context("QUIC has started nothing")?;
    let handle = Handle::current();
    thread::Builder::new()
        .name("quic-watch".to_owned())
        .spawn(move || watch(&watched, &handle))
        .context("QUIC has no thread")?;
    Ok((endpoint, gate))
}

/// Takes the turns that the task does not come to, until that is gone.
fn watch(watched: &Weak<Driver>, runtime: &Handle) {
    let _entered = runtime.enter();
    let mut turns = 0;
    while let Some(driver) = watched.upgrade() {
        if driver.pulse.has_waited() {
            driver.catch_up();
        }
        let before = std::mem::replace(&mut turns, driver.pulse.turns.load(Ordering::Relaxed));
        drop(driver);
        thread::sleep(if turns == before {
            QUIET_INTERVAL
        } else {
            LOOK_INTERVAL
        });
    }
}

/// Tokio, with an endpoint whose driver is watched: the first thing that an endpoint spawns.
#[derive(Debug, Default)]
struct WatchedRuntime {
    began: AtomicBool,
    driver: Mutex<Option<Weak<Driver>>>,
}

impl Runtime for WatchedRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Driving) {
        if self.began.swap(true, Ordering::Relaxed) {
            return TokioRuntime.spawn(future);
        }
        let driver = Arc::new(Driver::new(future));
        *self.driver.lock() = Some(Arc::downgrade(&driver));
        TokioRuntime.spawn(Box::pin(DriverTask(driver)));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
}

/// What drives an endpoint. Whoever has it advances it: its task, or the thread.
struct Driver {
    /// `None` once it has ended.
    driving: Mutex<Option<Driving>>,
    pulse: Arc<Pulse>,
}

/// Whether there is something to do. This is what wakes, and it does not own what drives: the endpoint wakes while it holds a
/// lock that its end takes.
#[derive(Debug)]
struct Pulse {
    task: AtomicWaker,
    /// The look before which it was woken without having been advanced since, or [`ASLEEP`].
    woken: AtomicU64,
    looks: AtomicU64,
    turns: AtomicU64,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Wake for Pulse {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let look = self.looks.load(Ordering::Relaxed);
        // Who woke it first has waited for longest.
        self.woken
            .compare_exchange(ASLEEP, look, Ordering::SeqCst, Ordering::SeqCst)
            .ok();
        self.task.wake();
    }
}

impl Pulse {
    const fn new() -> Self {
        Self {
            task: AtomicWaker::new(),
            woken: AtomicU64::new(ASLEEP),
            looks: AtomicU64::new(ASLEEP + 1),
            turns: AtomicU64::new(0),
        }
    }

    fn is_awake(&self) -> bool {
        self.woken.load(Ordering::SeqCst) != ASLEEP
    }

    /// Whether it was woken before the last look and nobody has come since. To be asked once for each look.
    fn has_waited(&self) -> bool {
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        let woken = self.woken.load(Ordering::SeqCst);
        woken != ASLEEP && woken < look
    }
}

impl Driver {
    fn new(driving: Driving) -> Self {
        Self {
            driving: Mutex::new(Some(driving)),
            pulse: Arc::new(Pulse::new()),
        }
    }

    /// Lets it do what is to be done now, unless the other one is at it, who then sees to it that nothing is left.
    fn advance(&self) -> Poll<()> {
        let Some(mut driving) = self.driving.try_lock() else {
            return Poll::Pending;
        };
        let Some(future) = driving.as_mut() else {
            return Poll::Ready(());
        };
        self.pulse.woken.store(ASLEEP, Ordering::SeqCst);
        self.pulse.turns.fetch_add(1, Ordering::Relaxed);
        let waker = Waker::from(self.pulse.clone());
        let advanced = future.as_mut().poll(&mut Context::from_waker(&waker));
        if advanced.is_ready() {
            *driving = None;
        }
        advanced
    }

    /// Advances it until it sleeps. Who is woken while this one has it does not get it, so that only after it was
    /// given back can be known that nothing is left.
    fn catch_up(&self) {
        while self.pulse.is_awake() {
            if self.advance().is_ready() {
                self.pulse.task.wake();
                return;
            }
        }
    }
}

/// Ends the watch when it is dropped, with the runtime or because the endpoint is gone.
struct DriverTask(Arc<Driver>);

impl Future for DriverTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.pulse.task.register(context.waker());
        self.0.advance()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often it is advanced, by what its waker lets happen.
    fn counting() -> (Driving, Arc<AtomicUsize>, Arc<AtomicWaker>) {
        let (turns, waker) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicWaker::new()));
        let (counted, registered) = (turns.clone(), waker.clone());
        let driving = std::future::poll_fn(move |context| {
            registered.register(context.waker());
            counted.fetch_add(1, Ordering::SeqCst);
            Poll::Pending
        });
        (Box::pin(driving), turns, waker)
    }

    fn spawned(driving: Driving) -> Arc<Driver> {
        let runtime = WatchedRuntime::default();
        runtime.spawn(driving);
        let driver = runtime.driver.lock().take().expect("it was the first");
        let watched = driver.clone();
        let handle = Handle::current();
        thread::spawn(move || watch(&watched, &handle));
        driver.upgrade().expect("it runs")
    }

    #[test]
    fn only_who_was_woken_before_the_last_look_has_waited() {
        let (driving, turns, waker) = counting();
        let driver = Driver::new(driving);
        assert!(driver.advance().is_pending());
        assert!(!driver.pulse.has_waited() && !driver.pulse.has_waited());
        waker.wake();
        assert!(!driver.pulse.has_waited(), "the task may just be about to come");
        assert!(driver.pulse.has_waited() && driver.pulse.has_waited());
        driver.catch_up();
        assert_eq!(turns.load(Ordering::SeqCst), 2);
        assert!(!driver.pulse.is_awake() && !driver.pulse.has_waited());
    }

    #[tokio::test]
    async fn turns_that_the_task_does_not_come_to_are_taken_for_it() {
        let (driving, turns, waker) = counting();
        let _driver = spawned(driving);
        tokio::task::yield_now().await;
        for turn in 2..6 {
            waker.wake();
            let began = Instant::now();
            // The only thread of this runtime is busy.
            while turns.load(Ordering::SeqCst) < turn {
                assert!(began.elapsed() < Duration::from_secs(5), "nobody took the turn");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn what_wakes_it_does_not_keep_it() {
        let (driving, _, waker) = counting();
        let kept = Arc::new(());
        let held = kept.clone();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let driving = async move {
                let _held = held;
                driving.await;
            };
            drop(spawned(Box::pin(driving)));
            tokio::time::sleep(LOOK_INTERVAL).await;
        });
        drop(runtime);
        let began = Instant::now();
        while Arc::strong_count(&kept) > 1 {
            assert!(began.elapsed() < Duration::from_secs(5), "it is still there");
            thread::yield_now();
        }
        waker.wake();
    }

    #[tokio::test]
    async fn what_keeps_itself_awake_goes_on_without_its_task() {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let driver = spawned(Box::pin(std::future::poll_fn(move |context| {
            context.waker().wake_by_ref();
            match counted.fetch_add(1, Ordering::SeqCst) {
                1000.. => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })));
        tokio::task::yield_now().await;
        let began = Instant::now();
        while driver.driving.lock().is_some() {
            assert!(began.elapsed() < Duration::from_secs(5), "nobody took the turns");
            thread::yield_now();
        }
        let weak = Arc::downgrade(&driver);
        drop(driver);
        while weak.upgrade().is_some() {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "the task and the thread end"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
