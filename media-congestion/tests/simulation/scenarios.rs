//! The networks that controllers are compared on.

use std::sync::Arc;
use std::time::Duration;

use media_congestion::MediaConfig;
use quinn_proto::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};

use super::{Flow, LinkSettings, Loss, Report, Scenario, Source, percentile_of, run};

type Factory = Arc<dyn ControllerFactory + Send + Sync>;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Media,
    Cubic,
    NewReno,
    Bbr,
}

impl Contender {
    pub(crate) const ALL: [Self; 4] = [Self::Media, Self::Cubic, Self::NewReno, Self::Bbr];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Cubic => "cubic",
            Self::NewReno => "newreno",
            Self::Bbr => "bbr",
        }
    }

    fn factory(self) -> Factory {
        match self {
            Self::Media => Arc::new(MediaConfig::default()),
            Self::Cubic => Arc::new(CubicConfig::default()),
            Self::NewReno => Arc::new(NewRenoConfig::default()),
            Self::Bbr => Arc::new(BbrConfig::default()),
        }
    }
}

/// A network and what is sent over it. Round trips take 50 ms and the queue holds 500 ms unless
/// something else is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Network {
    /// A line of this many bits per second, and as much to send as it takes.
    Bottleneck(u64),
    /// 3 Mbit/s, then 0.5 for ten seconds, then 3 again.
    Steps,
    /// Pictures of 600 kbit/s on a line of 20 Mbit/s, which has this many bits per second after two thirds of the time.
    Narrowed(u64),
    /// 3 Mbit/s; this part of the packets is lost in both directions.
    RandomLoss(f64),
    /// 3 Mbit/s, round trips of 150 ms; 5 % are lost, five in a row.
    BurstLoss,
    /// Up to 40 ms more for each packet.
    Jitter(u64),
    /// 3 Mbit/s, and nothing for five seconds.
    Outage,
    /// 3 Mbit/s, and a queue of 15 ms.
    ShortQueue,
    /// A download over CUBIC from 5 to 30 s of 60, on this many bits per second.
    BesideCubic(u64),
    /// 3 Mbit/s, and another of its kind at the same time.
    BesideItself,
    /// A picture of 600 kbit/s with a keyframe every four seconds, eight times as large as others, on
    /// this many bits per second.
    Video(u64),
}

impl Network {
    /// All that the bench shows.
    pub(crate) const ALL: [Self; 17] = [
        Self::Bottleneck(300_000),
        Self::Bottleneck(1_000_000),
        Self::Bottleneck(20_000_000),
        Self::Steps,
        Self::Narrowed(300_000),
        Self::RandomLoss(0.02),
        Self::RandomLoss(0.05),
        Self::RandomLoss(0.1),
        Self::BurstLoss,
        Self::Jitter(300_000),
        Self::Jitter(3_000_000),
        Self::Outage,
        Self::ShortQueue,
        Self::BesideCubic(1_000_000),
        Self::BesideCubic(5_000_000),
        Self::BesideItself,
        Self::Video(1_000_000),
    ];

    pub(crate) fn name(self) -> String {
        let kilobits = |rate: u64| format!("{}k", rate / 1000);
        match self {
            Self::Bottleneck(rate) => format!("bottleneck-{}", kilobits(rate)),
            Self::Steps => "3000k-500k-3000k".to_owned(),
            Self::Narrowed(rate) => format!("video-600k-on-20000k-{}", kilobits(rate)),
            Self::RandomLoss(part) => format!("loss-{:.0}", part * 100.0),
            Self::BurstLoss => "burst-loss-5".to_owned(),
            Self::Jitter(rate) => format!("jitter-40ms-{}", kilobits(rate)),
            Self::Outage => "outage-5s".to_owned(),
            Self::ShortQueue => "short-queue".to_owned(),
            Self::BesideCubic(rate) => format!("beside-cubic-{}", kilobits(rate)),
            Self::BesideItself => "beside-itself".to_owned(),
            Self::Video(rate) => format!("video-600k-on-{}", kilobits(rate)),
        }
    }

    const fn rate(self) -> u64 {
        match self {
            Self::Bottleneck(rate) | Self::Jitter(rate) | Self::BesideCubic(rate) | Self::Video(rate) => rate,
            _ => 3_000_000,
        }
    }

    const fn seconds(self) -> u64 {
        match self {
            Self::BesideCubic(_) | Self::BesideItself => 60,
            _ => 30,
        }
    }

    /// The path there and back.
    fn links(self) -> (LinkSettings, LinkSettings) {
        let mut there = LinkSettings::new(self.rate(), ms(25));
        let mut back = LinkSettings::new(100_000_000, ms(25));
        match self {
            Self::Steps => {
                there.rate = vec![(s(0), 3_000_000), (RELIEF - s(10), 500_000), (RELIEF, 3_000_000)];
            }
            Self::Narrowed(rate) => there.rate = vec![(s(0), 20_000_000), (RELIEF, rate)],
            Self::Outage => {
                there.rate = vec![(s(0), 3_000_000), (RELIEF - s(5), 0), (RELIEF, 3_000_000)];
                back.rate = vec![(s(0), 100_000_000), (RELIEF - s(5), 0), (RELIEF, 100_000_000)];
            }
            Self::RandomLoss(part) => {
                there.loss = Loss::Random(part);
                back.loss = Loss::Random(part);
            }
            Self::BurstLoss => {
                there.delay = ms(75);
                back.delay = ms(75);
                there.loss = Loss::Bursts {
                    part: 0.05,
                    length: 5.0,
                };
            }
            Self::Jitter(_) => there.jitter = ms(40),
            Self::ShortQueue => there.queue = ms(15),
            _ => {}
        }
        (there, back)
    }

    /// Runs one sender of this kind, beside those that belong to the network.
    pub(crate) fn run(self, contender: Contender, seed: u64) -> Outcome {
        self.run_acknowledged(contender, seed, false)
    }

    /// The same with acknowledgements of every second packet, or of every tenth.
    pub(crate) fn run_acknowledged(self, contender: Contender, seed: u64, rarely: bool) -> Outcome {
        let source = match self {
            Self::Video(_) | Self::Narrowed(_) => Source::Video {
                bits_per_second: 600_000,
                frames_per_second: 30,
                keyframe_interval: s(4),
                keyframe_factor: 8,
            },
            _ => Source::Bulk,
        };
        let mut flows = vec![Flow {
            rare_acknowledgements: rarely,
            ..Flow::new(contender.factory(), source)
        }];
        let other = match self {
            Self::BesideCubic(_) => Some(Contender::Cubic),
            Self::BesideItself => Some(contender),
            _ => None,
        };
        flows.extend(other.map(|other| Flow {
            begins: s(5),
            ends: s(30),
            ..Flow::new(other.factory(), Source::Bulk)
        }));
        let (forward, backward) = self.links();
        let report = run(Scenario {
            forward,
            backward,
            flows,
            length: s(self.seconds()),
            seed,
        });
        Outcome {
            network: self,
            report,
        }
    }
}

/// When the path becomes good again, where it does, or bad for good.
const RELIEF: Duration = Duration::from_secs(20);

/// A figure of the bench.
pub(crate) struct Figure {
    pub(crate) metric: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// What one run showed.
pub(crate) struct Outcome {
    network: Network,
    pub(crate) report: Report,
}

impl Outcome {
    fn end(&self) -> Duration {
        s(self.network.seconds())
    }

    /// Which part of the line was used, from the handshake on.
    pub(crate) fn utilisation_pct(&self) -> f64 {
        self.report.utilisation_pct(s(0), self.end())
    }

    /// The same from two seconds after [`RELIEF`] on.
    pub(crate) fn later_utilisation_pct(&self) -> f64 {
        self.report.utilisation_pct(RELIEF + s(2), self.end())
    }

    pub(crate) fn queueing_p95_ms(&self) -> f64 {
        self.report.queueing_ms(95.0)
    }

    /// Until half a second came in which 85 % of the line was used; all the rest if none did.
    pub(crate) fn recovery_ms(&self) -> f64 {
        let rest = (self.end() - RELIEF).as_secs_f64() * 1000.0;
        self.report.recovery_ms(RELIEF, 0.85).unwrap_or(rest)
    }

    /// What the first sender got from 10 to 30 s, beside the other.
    pub(crate) fn share_pct(&self) -> f64 {
        self.report.share_pct(0, s(10), s(30))
    }

    /// What of the packets that the first sender sent was lost.
    pub(crate) fn lost_pct(&self) -> f64 {
        let statistics = self.report.flows[0].statistics;
        100.0 * statistics.path.lost_packets as f64 / statistics.path.sent_packets.max(1) as f64
    }

    /// From taking to arrival.
    pub(crate) fn picture_p95_ms(&self, keyframes: bool) -> f64 {
        percentile_of(self.report.flows[0].picture_delays_ms(keyframes), 95.0)
    }

    /// What the bench shows of this network.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figure = |metric, value, unit| Figure { metric, value, unit };
        let mut figures = vec![
            figure("utilisation_pct", self.utilisation_pct(), "%"),
            figure("queueing_delay_p95_ms", self.queueing_p95_ms(), "ms"),
            figure("lost_pct", self.lost_pct(), "%"),
        ];
        match self.network {
            Network::Steps | Network::Outage => {
                figures.push(figure("recovery_ms", self.recovery_ms(), "ms"));
            }
            Network::BesideCubic(_) | Network::BesideItself => {
                figures.push(figure("share_pct", self.share_pct(), "%"));
            }
            Network::Video(_) => {
                figures.push(figure("picture_p95_ms", self.picture_p95_ms(false), "ms"));
                figures.push(figure("keyframe_p95_ms", self.picture_p95_ms(true), "ms"));
            }
            _ => {}
        }
        figures
    }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
