//! The loads of the benchmark, by name.

use videocall_load::{Camera, Load, Transport, Voice, Watch};

/// Opus at 40 kbit/s in frames of 20 ms.
const VOICE: Voice = Voice {
    per_second: 50,
    bytes: 100,
};

/// 1.2 Mbit/s.
const CAMERA: Camera = Camera {
    per_second: 30,
    bytes: 5000,
    spatial_layers: 1,
    temporal_layers: 1,
};

/// What is affordable for a thousand: 360 kbit/s.
const TOWN_HALL_CAMERA: Camera = Camera {
    per_second: 15,
    bytes: 3000,
    ..CAMERA
};

/// A load that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Ten meetings of four, all of whom publish.
    Small10,
    /// Thirty of them.
    Small30,
    /// Five publish, fifty watch all of it.
    Stage50,
    /// A hundred watch.
    Stage100,
    /// Two hundred watch.
    Stage200,
    /// One publishes, five hundred watch.
    Livestream500,
    /// A thousand in one meeting, of whom thirty publish and two speak; everybody hears the speakers and
    /// sees one of the thirty.
    TownHall1000,
    /// As [`Scenario::Stage100`], on two relays with NATS between them.
    TwoRelays,
}

impl Scenario {
    /// All, in the order in which they are run.
    pub const ALL: [Self; 8] = [
        Self::Small10,
        Self::Small30,
        Self::Stage50,
        Self::Stage100,
        Self::Stage200,
        Self::Livestream500,
        Self::TownHall1000,
        Self::TwoRelays,
    ];

    /// Its name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small10 => "small-10",
            Self::Small30 => "small-30",
            Self::Stage50 => "stage-50",
            Self::Stage100 => "stage-100",
            Self::Stage200 => "stage-200",
            Self::Livestream500 => "livestream-500",
            Self::TownHall1000 => "town-hall-1000",
            Self::TwoRelays => "two-relays",
        }
    }

    /// Who takes part over this transport.
    pub fn load(self, transport: Transport) -> Load {
        let small = |meetings| Load {
            meetings,
            publishers: 4,
            receivers: 0,
            publishers_receive: true,
            voice: VOICE,
            speakers: 4,
            camera: Some(CAMERA),
            watch: Watch::Everything,
            transport,
        };
        let stage = |publishers, receivers| Load {
            publishers,
            receivers,
            publishers_receive: false,
            speakers: publishers,
            ..small(1)
        };
        match self {
            Self::Small10 => small(10),
            Self::Small30 => small(30),
            Self::Stage50 => stage(5, 50),
            Self::Stage100 | Self::TwoRelays => stage(5, 100),
            Self::Stage200 => stage(5, 200),
            Self::Livestream500 => stage(1, 500),
            Self::TownHall1000 => Load {
                publishers_receive: true,
                speakers: 2,
                camera: Some(TOWN_HALL_CAMERA),
                watch: Watch::Cameras(1),
                ..stage(30, 970)
            },
        }
    }
}
