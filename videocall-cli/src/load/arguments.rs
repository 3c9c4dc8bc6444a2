//! What `videocall-cli load` can be asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use videocall_load::{Camera, Load, Pace, Transport, Voice, Watch};
use videocall_types::MeetingId;
use videocall_types::limits::{MAX_SPATIAL_LAYERS, MAX_TEMPORAL_LAYERS};

use crate::arguments::ServerUrl;

const EXAMPLES: &str = "Examples:
  Five people with camera and microphone, fifty who watch, for ten seconds, on a server on this machine:
      videocall-cli load --publishers 5 --receivers 50
  Thirty meetings of four, half of everybody over WebSocket and half over WebTransport:
      videocall-cli load --meetings 30 --publishers 4 --publishers-receive --transport mixed
  A town hall: thirty who may speak, two who do, everybody sees one of them; its figures as a file:
      videocall-cli load --publishers 30 --publishers-receive --receivers 970 --speakers 2 \\
          --cameras 1 --video 15x3000 --json town-hall.json
  What the relay itself uses for it, when it runs on this machine:
      videocall-cli load --publishers 5 --receivers 50 --pid $(pidof videocall-server)
  People who come and go for ten minutes, at most twenty new ones a second:
      videocall-cli load --publishers 4 --receivers 100 --stay 20 --ramp 20 --duration 600

A server limits how often one address may join. For a load from one machine start it with
`--joins-per-minute 0`. The delays are exact: sender and receiver are this one program. Delivered are the voices of
those who speak and the watched pictures; what a relay leaves out by its rules does not count as missing.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LoadArguments {
    /// Address of the server, as opened in a browser; when repeated, sessions join by turns.
    #[arg(
        long,
        env = "VIDEOCALL_URL",
        default_value = "http://localhost:8081",
        value_delimiter = ','
    )]
    url: Vec<ServerUrl>,
    /// How to connect.
    #[arg(long, value_enum, default_value_t = Carrier::WebTransport)]
    transport: Carrier,
    /// Use all relays that the server names by turns, not the best alone.
    #[arg(long)]
    spread: bool,
    /// What the meetings' ids begin with.
    #[arg(long, value_name = "ID", default_value = "load")]
    meeting_prefix: MeetingId,
    /// Meetings, all alike.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = count(1))]
    meetings: u32,
    /// Who send sound and pictures, in each meeting.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = count(0))]
    publishers: u32,
    /// Who only receive, in each meeting.
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = count(0))]
    receivers: u32,
    /// The publishers receive what the others publish.
    #[arg(long)]
    publishers_receive: bool,
    /// How many publishers of a meeting speak; the others send what silence costs [default: all].
    #[arg(long, value_name = "COUNT")]
    speakers: Option<u32>,
    /// Sound of somebody who speaks: packets per second and bytes of each.
    #[arg(long, value_name = "RATExBYTES", default_value = "50x100", value_parser = rate)]
    audio: (u32, u32),
    /// Pictures: frames per second and bytes of each, at the largest layer; 0x0 for none.
    #[arg(long, value_name = "RATExBYTES", default_value = "30x5000", value_parser = rate)]
    video: (u32, u32),
    /// Encodings of each picture, every smaller one with a quarter of the bytes.
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_SPATIAL_LAYERS)))]
    layers: u8,
    /// Temporal layers of each, up to 3.
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..MAX_TEMPORAL_LAYERS as i64))]
    temporal_layers: u8,
    /// How many cameras each session asks for, by name [default: all, without naming them].
    #[arg(long, value_name = "COUNT")]
    cameras: Option<u32>,
    /// Sessions set up per second; 0: as fast as the server takes them.
    #[arg(long, value_name = "RATE", default_value_t = 100.0)]
    ramp: f64,
    /// Seconds between the last session's start and the measurement.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    warm_up: u64,
    /// Seconds that are measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    duration: u64,
    /// Those who only receive leave after about so many seconds, and others come for them.
    #[arg(long, value_name = "SECONDS")]
    stay: Option<u64>,
    /// A process of this machine to watch, usually the relay's; may be repeated (Linux).
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
    /// Where to write the figures, as `make bench` writes its own.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// What to call the figures there.
    #[arg(long, value_name = "NAME", default_value = "load")]
    pub(crate) name: String,
    /// Print the figures alone.
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Carrier {
    #[value(name = "websocket")]
    WebSocket,
    #[value(name = "webtransport")]
    WebTransport,
    /// Half of the sessions on either.
    Mixed,
}

fn count(least: u32) -> clap::builder::RangedI64ValueParser<u32> {
    /// More sockets than a machine has ports.
    const MOST: i64 = 50_000;
    clap::value_parser!(u32).range(i64::from(least)..=MOST)
}

fn rate(text: &str) -> Result<(u32, u32), String> {
    let parsed = text
        .split_once('x')
        .and_then(|(rate, bytes)| Some((rate.parse().ok()?, bytes.parse().ok()?)));
    match parsed {
        Some((rate @ 0..=1000, bytes @ 0..=4_000_000)) => Ok((rate, bytes)),
        _ => Err("give a rate of at most 1000 and at most 4000000 bytes, for example 30x5000".to_owned()),
    }
}

impl LoadArguments {
    /// Who takes part and what they send.
    ///
    /// # Errors
    /// When nobody does.
    pub(crate) fn load(&self) -> anyhow::Result<Load> {
        let load = Load {
            meetings: self.meetings as usize,
            publishers: self.publishers as usize,
            receivers: self.receivers as usize,
            publishers_receive: self.publishers_receive,
            voice: Voice {
                per_second: self.audio.0.max(1),
                bytes: self.audio.1.max(1) as usize,
            },
            speakers: self.speakers.unwrap_or(self.publishers) as usize,
            camera: (self.video.0 > 0 && self.video.1 > 0).then_some(Camera {
                per_second: self.video.0,
                bytes: self.video.1 as usize,
                spatial_layers: self.layers,
                temporal_layers: self.temporal_layers,
            }),
            watch: match self.cameras {
                Some(count) => Watch::Cameras(count as usize),
                None => Watch::Everything,
            },
            transport: match self.transport {
                Carrier::WebSocket => Transport::WebSocket,
                Carrier::WebTransport => Transport::WebTransport,
                Carrier::Mixed => Transport::Mixed,
            },
        };
        anyhow::ensure!(
            load.sessions() > 0,
            "nobody takes part; give --publishers or --receivers"
        );
        Ok(load)
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace {
            ramp_per_second: self.ramp.max(0.0),
            warm_up: Duration::from_secs(self.warm_up),
            measured: Duration::from_secs(self.duration),
            stay: Duration::from_secs(self.stay.unwrap_or(0)),
        }
    }

    pub(crate) fn door(&self) -> videocall_load::Door {
        videocall_load::Door::Meetings {
            servers: self.url.iter().map(|url| url.as_str().to_owned()).collect(),
            prefix: self.meeting_prefix.as_str().to_owned(),
            spread: self.spread,
        }
    }
}
