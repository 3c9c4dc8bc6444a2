//! How long a packet takes over NATS: both ways, behind everything else that is on its way.
//!
//! A second connection, which carries nothing else, sends small messages that come back over the
//! connection of the meetings, behind what waits for it at the server; and it hears messages that went
//! out there, behind what waits to be written. The first is the lag of what comes in, the second says
//! what NATS has taken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Subject, Subscriber};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use rand::Rng as _;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use videocall_types::Timestamp;

use super::pressure::Pressure;
use super::window::Window;
use crate::meters::{record_bus_lag, show_bus_pressure};

/// Between two probes of what comes in.
const PROBE_INTERVAL: Duration = Duration::from_millis(200);

/// Probes that have not come back at most; with more the lag is ten seconds and beyond measuring.
const MAX_PROBES: usize = 50;

/// What has been written is asked about at most this often, unless the window fills. Each question is two messages:
/// a hundred a second would be a third of all that a busy meeting sends.
const ACKNOWLEDGE_INTERVAL: Duration = Duration::from_millis(100);

/// An answer that takes longer is asked for again: it may have got lost with a connection.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Questions without an answer before the connection counts as one that gives none, because the server
/// does not allow the subject, or the way to it is so bad that what it has taken does not matter.
const MAX_QUESTIONS: u32 = 5;

/// The two connections.
pub(super) struct Pair {
    /// That of the meetings.
    pub(super) main: Client,
    /// That of the probes.
    pub(super) aside: Client,
    /// Whether the main one is connected.
    pub(super) reachable: watch::Receiver<bool>,
}

/// Measures the lag of what comes in, for as long as anybody asks for the pressure.
pub(super) async fn measure(mut pair: Pair, report: watch::Sender<u8>) {
    let Some((subject, mut returned)) = inbox(&pair.main).await else {
        return;
    };
    let started = Instant::now();
    let (mut probes, mut pressure) = (Probes::default(), Pressure::new());
    let mut ticks = interval(PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !report.is_closed() {
        tokio::select! {
            message = returned.next() => match message {
                Some(message) => {
                    if let Some(lag) = number(&message.payload).and_then(|number| probes.returned(number)) {
                        record_bus_lag(lag);
                    }
                }
                None => return,
            },
            _ = ticks.tick() => {
                let now = Timestamp::ZERO + started.elapsed();
                let level = pressure.observe(probes.lag(), now);
                show_bus_pressure(level);
                report.send_if_modified(|told| std::mem::replace(told, level) != level);
                let connected = *pair.reachable.borrow() && pair.aside.connection_state() == State::Connected;
                match connected.then(|| probes.send()).flatten() {
                    // What does not leave at once would not measure what it is to measure.
                    Some(number) => drop(pair.aside.publish(subject.clone(), bytes_of(number)).now_or_never()),
                    None if !connected => probes.forget(),
                    None => {}
                }
            }
            // What was on its way went with the connection.
            changed = pair.reachable.changed() => match changed {
                Ok(()) => probes.forget(),
                Err(_) => return,
            },
        }
    }
}

/// Probes on their way, oldest first.
#[derive(Debug, Default)]
struct Probes {
    number: u64,
    under_way: VecDeque<(u64, Instant)>,
    /// What the last one took. Without any there may be a server that does not let them pass: then
    /// nothing is known of the lag.
    last: Option<Duration>,
}

impl Probes {
    /// The number of one more, if there may be one.
    fn send(&mut self) -> Option<u64> {
        if self.under_way.len() == MAX_PROBES {
            return None;
        }
        self.number += 1;
        self.under_way.push_back((self.number, Instant::now()));
        Some(self.number)
    }

    /// How long this one has taken. Those before it are lost.
    fn returned(&mut self, number: u64) -> Option<Duration> {
        while let Some((under_way, sent)) = self.under_way.pop_front_if(|(oldest, _)| *oldest <= number) {
            if under_way == number {
                self.last = Some(sent.elapsed());
                return self.last;
            }
        }
        None
    }

    /// What the last one has taken, or what the oldest has taken so far.
    fn lag(&self) -> Duration {
        let waiting = self.under_way.front().map(|(_, sent)| sent.elapsed());
        self.last
            .map_or(Duration::ZERO, |last| last.max(waiting.unwrap_or_default()))
    }

    fn forget(&mut self) {
        self.under_way.clear();
        self.last = None;
    }
}

/// Frees the window of what NATS has taken.
pub(super) async fn acknowledge(pair: Pair, window: Arc<Window>) {
    let Some((subject, mut answers)) = inbox(&pair.aside).await else {
        return;
    };
    let mut number = 0;
    loop {
        window.used().await;
        tokio::select! {
            () = window.half_full() => {}
            () = sleep(ACKNOWLEDGE_INTERVAL) => {}
        }
        let covered = window.outstanding();
        taken(&pair, &subject, &mut answers, &mut number).await;
        window.free(covered);
    }
}

/// Ready when NATS has taken what was given to it before, as far as can be known.
async fn taken(pair: &Pair, subject: &Subject, answers: &mut Subscriber, number: &mut u64) {
    let first = *number + 1;
    for _ in 0..MAX_QUESTIONS {
        *number += 1;
        if pair
            .main
            .publish(subject.clone(), bytes_of(*number))
            .await
            .is_err()
        {
            return;
        }
        let answer = async {
            while let Some(message) = answers.next().await {
                if self::number(&message.payload).is_some_and(|number| number >= first) {
                    return;
                }
            }
        };
        let answered = timeout(ACKNOWLEDGE_TIMEOUT, answer).await.is_ok();
        if answered || !*pair.reachable.borrow() {
            return;
        }
        if pair.aside.connection_state() != State::Connected {
            break;
        }
    }
    // Written is less than taken, and the best that can be known.
    let _closed = pair.main.flush().await;
}

/// A subscription to a subject that nobody else knows of.
async fn inbox(client: &Client) -> Option<(Subject, Subscriber)> {
    let subject = Subject::from(relay_core::subject::lag(rand::rng().next_u64()));
    match client.subscribe(subject.clone()).await {
        Ok(subscriber) => Some((subject, subscriber)),
        Err(error) => {
            tracing::warn!(%error, "the lag of NATS cannot be measured");
            None
        }
    }
}

fn bytes_of(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn number(payload: &[u8]) -> Option<u64> {
    payload.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_lag_is_that_of_the_last_probe_or_of_the_oldest_still_missing() {
        let mut probes = Probes::default();
        assert_eq!(probes.lag(), Duration::ZERO);
        let first = probes.send().expect("room");
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(probes.returned(first), Some(Duration::from_millis(30)));
        assert_eq!(probes.lag(), Duration::from_millis(30));
        let (_lost, second) = (probes.send(), probes.send().expect("room"));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(probes.lag(), Duration::from_millis(500));
        assert_eq!(probes.returned(second), Some(Duration::from_millis(500)));
        assert_eq!(probes.returned(second), None);
        assert!(probes.under_way.is_empty());
        probes.forget();
        assert_eq!(probes.lag(), Duration::ZERO);
        probes.send();
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(probes.lag(), Duration::ZERO, "none has ever come back");
    }

    #[tokio::test(start_paused = true)]
    async fn probes_under_way_are_bounded() {
        let mut probes = Probes::default();
        let sent = std::iter::from_fn(|| probes.send()).count();
        assert_eq!(sent, MAX_PROBES);
    }
}
