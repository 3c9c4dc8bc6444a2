//! `videocall-cli stream`: from capture into the meeting, until somebody or something ends it.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::time::{Instant, MissedTickBehavior};
use videocall_client::{
    Client, ClientConfig, CommandError, ConnectionState, ConnectionStatus, EncodedFrame, EncoderTarget,
    Event, EventStream, Token, TransportPreference,
};
use videocall_types::{CloseCode, Closing, LayerInfo, TrackId, TrackInfo, TrackKind};

use crate::arguments::{Secret, StreamArguments, TransportChoice, VideoArguments};
use crate::capture::{Aim, Capture, Captured, Media, audio};
use crate::progress::{Progress, REPORT_INTERVAL};

/// Our numbers for the tracks, as all clients of this project count them.
const MICROPHONE: TrackId = TrackId(1);
const CAMERA: TrackId = TrackId(2);

/// A camera that has not given a picture by then will not do so.
const FIRST_FRAME: Duration = Duration::from_secs(15);
/// A server that has not let us in by then is not there; whoever started this wants to know.
const CONNECT: Duration = Duration::from_secs(5);
/// Robots are out of reach for hours and have nobody to press a button.
const RECONNECT: Duration = Duration::from_secs(24 * 60 * 60);
/// For the goodbye to reach the relay.
const GOODBYE: Duration = Duration::from_secs(2);

/// Streams until the source ends, the time is up, a signal comes, or something fails.
///
/// # Errors
/// When capture fails, or the server cannot be reached or does not let us in or on.
pub(crate) async fn run(arguments: StreamArguments) -> anyhow::Result<()> {
    let mut stop = StopSignals::listen()?;
    let mut capture = Capture::start(&arguments.video, &arguments.audio)?;
    let progress = Progress::new(arguments.quiet);
    if !capture.has_audio() && !arguments.audio.no_audio {
        progress.say("there is no microphone; streaming without sound");
    }
    let first = tokio::select! {
        first = tokio::time::timeout(FIRST_FRAME, capture.next()) => first
            .map_err(|_| anyhow!("no picture came within {} s; check the camera", FIRST_FRAME.as_secs()))??
            .context("the source has neither pictures nor sound that can be read")?,
        () = stop.wait() => return Ok(()),
    };
    let (client, events) = Client::start(client_config(&arguments));
    let mut stream = Stream {
        client,
        capture,
        progress,
        status: ConnectionStatus::default(),
        published: [false; 2],
        joined: false,
        watched: true,
        target: None,
        sound_target: None,
        awaits_keyframe: false,
        arguments,
    };
    stream.forward(first)?;
    stream.drive(events, stop).await
}

fn client_config(arguments: &StreamArguments) -> ClientConfig {
    let url = arguments.url.as_str();
    let (meeting, user) = (arguments.meeting_id.clone(), arguments.user_id.clone());
    ClientConfig {
        display_name: arguments.display_name.clone(),
        transport: match arguments.transport {
            TransportChoice::Auto => TransportPreference::Auto,
            TransportChoice::WebTransport => TransportPreference::WebTransport,
            TransportChoice::WebSocket => TransportPreference::WebSocket,
        },
        client_name: concat!("videocall-cli/", env!("CARGO_PKG_VERSION")).to_owned(),
        token: arguments.token.as_ref().map(Secret::reveal).map(Token::new),
        certificate_hashes: arguments
            .certificate_hash
            .iter()
            .map(|hash| hash.as_str().to_owned())
            .collect(),
        subscribe_automatically: false,
        // It receives nothing, so nobody has to mind what it decodes.
        decodable_codecs: ["vp8", "vp9", "h264", "av1"].map(str::to_owned).to_vec(),
        // Nothing is received, so there is no first picture to tell of.
        report_timing: false,
        give_up_connecting_after: CONNECT,
        give_up_reconnecting_after: RECONNECT,
        ..ClientConfig::new(url, meeting, user)
    }
}

/// SIGINT and SIGTERM.
struct StopSignals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .context("the system delivers no signals")?,
        })
    }

    /// Until one of them comes.
    async fn wait(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// A running stream.
struct Stream {
    client: Client,
    capture: Capture,
    progress: Progress,
    status: ConnectionStatus,
    /// Whether video and audio are announced.
    published: [bool; 2],
    joined: bool,
    /// Somebody shows the pictures; while nobody does, none is encoded.
    watched: bool,
    /// What the path allows, once that is known: of pictures and of sound.
    target: Option<EncoderTarget>,
    sound_target: Option<EncoderTarget>,
    /// A picture was lost; those that refer to it are of no use.
    awaits_keyframe: bool,
    arguments: StreamArguments,
}

impl Stream {
    async fn drive(mut self, mut events: EventStream, mut stop: StopSignals) -> anyhow::Result<()> {
        let mut report = tokio::time::interval(REPORT_INTERVAL);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        report.tick().await;
        let mut time_up: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => break,
                () = reached(time_up) => break,
                event = events.next() => {
                    self.handle(event.context("the client has ended without a reason")?)?;
                    if self.joined && time_up.is_none() {
                        time_up = self.deadline();
                    }
                }
                _ = report.tick() => self.report(),
                frame = self.capture.next() => match frame? {
                    Some(frame) => self.forward(frame)?,
                    None if self.arguments.video.repeat => self.rewind()?,
                    None => break,
                },
            }
        }
        self.leave(events).await;
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let seconds = self.arguments.duration?;
        Instant::now().checked_add(Duration::from_secs(seconds))
    }

    fn report(&mut self) {
        if self.joined {
            let rtt = self
                .client
                .stats()
                .rtt_ms
                .map_or(String::new(), |ms| format!(", rtt {ms:.1} ms"));
            let transport = self.status.transport.map_or("no connection", |t| t.as_str());
            let idle = match (self.watched, self.encodes()) {
                (false, _) => ", nobody is watching",
                (true, false) => ", the network is too slow for pictures",
                (true, true) => "",
            };
            self.progress.report(&format!("{transport}{rtt}{idle}"));
        }
    }

    /// The file again, from its beginning; times and numbers go on.
    fn rewind(&mut self) -> anyhow::Result<()> {
        self.capture = Capture::start(&self.arguments.video, &self.arguments.audio)?;
        self.capture.set_watched(self.encodes());
        self.obey();
        Ok(())
    }

    fn forward(&mut self, frame: Captured) -> anyhow::Result<()> {
        self.publish(&frame)?;
        if !self.joined {
            return Ok(());
        }
        let media = frame.media;
        if media == Media::Video {
            self.awaits_keyframe &= !frame.keyframe;
            if self.awaits_keyframe {
                self.progress.dropped(media);
                return Ok(());
            }
        }
        match self.client.send_frame(encoded(&frame)) {
            Ok(()) => self.progress.sent(&frame),
            Err(CommandError::Full) => {
                self.progress.dropped(media);
                if media == Media::Video {
                    self.restart_video();
                }
            }
            // The event that says why is on its way.
            Err(CommandError::Closed) => {}
        }
        Ok(())
    }

    /// Nothing but a keyframe is sent next.
    fn restart_video(&mut self) {
        self.awaits_keyframe = true;
        self.capture.force_keyframe();
    }

    /// Whether pictures are encoded: while somebody watches and the path carries them.
    fn encodes(&self) -> bool {
        self.watched && self.target.is_none_or(|target| target.active)
    }

    fn set_watched(&mut self, watched: bool) {
        let before = self.encodes();
        self.watched = watched;
        self.tell_capture(before);
    }

    fn aim(&mut self, targets: &[EncoderTarget]) {
        let before = self.encodes();
        let of = |track| targets.iter().find(|target| target.track == track).copied();
        self.target = of(CAMERA).or(self.target);
        self.sound_target = of(MICROPHONE).or(self.sound_target);
        self.obey();
        self.tell_capture(before);
    }

    fn obey(&self) {
        if let Some(target) = self.target.filter(|target| target.active) {
            self.capture.aim(Aim {
                bits_per_second: target.bitrate_bps,
                frames_per_second: target.frames_per_second,
            });
        }
        if let Some(target) = self.sound_target {
            self.capture.set_audio_bitrate(target.bitrate_bps);
        }
    }

    fn tell_capture(&mut self, encoded_before: bool) {
        let encodes = self.encodes();
        if encodes != encoded_before {
            self.capture.set_watched(encodes);
            if encodes {
                self.restart_video();
            }
        }
    }

    /// Announces a track when its first frame has shown what it is.
    fn publish(&mut self, frame: &Captured) -> anyhow::Result<()> {
        let published = &mut self.published[frame.media as usize];
        let Some(decoder) = frame.decoder.as_ref().filter(|_| !*published) else {
            return Ok(());
        };
        let track = match frame.media {
            Media::Audio => microphone(decoder.codec.clone()),
            Media::Video => camera(decoder.codec.clone(), &self.arguments.video),
        };
        self.client
            .publish(track)
            .context("a track cannot be announced")?;
        *published = true;
        Ok(())
    }

    fn handle(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Connection(status) => self.connection_changed(status),
            Event::Joined { session, resumed, .. } => {
                let transport = self.status.transport.map_or("unknown", |t| t.as_str());
                let how = if resumed { "again " } else { "" };
                let url = &self.arguments.url;
                self.progress.say(&format!(
                    "connected {how}to {url} as session {session} over {transport}"
                ));
                self.joined = true;
            }
            // The first picture of a track has to be one that stands alone.
            Event::TrackAccepted(CAMERA) => self.restart_video(),
            Event::KeyframeWanted { track: CAMERA, .. } => self.capture.force_keyframe(),
            Event::LayersWanted {
                track: CAMERA,
                spatial_layers,
            } => self.set_watched(!spatial_layers.is_empty()),
            Event::EncoderTargets(targets) => self.aim(&targets),
            Event::Closed(closing) if closing.code != CloseCode::Left => bail!(refusal(&closing)),
            _ => {}
        }
        Ok(())
    }

    fn connection_changed(&mut self, status: ConnectionStatus) {
        if status.notice != self.status.notice
            && let Some(notice) = &status.notice
        {
            self.progress.say(notice);
        }
        if status.state == ConnectionState::Reconnecting && self.status.state == ConnectionState::Connected {
            self.progress.say("the connection is lost; reconnecting");
        }
        self.status = status;
    }

    /// Says goodbye, so that the others do not have to wait for the silence to be noticed.
    async fn leave(self, mut events: EventStream) {
        self.client.leave();
        let closed = async {
            while let Some(event) = events.next().await {
                if matches!(event, Event::Closed(_)) {
                    break;
                }
            }
        };
        if tokio::time::timeout(GOODBYE, closed).await.is_err() {
            tracing::warn!("the server did not take the goodbye; the tile disappears a little later");
        }
        self.progress.say("left the meeting");
    }
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn microphone(codec: String) -> TrackInfo {
    let layer = LayerInfo {
        spatial: 0,
        temporal_layers: 1,
        width: 0,
        height: 0,
        frames_per_second: 0,
        bitrate_bps: audio::BITRATE_BPS,
    };
    TrackInfo {
        track: MICROPHONE,
        kind: TrackKind::Microphone,
        muted: false,
        codec,
        layers: vec![layer],
    }
}

fn camera(codec: String, settings: &VideoArguments) -> TrackInfo {
    let layer = LayerInfo {
        spatial: 0,
        temporal_layers: 1,
        width: settings.resolution.width,
        height: settings.resolution.height,
        frames_per_second: settings.fps,
        bitrate_bps: settings.bitrate_kbps * 1000,
    };
    TrackInfo {
        track: CAMERA,
        kind: TrackKind::Camera,
        muted: false,
        codec,
        layers: vec![layer],
    }
}

fn encoded(frame: &Captured) -> EncodedFrame {
    EncodedFrame {
        track: match frame.media {
            Media::Audio => MICROPHONE,
            Media::Video => CAMERA,
        },
        spatial: 0,
        temporal: 0,
        capture_time_us: frame.capture_time_us,
        keyframe: frame.keyframe,
        duration_us: frame.duration_us,
        audio_level: frame.audio_level,
        decoder: frame.decoder.clone(),
        payload: frame.payload.clone(),
    }
}

/// What the relay says, and what this program's user can do about it.
fn refusal(closing: &Closing) -> String {
    let advice = match closing.code {
        CloseCode::BadToken | CloseCode::TokenExpired => " Get a new --token, or leave it out.",
        CloseCode::RateExceeded => " Lower --bitrate-kbps.",
        CloseCode::FrameTooLarge => " Lower --resolution or --bitrate-kbps.",
        _ => "",
    };
    format!("{}{advice}", closing.message)
}
