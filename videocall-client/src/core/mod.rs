//! The rules of a client as data in, data out: connecting, the roster, numbering, what is sent first
//! and what is dropped, what a decoder may be given. It does no IO and reads no clock.
//!
//! [`ClientCore::handle`] takes what happened; afterwards [`ClientCore::poll`] is called until it is
//! empty, [`ClientCore::poll_packet`] as long as the connection takes something, and
//! [`ClientCore::handle`] with [`Input::Timeout`] when [`ClientCore::next_wake`] is reached.

mod connect;
mod flight;
mod online;
mod plan;
mod publish;
mod quality;
mod queue;
mod random;
mod receive;
mod roster;
mod timing;
mod types;
mod views;

use std::collections::VecDeque;

use videocall_types::api::JoinResponse;
use videocall_types::{
    CallMinute, ClientMessage, ClientReport, CloseCode, Closing, LayerId, SessionId, Timestamp,
};

use crate::config::ClientConfig;
use crate::stats::{ConnectionStats, LayerStats};
use connect::{Outage, Phase};
use online::Online;
use plan::Experience;
use publish::{Numbered, Publisher};
use quality::Quality;
use queue::SendQueue;
use random::Random;
use receive::Receiver;
use roster::Roster;
use timing::Timing;
use views::Views;

pub use types::{
    Command, ConnectionState, ConnectionStatus, EncodedFrame, EncoderLoad, EncoderTarget, Event, Input, Lane,
    Link, OutgoingPacket, Output, Receivers, TicketError, View,
};

/// The whole state of a client.
#[derive(Debug)]
pub struct ClientCore {
    config: ClientConfig,
    random: Random,
    /// The connection that carries the call.
    online: Option<Online>,
    /// The search for one, or for one more.
    phase: Phase,
    outage: Outage,
    experience: Experience,
    ticket: Option<JoinResponse>,
    session: Option<SessionId>,
    resume_token: String,
    status: ConnectionStatus,
    roster: Roster,
    publisher: Publisher,
    quality: Quality,
    /// What the program wants to receive.
    views: Views,
    timing: Timing,
    queue: SendQueue,
    receiver: Receiver,
    stats: ConnectionStats,
    /// What the driver has not taken yet. It takes everything after each input, and an input adds a
    /// few; the frames that waited for their track (see `receive`) are the most.
    outputs: VecDeque<Output>,
}

impl ClientCore {
    /// A client that starts to connect. The seed spreads reconnections; it keeps no secret.
    pub fn new(config: ClientConfig, seed: u64, now: Timestamp) -> Self {
        let mut core = Self {
            random: Random::new(seed),
            online: None,
            phase: Phase::Settled,
            outage: Outage::first(now),
            experience: Experience::default(),
            ticket: config.ticket.clone(),
            session: None,
            resume_token: String::new(),
            status: ConnectionStatus::default(),
            roster: Roster::default(),
            publisher: Publisher::default(),
            quality: Quality::new(now),
            views: Views::default(),
            timing: Timing::start(now, config.report_timing),
            queue: SendQueue::default(),
            receiver: Receiver::default(),
            stats: ConnectionStats::default(),
            outputs: VecDeque::new(),
            config,
        };
        core.tell_status();
        core.start_round(now);
        core
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        match input {
            Input::Ticket(answer) => self.handle_ticket(answer, now),
            Input::Connected => self.handle_connected(),
            Input::ConnectFailed(reason) => self.handle_connect_failed(reason, now),
            Input::Packet(link, packet) => self.handle_packet(link, packet, now),
            Input::Disconnected { link, code, reason } => match code {
                Some(code) => self.handle_closing(link, Closing::new(code), now),
                None => self.handle_lost(link, reason, now),
            },
            Input::Command(command) => self.handle_command(command, now),
            Input::FrameDiscarded(layer) => self.receiver.discarded(layer),
            Input::Timeout => {}
        }
        self.handle_time(now);
        if let Some(receivers) = self.roster.take_receivers() {
            self.tell(Event::Receivers(receivers));
        }
        self.tell_relay(now);
        self.tell_encoders(now);
    }

    /// What to do next, until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The most urgent packet whose lane is ready, until `None`.
    pub fn poll_packet(&mut self, now: Timestamp, ready: impl FnMut(Lane) -> bool) -> Option<OutgoingPacket> {
        let packet = self.queue.pop(now, ready)?;
        self.stats.packets_sent += 1;
        self.stats.bytes_sent += packet.packet.len() as u64;
        if packet.lane != Lane::Control {
            self.quality.sent(packet.packet.len(), now);
        }
        Some(packet)
    }

    /// When to call [`ClientCore::handle`] with [`Input::Timeout`], unless something happens before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let online = self.online.as_ref().map(Online::next_wake);
        let telling = self
            .online
            .as_ref()
            .and_then(|_| earliest([self.views.due(), self.timing.due(), self.quality.due()]));
        earliest([
            online,
            telling,
            self.roster.confirm_until(),
            self.connecting_wake(),
        ])
    }

    /// Nothing more will happen.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Our session, while and after we are in.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Figures of the connection.
    pub fn stats(&self) -> ConnectionStats {
        ConnectionStats {
            state: self.status.state,
            transport: self.status.transport,
            rtt_ms: self.status.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
            frames_dropped_sending: self.stats.frames_dropped_sending + self.queue.dropped(),
            frames_ignored: self.receiver.ignored(),
            upload_estimate_bps: self.quality.estimate_bps(),
            upload_wanted_bps: self.quality.wanted_bps(),
            sending_limit: self.quality.limit(),
            ..self.stats
        }
    }

    /// Figures of every layer that is received.
    pub fn layer_stats(&self) -> impl Iterator<Item = (LayerId, LayerStats)> + '_ {
        self.receiver.layer_stats()
    }

    fn handle_command(&mut self, command: Command, now: Timestamp) {
        match command {
            Command::PublishTrack(info) => {
                self.quality.publish(&info);
                self.publisher.publish(info);
            }
            Command::UnpublishTrack(track) => {
                self.quality.unpublish(track);
                self.publisher.unpublish(track);
                self.queue.forget_track(track);
            }
            Command::SetMuted { track, muted } => {
                self.quality.set_muted(track, muted);
                self.publisher.set_muted(track, muted);
            }
            Command::EncoderLoad(load) => self.quality.encoded(load, now),
            Command::SendFrame(frame) => self.send_frame(frame, now),
            Command::Subscribe(interest) => self.views.replace(interest, now),
            Command::Show(track, view) => self.views.show(track, view, now),
            Command::Hide(track) => self.views.hide(track, now),
            Command::SetPaused(paused) => self.views.set_paused(paused, now),
            Command::Listen(track, heard) => self.views.listen(track, heard, now),
            Command::FirstPicture => self.timing.picture(now),
            Command::Report(minute) => self.report(minute, now),
            Command::RequestKeyframe { track, spatial } => {
                self.request_keyframe(LayerId { track, spatial }, now);
            }
            Command::Leave => self.leave(now),
        }
    }

    fn send_frame(&mut self, frame: EncodedFrame, now: Timestamp) {
        let session = self.session.filter(|_| self.is_in());
        let limit = self.max_frame_bytes();
        if self.quality.leaves_out(&frame, now) {
            self.stats.frames_dropped_sending += 1;
            self.publisher.leave_out(&frame);
            return self.want_keyframe(frame.track, frame.spatial);
        }
        match self.publisher.number(frame, session) {
            Numbered::Frame { header, packet } if packet.len() <= limit => {
                self.quality.captured(&header, packet.len(), now);
                let needed = self.queue.push_frame(header, packet, now);
                if let Some(needed) = needed {
                    self.want_keyframe(needed.track, needed.spatial);
                }
            }
            Numbered::Frame { .. } | Numbered::Dropped => self.stats.frames_dropped_sending += 1,
        }
    }

    fn want_keyframe(&mut self, track: videocall_types::TrackId, spatial: u8) {
        self.tell(Event::KeyframeWanted { track, spatial });
    }

    fn request_keyframe(&mut self, layer: LayerId, now: Timestamp) {
        if self.receiver.may_request_keyframe(layer, now) {
            self.ask_relay_for_keyframe(layer, now);
        }
    }

    fn ask_relay_for_keyframe(&mut self, layer: LayerId, now: Timestamp) {
        let message = ClientMessage::RequestKeyframe {
            track: layer.track,
            spatial: layer.spatial,
        };
        self.send_control(message, now);
    }

    /// What is not told now is not told: the next minute is as good.
    fn report(&mut self, minute: CallMinute, now: Timestamp) {
        if self.config.report_timing && self.is_in() {
            let minute = Some(minute);
            let report = ClientReport {
                minute,
                ..ClientReport::default()
            };
            self.send_control(ClientMessage::Report(report), now);
        }
    }

    fn leave(&mut self, now: Timestamp) {
        self.send_control(ClientMessage::Leave, now);
        self.end(Closing::new(CloseCode::Left));
    }

    /// Control messages need an open connection; what has to outlive one is told again on the next.
    fn send_control(&mut self, message: ClientMessage, now: Timestamp) {
        if self.online.is_some() && self.queue.push_control(message.encode()).is_err() {
            self.outputs
                .push_back(Output::Disconnect(CloseCode::LivenessTimeout));
            self.connection_lost("the connection takes no more messages".into(), now);
        }
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn tell_status(&mut self) {
        self.tell(Event::Connection(self.status.clone()));
    }
}

/// Of times of which some may never come.
fn earliest<const N: usize>(times: [Option<Timestamp>; N]) -> Option<Timestamp> {
    times.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
