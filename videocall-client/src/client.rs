//! The handle that programs hold, and the stream of events that belongs to it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::mpsc;
use videocall_types::{CallMinute, Interest, LayerId, SessionId, TrackId, TrackInfo, TrackRef};

use crate::config::ClientConfig;
use crate::core::{ClientCore, Command, EncodedFrame, EncoderLoad, Event, View};
use crate::driver::{self, Channels, Clock, Connector, Figures};
use crate::stats::{ConnectionStats, LayerStats};
#[cfg(not(target_arch = "wasm32"))]
use crate::transport::native::{NativeClock as PlatformClock, NativeConnector as PlatformConnector};
#[cfg(target_arch = "wasm32")]
use crate::transport::web::{WebClock as PlatformClock, WebConnector as PlatformConnector};

/// Commands that wait for the loop, which takes them at once; above it, the program is told.
const COMMAND_CAPACITY: usize = 256;

/// Frames that wait for the loop: a second of one video track and one audio track. Above it, the
/// program is told and drops the frame.
const FRAME_CAPACITY: usize = 80;

/// Events that wait for the program: a second of the frames of 12 participants.
const EVENT_CAPACITY: usize = 1024;

/// Why a client did not take a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// More is waiting than the client holds. For a frame: drop it and make a keyframe.
    #[error("the client is behind with what it was given")]
    Full,
    /// The client has ended.
    #[error("the client has ended")]
    Closed,
}

/// A participant of a meeting. Clones are handles to the same one; when the last is dropped, the
/// client leaves.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: Mutex<mpsc::Sender<Command>>,
    frames: Mutex<mpsc::Sender<Command>>,
    figures: Arc<Mutex<Figures>>,
}

/// The events of a client, in order. Bounded: control events wait for room (and hold up the
/// connection), frames are dropped when there is none.
#[derive(Debug)]
pub struct EventStream {
    events: mpsc::Receiver<Event>,
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        Pin::new(&mut self.events).poll_next(cx)
    }
}

impl EventStream {
    /// The next event; `None` after [`Event::Closed`], which comes when the connection is closed and
    /// the relay has the goodbye.
    pub async fn next(&mut self) -> Option<Event> {
        futures::StreamExt::next(&mut self.events).await
    }
}

impl Client {
    /// Starts to connect. Native programs call it inside a tokio runtime.
    pub fn start(config: ClientConfig) -> (Self, EventStream) {
        let connector = PlatformConnector::new(config.clone());
        let clock: PlatformClock = Default::default();
        let (client, events, running) = Self::assemble(config, connector, clock);
        spawn(running);
        (client, events)
    }

    /// A client and its loop, over any connector and clock.
    fn assemble<C: Connector, K: Clock>(
        config: ClientConfig,
        connector: C,
        clock: K,
    ) -> (Self, EventStream, impl Future<Output = ()>) {
        let (commands, commands_out) = mpsc::channel(COMMAND_CAPACITY);
        let (frames, frames_out) = mpsc::channel(FRAME_CAPACITY);
        let (events_in, events) = mpsc::channel(EVENT_CAPACITY);
        let figures = Arc::new(Mutex::new(Figures::default()));
        let channels = Channels {
            commands: commands_out,
            frames: frames_out,
            events: events_in,
            figures: Arc::clone(&figures),
        };
        let shared = Shared {
            commands: Mutex::new(commands),
            frames: Mutex::new(frames),
            figures,
        };
        let client = Self {
            shared: Arc::new(shared),
        };
        let running = async move {
            let config = prepared(config).await;
            let now = clock.now();
            // Microseconds differ between the clients of a relay that restarts.
            let core = ClientCore::new(config, now.as_micros(), now);
            driver::run(core, connector, clock, channels).await;
        };
        (client, EventStream { events }, running)
    }

    /// Adds a track, or replaces its description.
    ///
    /// # Errors
    /// As [`CommandError`] says; so do the other commands.
    pub fn publish(&self, track: TrackInfo) -> Result<(), CommandError> {
        self.command(Command::PublishTrack(track))
    }

    /// Ends a track.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn unpublish(&self, track: TrackId) -> Result<(), CommandError> {
        self.command(Command::UnpublishTrack(track))
    }

    /// Announces that a track sends nothing, or sends again. Frames of a muted track are not sent.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn set_muted(&self, track: TrackId, muted: bool) -> Result<(), CommandError> {
        self.command(Command::SetMuted { track, muted })
    }

    /// Sends a frame of a track. Before the track is accepted it is dropped.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn send_frame(&self, frame: EncodedFrame) -> Result<(), CommandError> {
        give(&self.shared.frames, Command::SendFrame(frame))
    }

    /// Tells how an encoder gets on, about once a second: one that falls behind gets less to do by
    /// [`Event::EncoderTargets`].
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn report_encoder(&self, load: EncoderLoad) -> Result<(), CommandError> {
        self.command(Command::EncoderLoad(load))
    }

    /// Shows somebody's picture like this from now on, or differently than before. With the first
    /// call a client that received everything receives the active speakers' voices and what it shows,
    /// and nothing else. The relay is told more at once and less after a moment, so this may be called
    /// with every change of a layout.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn show(&self, track: TrackRef, view: View) -> Result<(), CommandError> {
        self.command(Command::Show(track, view))
    }

    /// Does not show somebody's picture any more: it is not even sent.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn hide(&self, track: TrackRef) -> Result<(), CommandError> {
        self.command(Command::Hide(track))
    }

    /// While paused, no picture is received, whatever is shown: for a window that is minimised.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn set_paused(&self, paused: bool) -> Result<(), CommandError> {
        self.command(Command::SetPaused(paused))
    }

    /// Hears a microphone whether its owner is among the active speakers or not, or not so any more.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn listen(&self, microphone: TrackRef, always: bool) -> Result<(), CommandError> {
        self.command(Command::Listen(microphone, always))
    }

    /// Replaces the set of what is received, also what was shown: for programs that have no pages and
    /// no windows.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn subscribe(&self, interest: Interest) -> Result<(), CommandError> {
        self.command(Command::Subscribe(interest))
    }

    /// The first picture of somebody else is on screen, for [`ClientConfig::report_timing`].
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn picture_shown(&self) -> Result<(), CommandError> {
        self.command(Command::FirstPicture)
    }

    /// How the last minute was, for [`ClientConfig::report_timing`]; [`crate::MinuteMeter`] knows.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn report(&self, minute: CallMinute) -> Result<(), CommandError> {
        self.command(Command::Report(minute))
    }

    /// Asks for a keyframe because a decoder cannot go on.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn request_keyframe(&self, track: TrackRef, spatial: u8) -> Result<(), CommandError> {
        self.command(Command::RequestKeyframe { track, spatial })
    }

    /// Leaves for good; [`Event::Closed`] follows.
    pub fn leave(&self) {
        if self.command(Command::Leave) == Err(CommandError::Full) {
            // A loop that does not take commands any more sees that there is nobody left.
            sender(&self.shared.commands).close_channel();
        }
    }

    /// Figures of the connection, some 5 times a second.
    pub fn stats(&self) -> ConnectionStats {
        driver::lock(&self.shared.figures).connection
    }

    /// Figures of every layer that is received, some 5 times a second.
    pub fn layer_stats(&self) -> Vec<(LayerId, LayerStats)> {
        driver::lock(&self.shared.figures).layers.clone()
    }

    /// Our session, once we are in.
    pub fn session(&self) -> Option<SessionId> {
        driver::lock(&self.shared.figures).session
    }

    fn command(&self, command: Command) -> Result<(), CommandError> {
        give(&self.shared.commands, command)
    }
}

type Sender = Mutex<mpsc::Sender<Command>>;

fn sender(channel: &Sender) -> std::sync::MutexGuard<'_, mpsc::Sender<Command>> {
    channel.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One sender behind a lock, because every clone of a sender makes the channel one longer.
fn give(channel: &Sender, command: Command) -> Result<(), CommandError> {
    sender(channel).try_send(command).map_err(|error| {
        if error.is_full() {
            CommandError::Full
        } else {
            CommandError::Closed
        }
    })
}

/// What a browser decodes it says only when it is asked, and not at once.
#[cfg(target_arch = "wasm32")]
async fn prepared(mut config: ClientConfig) -> ClientConfig {
    if config.decodable_codecs.is_empty() {
        config.decodable_codecs = crate::media::web::codecs::decodable().await;
    }
    config
}

#[cfg(not(target_arch = "wasm32"))]
async fn prepared(config: ClientConfig) -> ClientConfig {
    config
}

#[cfg(not(target_arch = "wasm32"))]
fn spawn(running: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(running);
}

#[cfg(target_arch = "wasm32")]
fn spawn(running: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(running);
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
