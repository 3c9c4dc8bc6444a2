//! What is counted of limits: which one was met, and how near a relay is to those it has itself.

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, gauge};
use videocall_types::CloseCode;

/// A limit of a relay, by its setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `--max-sessions`.
    SessionsPerRelay,
    /// `--max-sessions-per-meeting`.
    SessionsPerMeeting,
    /// Connections that a relay with so many sessions accepts.
    ConnectionsPerRelay,
    /// `--max-connections-per-address`.
    ConnectionsPerAddress,
    /// TCP connections that the HTTP side accepts.
    HttpConnectionsPerRelay,
    /// TCP connections that the HTTP side accepts from one address.
    HttpConnectionsPerAddress,
    /// `--max-tracks`.
    TracksPerSession,
    /// `--max-upload-bps`.
    UploadPerSession,
    /// `--max-control-per-second`.
    ControlPerSession,
    /// `--handshake-timeout-ms`.
    HandshakeTime,
    /// `--max-loop-delay-ms`.
    LoopDelay,
    /// `--max-relay-upload-bps`.
    RelayUpload,
    /// `--max-relay-download-bps`.
    RelayDownload,
    /// `--max-queued-bytes`.
    QueuedBytes,
    /// `--joins-per-minute`.
    JoinsPerAddress,
    /// `--meetings-per-minute`.
    MeetingsPerAddress,
}

impl Limit {
    const ALL: [Self; 16] = [
        Self::SessionsPerRelay,
        Self::SessionsPerMeeting,
        Self::ConnectionsPerRelay,
        Self::ConnectionsPerAddress,
        Self::HttpConnectionsPerRelay,
        Self::HttpConnectionsPerAddress,
        Self::TracksPerSession,
        Self::UploadPerSession,
        Self::ControlPerSession,
        Self::HandshakeTime,
        Self::LoopDelay,
        Self::RelayUpload,
        Self::RelayDownload,
        Self::QueuedBytes,
        Self::JoinsPerAddress,
        Self::MeetingsPerAddress,
    ];

    /// The limit that a connection met which ends with this code. [`CloseCode::RateExceeded`] says not
    /// which rate; that is counted where it is known.
    pub(crate) const fn behind(code: CloseCode) -> Option<Self> {
        match code {
            CloseCode::RelayFull => Some(Self::SessionsPerRelay),
            CloseCode::MeetingFull => Some(Self::SessionsPerMeeting),
            CloseCode::TooManyTracks => Some(Self::TracksPerSession),
            CloseCode::HandshakeTimeout => Some(Self::HandshakeTime),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::SessionsPerRelay => "sessions_per_relay",
            Self::SessionsPerMeeting => "sessions_per_meeting",
            Self::ConnectionsPerRelay => "connections_per_relay",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::HttpConnectionsPerRelay => "http_connections_per_relay",
            Self::HttpConnectionsPerAddress => "http_connections_per_address",
            Self::TracksPerSession => "tracks_per_session",
            Self::UploadPerSession => "upload_per_session",
            Self::ControlPerSession => "control_per_session",
            Self::HandshakeTime => "handshake_time",
            Self::LoopDelay => "loop_delay",
            Self::RelayUpload => "relay_upload",
            Self::RelayDownload => "relay_download",
            Self::QueuedBytes => "queued_bytes",
            Self::JoinsPerAddress => "joins_per_address",
            Self::MeetingsPerAddress => "meetings_per_address",
        }
    }
}

/// How near a relay is to its own limits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Strain {
    /// How late the latest event loop is, seconds.
    pub(crate) loop_delay_s: f64,
    /// What all outboxes hold together, bytes.
    pub(crate) queued_bytes: usize,
    /// Accepted connections.
    pub(crate) connections: usize,
    /// 0: none; see [`crate::overload`].
    pub(crate) stage: u8,
}

/// Handles of what is counted of limits; cloning shares them.
#[derive(Clone)]
pub(crate) struct LimitMeters(Arc<Handles>);

struct Handles {
    exceeded: [Counter; Limit::ALL.len()],
    loop_delay: Gauge,
    queued_bytes: Gauge,
    connections: Gauge,
    stage: Gauge,
}

impl LimitMeters {
    pub(crate) fn new() -> Self {
        super::exporter::exporter();
        let exceeded =
            Limit::ALL.map(|limit| counter!("videocall_limit_exceeded_total", "limit" => limit.as_str()));
        Self(Arc::new(Handles {
            exceeded,
            loop_delay: gauge!("videocall_event_loop_delay_average_seconds"),
            queued_bytes: gauge!("videocall_queued_bytes"),
            connections: gauge!("videocall_connections"),
            stage: gauge!("videocall_overload_stage"),
        }))
    }

    /// Somebody wanted more than this limit allows.
    pub(crate) fn exceeded(&self, limit: Limit) {
        self.0.exceeded[limit as usize].increment(1);
    }

    pub(crate) fn show(&self, strain: Strain) {
        self.0.loop_delay.set(strain.loop_delay_s);
        self.0.queued_bytes.set(strain.queued_bytes as f64);
        self.0.connections.set(strain.connections as f64);
        self.0.stage.set(f64::from(strain.stage));
    }
}

impl std::fmt::Debug for LimitMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LimitMeters")
    }
}
