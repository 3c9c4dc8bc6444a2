//! What a load consists of: who takes part, what they send and what they want to have.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use videocall_types::api::TransportKind;

/// Who takes part in how many meetings, and what they send and want.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Meetings, all alike.
    pub meetings: usize,
    /// Who send sound and pictures, in each meeting.
    pub publishers: usize,
    /// Who only receive, in each meeting.
    pub receivers: usize,
    /// The publishers receive as well.
    pub publishers_receive: bool,
    /// What a microphone sends.
    pub voice: Voice,
    /// How many publishers speak. The others send what discontinuous transmission sends.
    pub speakers: usize,
    /// What a camera sends; `None`: there are none.
    pub camera: Option<Camera>,
    /// What those who receive want of the pictures. All want the speakers' voices.
    pub watch: Watch,
    /// How they connect.
    pub transport: Transport,
}

/// Sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// Packets per second of somebody who speaks.
    pub per_second: u32,
    /// Of each packet's payload.
    pub bytes: usize,
}

/// Pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Camera {
    /// Frames per second.
    pub per_second: u32,
    /// Of each frame's payload, at the largest layer; every layer below has a quarter.
    pub bytes: usize,
    /// Encodings of different sizes, 1 to 4.
    pub spatial_layers: u8,
    /// 1 to 3.
    pub temporal_layers: u8,
}

/// Which pictures somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// All of the meeting, without naming them.
    Everything,
    /// So many, by name, at their largest.
    Cameras(usize),
}

/// How sessions connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// All over WebSocket.
    WebSocket,
    /// All over WebTransport.
    WebTransport,
    /// By turns.
    Mixed,
}

impl Transport {
    /// The word for tables and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::WebTransport => "webtransport",
            Self::Mixed => "mixed",
        }
    }
}

/// How fast and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Sessions set up per second; 0: as many as the relay takes.
    pub ramp_per_second: f64,
    /// Between the last session's start and the measurement: connections have found their pace then.
    pub warm_up: Duration,
    /// What is measured.
    pub measured: Duration,
    /// Those who only receive leave after about this long, and others come for them; zero: they stay.
    pub stay: Duration,
}

/// One session's part in a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which session of all.
    pub index: usize,
    /// Which meeting.
    pub meeting: usize,
    /// Which session of its meeting; publishers come first.
    pub number: usize,
    /// It sends.
    pub publishes: bool,
    /// It receives.
    pub receives: bool,
    /// How it connects.
    pub transport: TransportKind,
}

impl Load {
    /// Everybody, publishers of all meetings first.
    pub fn parts(&self) -> Vec<Part> {
        let publishers = (0..self.meetings).flat_map(|m| (0..self.publishers).map(move |n| (m, n)));
        let everyone = self.publishers..self.publishers + self.receivers;
        let receivers = (0..self.meetings).flat_map(|m| everyone.clone().map(move |n| (m, n)));
        publishers
            .chain(receivers)
            .enumerate()
            .map(|(index, (meeting, number))| self.part(index, meeting, number))
            .collect()
    }

    fn part(&self, index: usize, meeting: usize, number: usize) -> Part {
        let publishes = number < self.publishers;
        let transport = match self.transport {
            Transport::WebSocket => TransportKind::WebSocket,
            Transport::WebTransport => TransportKind::WebTransport,
            Transport::Mixed if index.is_multiple_of(2) => TransportKind::WebSocket,
            Transport::Mixed => TransportKind::WebTransport,
        };
        Part {
            index,
            meeting,
            number,
            publishes,
            receives: !publishes || self.publishers_receive,
            transport,
        }
    }

    /// Sessions altogether.
    pub fn sessions(&self) -> usize {
        self.meetings * (self.publishers + self.receivers)
    }

    /// The publishers of the meeting whose pictures somebody gets, nobody their own.
    pub fn watched(&self, number: usize) -> Vec<usize> {
        let Some(_) = self.camera else {
            return Vec::new();
        };
        let others = (0..self.publishers).map(|step| (number + step) % self.publishers);
        let others = others.filter(|&publisher| publisher != number);
        match self.watch {
            Watch::Everything => others.collect(),
            Watch::Cameras(count) => others.take(count).collect(),
        }
    }

    /// The publishers of the meeting whose voices somebody gets, nobody their own.
    pub fn heard(&self, number: usize) -> Vec<usize> {
        (0..self.speakers.min(self.publishers))
            .filter(|&publisher| publisher != number)
            .collect()
    }

    /// Packets per second that all who receive get together.
    pub fn deliveries_per_second(&self) -> f64 {
        let pictures = self.camera.map_or(0.0, |camera| f64::from(camera.per_second));
        let per_part = |part: &Part| {
            self.watched(part.number).len() as f64 * pictures
                + self.heard(part.number).len() as f64 * f64::from(self.voice.per_second)
        };
        self.parts()
            .iter()
            .filter(|part| part.receives)
            .map(per_part)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn town_hall() -> Load {
        Load {
            meetings: 1,
            publishers: 30,
            receivers: 970,
            publishers_receive: true,
            voice: Voice {
                per_second: 50,
                bytes: 100,
            },
            speakers: 2,
            camera: Some(Camera {
                per_second: 15,
                bytes: 3000,
                spatial_layers: 1,
                temporal_layers: 1,
            }),
            watch: Watch::Cameras(1),
            transport: Transport::Mixed,
        }
    }

    #[test]
    fn everybody_gets_the_speakers_and_one_picture() {
        let load = town_hall();
        assert_eq!(load.sessions(), 1000);
        // The two speakers hear one voice less.
        assert_eq!(load.deliveries_per_second(), 1000.0 * 115.0 - 2.0 * 50.0);
        assert_eq!(load.heard(0), [1]);
        assert_eq!(load.watched(30), [0]);
        assert_eq!(load.watched(29), [0]);
        assert_eq!(load.watched(0), [1]);
    }

    #[test]
    fn in_a_small_meeting_everybody_gets_all_others() {
        let load = Load {
            meetings: 10,
            publishers: 4,
            receivers: 0,
            speakers: 4,
            watch: Watch::Everything,
            ..town_hall()
        };
        let parts = load.parts();
        assert_eq!(parts.len(), 40);
        assert!(parts.iter().all(|part| part.publishes && part.receives));
        assert_eq!(load.watched(2), [3, 0, 1]);
        let over_websocket = parts
            .iter()
            .filter(|part| part.transport == TransportKind::WebSocket);
        assert_eq!(over_websocket.count(), 20);
    }
}
