//! A look at the figures of a running call, as the page uses them: what `window.videocall.stats()` gives, by person.
//!
//! Counters count from the beginning of the call or of the track; who looks twice takes differences.

use videocall_types::SessionId;

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// On a clock that only goes forward, milliseconds.
    pub at_ms: f64,
    /// The connection to the relay.
    pub connection: ConnectionFigures,
    /// What is sent: camera, then screen, as far as they are there.
    pub sent: Vec<SentPicture>,
    /// What is received, by person.
    pub people: Vec<PersonFigures>,
}

/// The connection to the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConnectionFigures {
    /// Round trip, milliseconds.
    pub rtt_ms: Option<f64>,
    /// What the path is taken to carry, bits per second.
    pub estimate_bps: f64,
    /// What all that anybody wants would take, bits per second.
    pub wanted_bps: f64,
    /// What keeps from sending that.
    pub limit: Option<Limit>,
    /// Counter.
    pub bytes_sent: u64,
    /// Counter.
    pub bytes_received: u64,
    /// Counter: frames of ours that were not sent.
    pub frames_dropped: u64,
}

/// Why less is sent than what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The path to the relay.
    Network,
    /// The encoders of this machine.
    Machine,
}

/// One's own camera or screen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SentPicture {
    /// It is the screen.
    pub screen: bool,
    /// Bits per second.
    pub bitrate_bps: f64,
    /// Encoded pictures per second.
    pub fps: Option<f64>,
    /// Lines of the largest encoded picture.
    pub lines: Option<u32>,
}

/// What is received of somebody, all their tracks together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PersonFigures {
    /// Who.
    pub session: SessionId,
    /// Bits per second.
    pub bitrate_bps: f64,
    /// What is looked at: their screen, or else their camera.
    pub picture: Option<PictureFigures>,
    /// Their voice.
    pub sound: Option<SoundFigures>,
}

impl PersonFigures {
    /// Before anything is known of them.
    pub const fn nothing_of(session: SessionId) -> Self {
        Self {
            session,
            bitrate_bps: 0.0,
            picture: None,
            sound: None,
        }
    }
}

/// A picture that is received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PictureFigures {
    /// Decoded pictures per second.
    pub fps: Option<f64>,
    /// Lines of the last picture.
    pub lines: Option<u32>,
    /// Spatial and temporal layer of the last frame.
    pub layer: Option<(u8, u8)>,
    /// Counter: how long it stood still against its habit, milliseconds.
    pub frozen_ms: f64,
    /// From capture to display, milliseconds; an estimate.
    pub delay_ms: Option<f64>,
    /// How much later it is seen than its sound is heard, milliseconds.
    pub behind_sound_ms: Option<f64>,
}

/// A voice that is received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoundFigures {
    /// It is muted: nothing comes, and nothing is missing.
    pub muted: bool,
    /// Frames of a hundred that did not come.
    pub loss_pct: Option<f64>,
    /// What waits to be played, milliseconds.
    pub buffer_ms: Option<f64>,
    /// What should wait, milliseconds.
    pub target_ms: Option<f64>,
    /// Counter: sound that was made up, milliseconds.
    pub concealed_ms: f64,
}
