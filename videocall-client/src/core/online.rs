//! In the meeting: messages and frames of the relay, pings, liveness, and what the relay is told.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use videocall_types::limits::MAX_FRAME_BYTES;
use videocall_types::{ClientMessage, CloseCode, ServerMessage, SessionLimits, Timestamp, TrackId, is_frame};

use super::ClientCore;
use super::connect::{Outage, Phase};
use super::quality::Arrival;
use super::receive::Received;
use super::types::{Event, Link, Output};

/// A change of the round-trip time below this is of no interest to anybody.
const RTT_NEWS: Duration = Duration::from_millis(5);

/// What a connection that carries a meeting needs.
#[derive(Debug)]
pub(super) struct Online {
    since: Timestamp,
    /// The relay's address.
    url: String,
    limits: SessionLimits,
    next_ping: Timestamp,
    /// When the first ping was sent after the last packet came.
    unanswered_since: Option<Timestamp>,
    rtt: Option<Duration>,
    /// The round-trip time that the last status told.
    told_rtt: Option<Duration>,
    /// When to go to another relay, because this one stops.
    move_at: Option<Timestamp>,
}

impl Online {
    pub(super) fn new(limits: SessionLimits, url: String, now: Timestamp) -> Self {
        Self {
            since: now,
            url,
            limits,
            next_ping: now,
            unanswered_since: None,
            rtt: None,
            told_rtt: None,
            move_at: None,
        }
    }

    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    pub(super) fn next_wake(&self) -> Timestamp {
        [self.dead_at(), self.move_at]
            .into_iter()
            .flatten()
            .fold(self.next_ping, Timestamp::min)
    }

    /// Half the liveness time after the first ping without an answer: the relay keeps the session for
    /// longer, so that coming back early costs nothing, and a relay that was killed is left before
    /// anybody gives up on the call. It counts from a ping and not from the last packet, because a
    /// program that was stopped for a while has packets to read first.
    fn dead_at(&self) -> Option<Timestamp> {
        // A relay that announces nonsense does not make us give up at once.
        let patience = Duration::from_millis(self.limits.liveness_ms.max(2000).into()) / 2;
        self.unanswered_since.map(|since| since + patience)
    }

    fn ping(&mut self, now: Timestamp) -> ClientMessage {
        let interval = Duration::from_millis(self.limits.ping_interval_ms.max(100).into());
        self.next_ping = now + interval;
        self.unanswered_since.get_or_insert(now);
        let rtt = self.rtt.unwrap_or_default();
        ClientMessage::Ping {
            sent_at_us: now.as_micros(),
            rtt_us: u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX),
        }
    }
}

impl ClientCore {
    pub(super) fn handle_packet(&mut self, link: Link, packet: Bytes, now: Timestamp) {
        match (link, &mut self.online) {
            (Link::Current, Some(online)) => online.unanswered_since = None,
            (Link::Next, _) if matches!(self.phase, Phase::Greeting { .. }) => {}
            _ => return,
        }
        self.stats.packets_received += 1;
        self.stats.bytes_received += packet.len() as u64;
        if is_frame(&packet) {
            return self.handle_frame(packet, now);
        }
        let message = match ServerMessage::decode(&packet) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "the relay sent something that is no message");
                return;
            }
        };
        match link {
            Link::Current => self.handle_message(message, now),
            Link::Next => self.handle_greeting(message, now),
        }
    }

    fn handle_frame(&mut self, packet: Bytes, now: Timestamp) {
        match self.receiver.packet(packet, &self.roster, now) {
            Received::Frame(frame) => self.tell(Event::Frame(frame)),
            Received::Stuck(layer) => self.ask_relay_for_keyframe(layer, now),
            Received::Nothing => {}
        }
    }

    /// Frames that came before the announcement of their track.
    pub(super) fn take_early_frames(&mut self, now: Timestamp) {
        for packet in self.receiver.take_early(&self.roster, now) {
            self.handle_frame(packet, now);
        }
    }

    fn handle_message(&mut self, message: ServerMessage, now: Timestamp) {
        match message {
            ServerMessage::Closing(closing) => self.handle_closing(Link::Current, closing, now),
            ServerMessage::TrackAccepted(track) => self.track_accepted(track),
            ServerMessage::KeyframeWanted { track, spatial } => self.want_keyframe(track, spatial),
            ServerMessage::LayersWanted {
                track,
                spatial_layers,
            } => self.layers_wanted(track, spatial_layers),
            ServerMessage::BitrateLimit {
                track,
                max_bitrate_bps,
            } => self.quality.bound(track, max_bitrate_bps.map(NonZeroU32::get)),
            ServerMessage::Pong { sent_at_us, .. } => self.handle_pong(sent_at_us, now),
            ServerMessage::Draining {
                alternate_url,
                deadline_ms,
            } => self.handle_draining(&alternate_url, deadline_ms, now),
            ServerMessage::Reachability {
                other_relays_reachable,
            } => self.tell(Event::Reachability {
                other_relays_reachable,
            }),
            ServerMessage::ArrivalReport {
                interval_ms,
                received_bytes,
                received_frames,
                missing_frames,
                delay_growth_us,
                layers,
            } => {
                for layer in &layers {
                    self.queue.arrived(layer);
                }
                let arrival = Arrival {
                    interval: Duration::from_millis(interval_ms.into()),
                    bytes: received_bytes,
                    frames: received_frames,
                    missing: missing_frames,
                    growth_us: delay_growth_us,
                    rtt: self.status.rtt.unwrap_or_default(),
                };
                self.quality.arrived(arrival, now);
            }
            ServerMessage::Welcome(_) | ServerMessage::Unknown => {}
            ServerMessage::Speakers(sessions) => self.tell(Event::Speakers(sessions)),
            ServerMessage::ParticipantsJoined(participants) => {
                for participant in participants {
                    let news = self.roster.join(participant.clone());
                    self.note_membership(Event::ParticipantJoined(participant), news, now);
                }
            }
            ServerMessage::ParticipantsLeft(sessions) => {
                for session in sessions {
                    let news = self.roster.leave(session);
                    self.views.forget(session);
                    self.note_membership(Event::ParticipantLeft(session), news, now);
                }
            }
            membership => self.handle_membership(membership, now),
        }
    }

    fn handle_membership(&mut self, message: ServerMessage, now: Timestamp) {
        let (event, news) = match message {
            ServerMessage::TrackChanged { session, track } => {
                let news = self.roster.change_track(session, track.clone());
                (Event::TrackChanged { session, track }, news)
            }
            ServerMessage::TrackRemoved(track) => {
                (Event::TrackRemoved(track), self.roster.remove_track(track))
            }
            _ => return,
        };
        self.note_membership(event, news, now);
    }

    fn note_membership(&mut self, event: Event, news: bool, now: Timestamp) {
        if news {
            self.receiver.reconcile(&self.roster);
            self.tell(event);
            self.take_early_frames(now);
        }
    }

    pub(super) fn track_accepted(&mut self, track: TrackId) {
        let Some(layers) = self.publisher.accept(track) else {
            return;
        };
        self.tell(Event::TrackAccepted(track));
        for spatial in layers {
            self.want_keyframe(track, spatial);
        }
    }

    fn handle_pong(&mut self, sent_at_us: u64, now: Timestamp) {
        let Some(online) = &mut self.online else {
            return;
        };
        let sent = Timestamp::from_micros(sent_at_us);
        if sent > now || sent < online.since {
            return;
        }
        let sample = now.since(sent);
        // RFC 6298 §2: a smoothed round-trip time takes an eighth of each new sample.
        let smoothed = online.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8);
        online.rtt = Some(smoothed);
        self.status.rtt = Some(smoothed);
        // Worth telling when a person would call it another figure.
        let news = online
            .told_rtt
            .is_none_or(|told| smoothed.abs_diff(told) > (told / 4).max(RTT_NEWS));
        if news {
            online.told_rtt = Some(smoothed);
            self.tell_status();
        }
    }

    fn layers_wanted(&mut self, track: TrackId, spatial_layers: Vec<u8>) {
        if self.publisher.restrict(track, &spatial_layers) {
            self.quality.want(track, &spatial_layers);
            self.tell(Event::LayersWanted {
                track,
                spatial_layers,
            });
        }
    }

    /// What another relay has said of our tracks does not hold for this one.
    pub(super) fn all_layers_wanted(&mut self) {
        self.quality.unbound();
        for (track, spatial_layers) in self.publisher.release() {
            self.quality.want(track, &spatial_layers);
            self.tell(Event::LayersWanted {
                track,
                spatial_layers,
            });
        }
    }

    /// The relay stops: everybody moves at a time of their own in the first half of what is left.
    fn handle_draining(&mut self, alternate_url: &str, deadline_ms: u32, now: Timestamp) {
        let spread = self.random.fraction() / 2.0;
        self.experience.heed(alternate_url, &self.config);
        if let Some(online) = &mut self.online {
            let wait = Duration::from_millis(deadline_ms.into()).mul_f64(spread);
            online.move_at.get_or_insert(now + wait);
        }
    }

    /// Looks for another relay while this one still carries the call.
    fn start_moving(&mut self, now: Timestamp) {
        if let Some(online) = &mut self.online {
            online.move_at = None;
        }
        self.avoid_current_relay();
        if matches!(self.phase, Phase::Settled) {
            self.outage = Outage::first(now);
            self.start_round(now);
        }
    }

    pub(super) fn avoid_current_relay(&mut self) {
        self.experience.avoided = self.online.as_ref().map(|online| online.url.clone());
    }

    /// What the passing of time means.
    pub(super) fn handle_time(&mut self, now: Timestamp) {
        for session in self.roster.expire(now) {
            self.views.forget(session);
            self.note_membership(Event::ParticipantLeft(session), true, now);
        }
        self.handle_connecting_time(now);
        self.handle_online_time(now);
    }

    fn handle_online_time(&mut self, now: Timestamp) {
        let Some(online) = &mut self.online else {
            return;
        };
        if online.dead_at().is_some_and(|dead_at| dead_at <= now) {
            self.outputs
                .push_back(Output::Disconnect(CloseCode::LivenessTimeout));
            return self.connection_lost("nothing was heard from the relay".into(), now);
        }
        let ping = (online.next_ping <= now).then(|| online.ping(now));
        let moves = online.move_at.is_some_and(|move_at| move_at <= now);
        if let Some(ping) = ping {
            self.send_control(ping, now);
        }
        if moves {
            self.start_moving(now);
        }
    }

    /// What the program has changed and the relay does not know yet.
    pub(super) fn tell_relay(&mut self, now: Timestamp) {
        if self.online.is_none() {
            return;
        }
        let mut messages = Vec::new();
        let (changed, ended) = self.publisher.take_changes();
        messages.extend(ended.into_iter().map(ClientMessage::UnpublishTrack));
        messages.extend(changed.into_iter().map(ClientMessage::PublishTrack));
        messages.extend(self.views.take(now).map(ClientMessage::Subscribe));
        messages.extend(self.timing.take(now).map(ClientMessage::Report));
        for message in messages {
            self.send_control(message, now);
        }
    }

    /// What the encoders are to do, where it has changed.
    pub(super) fn tell_encoders(&mut self, now: Timestamp) {
        if self.online.is_none() {
            return;
        }
        let backlog = self.queue.backlog(now);
        if let Some(targets) = self.quality.take(backlog, now) {
            for target in targets.iter().filter(|target| !target.active) {
                self.queue.give_up(target.track, target.spatial);
            }
            self.tell(Event::EncoderTargets(targets));
        }
        self.queue.allow(self.quality.allowance());
        self.publisher.set_redundancy(self.quality.redundancy());
    }

    pub(super) fn max_frame_bytes(&self) -> usize {
        let online = self.online.as_ref();
        online.map_or(MAX_FRAME_BYTES, |online| online.limits.max_frame_bytes as usize)
    }
}
