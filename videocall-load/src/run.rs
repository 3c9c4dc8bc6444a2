//! A run: everybody comes, publishers send, what arrives is counted, everybody leaves.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::bail;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use videocall_types::api::RelayEndpoint;

use crate::arrivals::Record;
use crate::carrier::{Network, Sockets};
use crate::figures::{Delays, Figures};
use crate::plan::{Load, Pace, Part};
use crate::session::{Shared, Stage, Way, attend};
use crate::ticket::{Office, trust};
use crate::usage::{Machine, Usage, own_usage, usage_of};

/// Sessions that get in at a time when no rate is set.
const ENTERING: usize = 32;

/// How long frames that are on their way when the measurement ends may take.
const DRAIN: Duration = Duration::from_secs(3);

/// How long everybody's leaving may take.
const LEAVE: Duration = Duration::from_secs(3);

/// How often the load looks at its own timers.
const PROBE: Duration = Duration::from_millis(5);

/// Where the sessions of a load go.
#[derive(Clone, Debug)]
pub enum Door {
    /// To meetings of these servers, by turns.
    Meetings {
        /// Origins, such as `http://localhost:8081`.
        servers: Vec<String>,
        /// What the meetings' ids begin with.
        prefix: String,
        /// Not to the relay that a server names first, but to all it names by turns.
        spread: bool,
    },
    /// To these addresses, one for each carrier, where frames come without a word.
    Bare(Vec<RelayEndpoint>),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Sessions that got in so far.
    pub inside: usize,
    /// Sessions that are no more, or never got in.
    pub lost: usize,
    /// Everybody who could get in is in.
    pub complete: bool,
    /// It is measured.
    pub measuring: bool,
    /// Packets that arrived within the measurement.
    pub received: u64,
}

/// Puts a load on relays, watches the processes with these numbers, and returns the figures.
///
/// # Errors
/// When nobody gets in, or a process to watch is not there.
pub async fn run(
    load: &Load,
    pace: &Pace,
    door: Door,
    processes: &[u32],
    progress: watch::Sender<Progress>,
) -> anyhow::Result<Figures> {
    let trust = trust()?;
    let way = match door {
        Door::Meetings {
            servers,
            prefix,
            spread,
        } => Way::Meeting(Office::new(servers, prefix, spread, &trust)?),
        Door::Bare(addresses) => Way::Bare(addresses),
    };
    let (stage, watching) = watch::channel(Stage::Entering);
    let shared = Arc::new(Shared {
        load: load.clone(),
        record: Arc::new(Record::new(load)),
        way,
        network: Network {
            trust,
            sockets: Sockets::default(),
        },
        stage: watching,
        publishers: (0..load.meetings * load.publishers)
            .map(|_| OnceLock::new())
            .collect(),
    });
    let mut crowd = Crowd {
        shared,
        stage,
        sessions: JoinSet::new(),
        staying: VecDeque::new(),
        lost: 0,
        first_loss: None,
        progress,
    };
    crowd.run(pace, processes).await
}

struct Crowd {
    shared: Arc<Shared>,
    stage: watch::Sender<Stage>,
    sessions: JoinSet<anyhow::Result<()>>,
    /// Those who can be made to leave, longest inside first.
    staying: VecDeque<(Part, oneshot::Sender<()>)>,
    lost: usize,
    first_loss: Option<String>,
    progress: watch::Sender<Progress>,
}

/// What the processors and processes had used at some time.
struct Reading {
    at: Instant,
    machine: Machine,
    own: Usage,
    watched: Usage,
}

impl Reading {
    fn take(processes: &[u32]) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            machine: Machine::now()?,
            own: own_usage()?,
            watched: processes
                .iter()
                .map(|&process| usage_of(process))
                .sum::<anyhow::Result<_>>()?,
        })
    }
}

impl Crowd {
    async fn run(&mut self, pace: &Pace, processes: &[u32]) -> anyhow::Result<Figures> {
        let empty = Reading::take(processes)?;
        let parts = self.bare_parts();
        let began = Instant::now();
        let (publishers, others): (Vec<Part>, Vec<Part>) = parts.iter().partition(|part| part.publishes);
        self.enter(&publishers, pace).await?;
        self.stage.send_replace(Stage::Watching);
        self.enter(&others, pace).await?;
        let setup = began.elapsed();
        self.progress.send_modify(|progress| progress.complete = true);
        self.stage.send_replace(Stage::Sending);
        self.churn(Instant::now() + pace.warm_up, pace).await;
        let lateness = Lateness::probe();
        let before = Reading::take(processes)?;
        self.shared.record.open_window(pace.measured.as_micros() as u64);
        self.progress.send_modify(|progress| progress.measuring = true);
        self.churn(Instant::now() + pace.measured, pace).await;
        let after = Reading::take(processes)?;
        let own_lateness = lateness.p99();
        let expected = self.expected(&parts, pace);
        self.drain(expected).await;
        self.dismiss().await;
        let watched = !processes.is_empty();
        let mut figures = self.figures(&parts, pace, &before, &after);
        figures.setup = setup;
        figures.own_lateness = own_lateness;
        figures.cpu = watched.then(|| after.watched.cpu.saturating_sub(before.watched.cpu));
        figures.memory = watched.then_some([empty.watched, after.watched]);
        Ok(figures)
    }

    /// To a bare door only those come who receive.
    fn bare_parts(&self) -> Vec<Part> {
        let bare = matches!(self.shared.way, Way::Bare(_));
        let mut parts = self.shared.load.parts();
        parts.retain(|part| !bare || part.receives);
        parts
    }

    /// Lets these in, at the pace's rate or as fast as they are taken.
    async fn enter(&mut self, parts: &[Part], pace: &Pace) -> anyhow::Result<()> {
        let mut entering = JoinSet::new();
        let began = Instant::now();
        for (turn, part) in parts.iter().enumerate() {
            if pace.ramp_per_second > 0.0 {
                let due = began + Duration::from_secs_f64(turn as f64 / pace.ramp_per_second);
                self.watch_until(due).await;
            }
            while entering.len() >= ENTERING {
                entering.join_next().await;
                self.count_inside();
            }
            let (sender, inside) = oneshot::channel();
            self.admit(*part, sender);
            // Somebody who does not get in drops the sender.
            let progress = self.progress.clone();
            entering.spawn(async move {
                if inside.await.is_ok() {
                    progress.send_modify(|progress| progress.inside += 1);
                }
            });
        }
        while entering.join_next().await.is_some() {}
        self.count_inside();
        if !parts.is_empty() && self.progress.borrow().inside == 0 {
            let why = self
                .first_loss
                .take()
                .unwrap_or_else(|| "no reason was given".to_owned());
            bail!("nobody got in: {why}");
        }
        Ok(())
    }

    fn admit(&mut self, part: Part, inside: oneshot::Sender<()>) {
        let (leave, left) = oneshot::channel();
        self.staying.push_back((part, leave));
        self.sessions
            .spawn(attend(self.shared.clone(), part, inside, left));
    }

    fn count_inside(&mut self) {
        while let Some(ended) = self.sessions.try_join_next() {
            self.note_end(ended);
        }
    }

    fn note_end(&mut self, ended: Result<anyhow::Result<()>, tokio::task::JoinError>) {
        let error = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        };
        self.lost += 1;
        self.first_loss.get_or_insert(error);
        let lost = self.lost;
        self.progress.send_modify(|progress| progress.lost = lost);
    }

    /// Waits, and notes who is lost meanwhile.
    async fn watch_until(&mut self, end: Instant) {
        loop {
            tokio::select! {
                () = sleep_until(end) => return,
                Some(ended) = self.sessions.join_next() => self.note_end(ended),
            }
        }
    }

    /// Waits, while some leave and others come for them.
    async fn churn(&mut self, end: Instant, pace: &Pace) {
        let mut seen = Instant::now();
        while Instant::now() < end {
            let step = Instant::now() + Duration::from_millis(100);
            self.watch_until(step.min(end)).await;
            let received = self.shared.record.received_by_all();
            self.progress.send_modify(|progress| progress.received = received);
            if !pace.stay.is_zero() {
                let replaceable = self.shared.load.meetings * self.shared.load.receivers;
                let due = replaceable as f64 * seen.elapsed().as_secs_f64() / pace.stay.as_secs_f64();
                if due >= 1.0 {
                    seen = Instant::now();
                    self.replace(due as usize);
                }
            }
        }
    }

    fn replace(&mut self, count: usize) {
        for _ in 0..count.min(self.staying.len()) {
            let Some(at) = self.staying.iter().position(|(part, _)| !part.publishes) else {
                return;
            };
            let Some((part, leave)) = self.staying.remove(at) else {
                return;
            };
            drop(leave);
            let (inside, _unheard) = oneshot::channel();
            self.admit(part, inside);
        }
    }

    /// What has to arrive by the rules; `None` when people come and go.
    fn expected(&self, parts: &[Part], pace: &Pace) -> Option<u64> {
        if !pace.stay.is_zero() {
            return None;
        }
        Some(match self.shared.way {
            Way::Bare(_) => (self.shared.load.deliveries_per_second() * pace.measured.as_secs_f64()) as u64,
            Way::Meeting(_) => parts.iter().map(|part| self.expected_by(part)).sum(),
        })
    }

    fn expected_by(&self, part: &Part) -> u64 {
        if !part.receives {
            return 0;
        }
        let load = &self.shared.load;
        let sent = |number: usize| self.shared.record.sent(part.meeting * load.publishers + number);
        let voices: u64 = load
            .heard(part.number)
            .into_iter()
            .map(|number| sent(number)[0])
            .sum();
        let pictures: u64 = load
            .watched(part.number)
            .into_iter()
            .map(|number| sent(number)[1])
            .sum();
        voices + pictures
    }

    async fn drain(&mut self, expected: Option<u64>) {
        let end = Instant::now() + DRAIN;
        let missing = |record: &Record| expected.is_none_or(|expected| record.received_by_all() < expected);
        while missing(&self.shared.record) && Instant::now() < end {
            self.watch_until(Instant::now() + Duration::from_millis(50)).await;
        }
    }

    async fn dismiss(&mut self) {
        self.count_inside();
        self.stage.send_replace(Stage::Over);
        let all = async { while self.sessions.join_next().await.is_some() {} };
        let _some_do_not_go = timeout(LEAVE, all).await;
        self.sessions.shutdown().await;
    }

    fn figures(&self, parts: &[Part], pace: &Pace, before: &Reading, after: &Reading) -> Figures {
        let arrived = self.shared.record.arrived();
        let mut all = arrived.voices.clone();
        all.add(&arrived.pictures).expect("both have the same bounds");
        let bare = matches!(self.shared.way, Way::Bare(_));
        let worst = parts.iter().filter(|part| part.receives && !bare).map(|part| {
            let expected = self.expected_by(part).max(1);
            self.shared.record.received(part.index) as f64 / expected as f64
        });
        let expected = self.expected(parts, pace);
        Figures {
            sessions: parts.len(),
            lost: self.lost,
            first_loss: self.first_loss.clone(),
            offered: if bare { 1.0 } else { self.offered(pace) },
            expected,
            delivered: all.len(),
            worst_session: expected.and_then(|_| worst.reduce(f64::min)),
            packets: arrived.packets,
            bytes: arrived.bytes,
            measured: after.at - before.at,
            delays: Delays::of(&all),
            voice_delays: Delays::of(&arrived.voices),
            picture_delays: Delays::of(&arrived.pictures),
            own_cpu: after.own.cpu.saturating_sub(before.own.cpu),
            machine_busy_pct: after.machine.busy_pct_since(&before.machine),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            ..Figures::default()
        }
    }

    /// What the speakers have sent of what their timetables say.
    fn offered(&self, pace: &Pace) -> f64 {
        let load = &self.shared.load;
        let sent: u64 = (0..load.meetings)
            .flat_map(|meeting| (0..load.speakers.min(load.publishers)).map(move |number| (meeting, number)))
            .map(|(meeting, number)| self.shared.record.sent(meeting * load.publishers + number)[0])
            .sum();
        let speakers = (load.meetings * load.speakers.min(load.publishers)) as f64;
        let planned = speakers * f64::from(load.voice.per_second) * pace.measured.as_secs_f64();
        sent as f64 / planned.max(1.0)
    }
}

/// How late this process's own timers fire: what it adds to every delay that it measures.
struct Lateness {
    seen: Arc<Mutex<Histogram<u64>>>,
    probe: tokio::task::JoinHandle<()>,
}

impl Lateness {
    fn probe() -> Self {
        let seen = Histogram::new_with_max(60_000_000, 3).expect("a minute in microseconds has three digits");
        let seen = Arc::new(Mutex::new(seen));
        let record = seen.clone();
        let probe = tokio::spawn(async move {
            let mut ticks = interval(PROBE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let due = ticks.tick().await;
                let late = due.elapsed().as_micros() as u64;
                record.lock().saturating_record(late);
            }
        });
        Self { seen, probe }
    }

    fn p99(&self) -> Duration {
        Duration::from_micros(self.seen.lock().value_at_quantile(0.99))
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.probe.abort();
    }
}
