//! The handle that programs hold, and the stream of events that belongs to it.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::channel::mpsc;
use videocall_types::{Interest, LayerId, SessionId, TrackId, TrackInfo, TrackRef};

use crate::config::ClientConfig;
use crate::core::{EncodedFrame, Event};
use crate::stats::{ConnectionStats, LayerStats};

/// Why a client did not take a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// More is waiting than the client holds. For a frame: drop it, the next keyframe heals it.
    #[error("the client is behind with what it was given")]
    Full,
    /// The client has ended.
    #[error("the client has ended")]
    Closed,
}

/// A participant of a meeting. Clones are handles to the same one; when the last is dropped, the
/// client leaves.
#[derive(Clone, Debug)]
pub struct Client {}

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
    /// The next event; `None` after [`Event::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        futures::StreamExt::next(&mut self.events).await
    }
}

impl Client {
    /// Starts to connect. Native programs call it inside a tokio runtime.
    pub fn start(config: ClientConfig) -> (Self, EventStream) {
        let _ = config;
        let (_sender, events) = mpsc::channel(1);
        (Self {}, EventStream { events })
    }

    /// Adds a track, or replaces its description.
    ///
    /// # Errors
    /// As [`CommandError`] says; so do the other commands.
    pub fn publish(&self, track: TrackInfo) -> Result<(), CommandError> {
        let _ = track;
        Ok(())
    }

    /// Ends a track.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn unpublish(&self, track: TrackId) -> Result<(), CommandError> {
        let _ = track;
        Ok(())
    }

    /// Announces that a track sends nothing, or sends again.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn set_muted(&self, track: TrackId, muted: bool) -> Result<(), CommandError> {
        let _ = (track, muted);
        Ok(())
    }

    /// Sends a frame of a track. Before the track is accepted it is dropped.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn send_frame(&self, frame: EncodedFrame) -> Result<(), CommandError> {
        let _ = frame;
        Ok(())
    }

    /// Replaces the set of what is received.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn subscribe(&self, interest: Interest) -> Result<(), CommandError> {
        let _ = interest;
        Ok(())
    }

    /// Asks for a keyframe because a decoder cannot go on.
    ///
    /// # Errors
    /// See [`Client::publish`].
    pub fn request_keyframe(&self, track: TrackRef, spatial: u8) -> Result<(), CommandError> {
        let _ = (track, spatial);
        Ok(())
    }

    /// Leaves for good; [`Event::Closed`] follows.
    pub fn leave(&self) {}

    /// Figures of the connection, some 5 times a second.
    pub fn stats(&self) -> ConnectionStats {
        ConnectionStats::default()
    }

    /// Figures of every layer that is received, some 5 times a second.
    pub fn layer_stats(&self) -> Vec<(LayerId, LayerStats)> {
        Vec::new()
    }

    /// Our session, once we are in.
    pub fn session(&self) -> Option<SessionId> {
        None
    }
}
