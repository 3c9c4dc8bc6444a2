//! From a ticket to a Welcome: at first, when the connection is lost, and beside the connection there
//! is when its relay stops.

use std::time::Duration;

use bytes::Bytes;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::limits::PROTOCOL_VERSION;
use videocall_types::{
    Capabilities, ClientMessage, CloseCode, Closing, Hello, ServerMessage, Timestamp, TrackInfo, Welcome,
};

use super::ClientCore;
use super::online::Online;
use super::plan::{Backoff, Plan};
use super::types::{ConnectionState, Event, Link, Output, TicketError};
use crate::config::TransportPreference;

/// The REST interface answers within milliseconds; a person does not wait longer for a connection.
const TICKET_TIMEOUT: Duration = Duration::from_secs(5);

/// A ticket that expires within this time is not used any more.
const TICKET_MARGIN_MS: i64 = 5_000;

/// A connection that held this long was a good one: waits start small again.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// A relay that asks for more patience than this gets this much.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Somebody who was there before, and of whom the new relay does not know, stays on the roster for
/// this long: a relay that has just entered a meeting learns a moment later who is on the others.
const CONFIRM_WITHIN: Duration = Duration::from_secs(2);

/// Where the search for a relay stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing is searched: the connection there is will do.
    Settled,
    /// Asking for a ticket.
    Fetching { until: Timestamp },
    /// A connection is being opened.
    Connecting {
        endpoint: RelayEndpoint,
        plan: Plan,
        until: Timestamp,
    },
    /// Hello is sent.
    Greeting {
        endpoint: RelayEndpoint,
        plan: Plan,
        until: Timestamp,
        /// The tracks in Hello.
        announced: Vec<TrackInfo>,
    },
    /// Between two rounds.
    Waiting { until: Timestamp },
    /// Nothing happens any more.
    Ended,
}

/// What is known of the time since there was a good connection.
#[derive(Debug)]
pub(super) struct Outage {
    since: Timestamp,
    backoff: Backoff,
    /// The last failure, for people.
    reason: String,
    /// WebTransport was tried since the last Welcome, and failed with this.
    webtransport_failure: Option<String>,
    /// What the last relay that refused us has said in this round.
    refusal: Option<Closing>,
    /// A relay has had our Hello, and may have taken the session from the one before.
    greeted: bool,
}

impl Outage {
    pub(super) fn first(now: Timestamp) -> Self {
        Self {
            since: now,
            backoff: Backoff::default(),
            reason: String::new(),
            webtransport_failure: None,
            refusal: None,
            greeted: false,
        }
    }
}

impl ClientCore {
    /// The call is carried, or at least nobody has been told otherwise.
    pub(super) fn is_in(&self) -> bool {
        self.status.state == ConnectionState::Connected
    }

    /// A round begins with a fresh ticket, because relays and certificates change; the first one
    /// uses the ticket that is there.
    pub(super) fn start_round(&mut self, now: Timestamp) {
        self.outage.refusal = None;
        let first = self.session.is_none() && self.outage.backoff.failures() == 0;
        match self.usable_ticket(now) {
            Some(ticket) if first => self.start_plan(&ticket, now),
            _ => {
                self.outputs.push_back(Output::FetchTicket);
                let until = now + TICKET_TIMEOUT;
                self.phase = Phase::Fetching { until };
            }
        }
    }

    fn usable_ticket(&self, now: Timestamp) -> Option<JoinResponse> {
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let ticket = self.ticket.as_ref()?;
        (ticket.expires_at_ms.saturating_sub(TICKET_MARGIN_MS) > now_ms).then(|| ticket.clone())
    }

    pub(super) fn handle_ticket(&mut self, answer: Result<JoinResponse, TicketError>, now: Timestamp) {
        if !matches!(self.phase, Phase::Fetching { .. }) {
            return;
        }
        match answer {
            Ok(ticket) => {
                self.ticket = Some(ticket.clone());
                self.start_plan(&ticket, now);
            }
            Err(TicketError::Refused(message)) if !self.is_in() => {
                self.end(Closing::with_message(CloseCode::BadToken, message));
            }
            Err(error) => self.go_on_without_answer(error.to_string(), now),
        }
    }

    /// The relays may be up while the REST interface is not. More often both restart together, and
    /// then the ticket from before leads to a relay that is not there yet, and past WebTransport to
    /// WebSocket: so it is used in every third round only, unless the program brought it, or the
    /// call goes on and just needs another relay.
    fn go_on_without_answer(&mut self, reason: String, now: Timestamp) {
        self.outage.reason = reason;
        let turn = self.is_in() || self.config.ticket.is_some() || self.outage.backoff.failures() % 3 == 2;
        match self.usable_ticket(now).filter(|_| turn) {
            Some(ticket) => self.start_plan(&ticket, now),
            None => self.wait_for_next_round(now),
        }
    }

    fn start_plan(&mut self, ticket: &JoinResponse, now: Timestamp) {
        let plan = Plan::new(ticket, &self.config, &self.experience);
        if plan.is_empty() && !ticket.relays.is_empty() && !self.is_in() {
            let wanted = match self.config.transport {
                TransportPreference::WebSocket => "WebSocket",
                _ => "WebTransport",
            };
            let message = format!("The server offers no relay over {wanted}; allow the other one.");
            return self.end(Closing::with_message(CloseCode::ProtocolError, message));
        }
        if plan.is_empty() {
            self.outage.reason = "the server knows no relay at the moment".into();
        }
        self.try_next(plan, now);
    }

    fn try_next(&mut self, mut plan: Plan, now: Timestamp) {
        let Some((endpoint, budget)) = plan.next() else {
            return self.wait_for_next_round(now);
        };
        self.outputs.push_back(Output::Connect(endpoint.clone()));
        if !self.is_in() && self.status.transport != Some(endpoint.transport) {
            self.status.transport = Some(endpoint.transport);
            self.tell_status();
        }
        let until = now + budget;
        self.phase = Phase::Connecting {
            endpoint,
            plan,
            until,
        };
    }

    pub(super) fn handle_connected(&mut self) {
        let Phase::Connecting { .. } = self.phase else {
            return;
        };
        let Phase::Connecting {
            endpoint,
            plan,
            until,
        } = std::mem::replace(&mut self.phase, Phase::Settled)
        else {
            return;
        };
        let announced = self.publisher.descriptions();
        self.phase = Phase::Greeting {
            endpoint,
            plan,
            until,
            announced: announced.clone(),
        };
        self.outage.greeted = true;
        let hello = self.hello(announced);
        self.outputs.push_back(Output::Greet(hello));
    }

    fn hello(&self, tracks: Vec<TrackInfo>) -> Bytes {
        let token = self.ticket.as_ref().map(|ticket| ticket.token.clone());
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            token: token.unwrap_or_default(),
            capabilities: Capabilities {
                client: self.config.client_name.clone(),
                decodable_codecs: self.config.decodable_codecs.clone(),
                subscribe_automatically: self.config.subscribe_automatically && self.views.are_automatic(),
            },
            tracks,
            resume_token: self.resume_token.clone(),
        };
        ClientMessage::Hello(Box::new(hello)).encode()
    }

    pub(super) fn handle_connect_failed(&mut self, reason: String, now: Timestamp) {
        if matches!(self.phase, Phase::Connecting { .. }) {
            self.attempt_failed(reason, now);
        }
    }

    /// A connection is gone without a word.
    pub(super) fn handle_lost(&mut self, link: Link, reason: String, now: Timestamp) {
        match link {
            Link::Next if matches!(self.phase, Phase::Greeting { .. }) => self.attempt_failed(reason, now),
            Link::Current if self.online.is_some() => self.connection_lost(reason, now),
            _ => {}
        }
    }

    /// A relay has closed a connection, or refused the Hello.
    pub(super) fn handle_closing(&mut self, link: Link, closing: Closing, now: Timestamp) {
        match link {
            Link::Next if matches!(self.phase, Phase::Greeting { .. }) => self.handle_refusal(closing, now),
            Link::Current if self.online.is_some() => self.handle_closed(closing, now),
            _ => {}
        }
    }

    fn handle_refusal(&mut self, closing: Closing, now: Timestamp) {
        self.outputs.push_back(Output::GiveUp(closing.code));
        self.experience.heed(&closing.alternate_url, &self.config);
        if self.is_in() {
            // Whatever it is, the call goes on meanwhile.
            return self.attempt_failed(closing.message, now);
        }
        if self.refuses_token(closing.code) {
            self.forget_token();
            self.phase = Phase::Settled;
            return self.wait_for_next_round(now);
        }
        // A meeting that is full here may have room on another relay.
        if !closing.code.is_retryable() && closing.code != CloseCode::MeetingFull {
            return self.end(closing);
        }
        self.outage.refusal = Some(closing.clone());
        self.attempt_failed(closing.message, now);
    }

    fn handle_closed(&mut self, closing: Closing, now: Timestamp) {
        self.outputs.push_back(Output::Disconnect(closing.code));
        let moving = !matches!(self.phase, Phase::Settled) && self.outage.greeted;
        if closing.code == CloseCode::SessionReplaced && moving {
            return self.replaced_by_ourselves(closing.message, now);
        }
        let refused = self.refuses_token(closing.code);
        if !refused && !closing.code.is_retryable() {
            return self.end(closing);
        }
        if refused {
            self.forget_token();
        }
        if closing.code == CloseCode::Draining {
            self.avoid_current_relay();
        }
        self.experience.heed(&closing.alternate_url, &self.config);
        self.outage.refusal = Some(closing.clone());
        self.connection_lost(closing.message, now);
    }

    /// Another relay has taken the session.
    fn replaced_by_ourselves(&mut self, reason: String, now: Timestamp) {
        if matches!(self.phase, Phase::Greeting { .. }) {
            // Its Welcome is on its way.
            self.online = None;
        } else {
            self.connection_lost(reason, now);
        }
    }

    fn refuses_token(&self, code: CloseCode) -> bool {
        // A program's own token cannot be renewed.
        (code == CloseCode::TokenExpired && self.config.token.is_none())
            // A relay that has lost its keys knows no session of before.
            || (code == CloseCode::BadToken && !self.resume_token.is_empty())
    }

    fn forget_token(&mut self) {
        self.ticket = None;
        self.resume_token.clear();
    }

    fn attempt_failed(&mut self, reason: String, now: Timestamp) {
        let (Phase::Connecting { endpoint, plan, .. } | Phase::Greeting { endpoint, plan, .. }) =
            std::mem::replace(&mut self.phase, Phase::Settled)
        else {
            return;
        };
        if endpoint.transport == TransportKind::WebTransport && self.outage.refusal.is_none() {
            self.outage.webtransport_failure = Some(reason.clone());
        }
        self.outage.reason = format!("{}: {reason}", endpoint.url);
        if self.is_in() && self.online.is_none() {
            // It had taken the session and is gone with it.
            self.note_outage(reason, STABLE_AFTER, now);
        }
        self.try_next(plan, now);
    }

    /// Leaves the meeting's connection behind, not the meeting.
    pub(super) fn connection_lost(&mut self, reason: String, now: Timestamp) {
        let Some(online) = self.online.take() else {
            return;
        };
        self.note_outage(reason, now.since(online.since()), now);
        // A search that runs already goes on.
        if matches!(self.phase, Phase::Settled) {
            self.wait_for_next_round(now);
        }
    }

    fn note_outage(&mut self, reason: String, held_for: Duration, now: Timestamp) {
        let backoff = if held_for > STABLE_AFTER {
            Backoff::default()
        } else {
            std::mem::take(&mut self.outage.backoff)
        };
        self.outage = Outage {
            backoff,
            reason,
            refusal: self.outage.refusal.take(),
            ..Outage::first(now)
        };
        self.queue.clear();
        self.publisher.disconnected();
        self.quality.disconnected();
        self.status.state = ConnectionState::Reconnecting;
        self.status.rtt = None;
        self.tell_status();
    }

    /// Waits, at least as long as a relay has asked for, unless it has lasted too long already.
    fn wait_for_next_round(&mut self, now: Timestamp) {
        let patience = if self.session.is_none() {
            self.config.give_up_connecting_after
        } else {
            self.config.give_up_reconnecting_after
        };
        let refusal = self.outage.refusal.take();
        if !self.is_in() {
            let is_final =
                |closing: &Closing| !closing.code.is_retryable() && !self.refuses_token(closing.code);
            let lasted = now.since(self.outage.since);
            if lasted >= patience || refusal.as_ref().is_some_and(is_final) {
                return self.give_up(refusal);
            }
        }
        // After a full round nothing speaks for or against what is known from before.
        if self.outage.backoff.failures() > 0 {
            self.experience.last_transport = None;
            self.experience.avoided = None;
        }
        let asked = refusal.as_ref().map_or(0, |closing| closing.retry_after_ms);
        let asked = Duration::from_millis(asked.into()).min(LONGEST_RETRY_AFTER);
        self.tell_refusal(refusal.map(|closing| closing.code));
        let wait = self.outage.backoff.next(self.outage.since, now, &mut self.random);
        let until = now + wait.max(asked);
        self.phase = Phase::Waiting { until };
    }

    fn tell_refusal(&mut self, code: Option<CloseCode>) {
        let refused = code.filter(|_| !self.is_in());
        if self.status.refused != refused {
            self.status.refused = refused;
            self.tell_status();
        }
    }

    /// A server that says no is not one that cannot be reached.
    fn give_up(&mut self, refusal: Option<Closing>) {
        let closing = refusal.unwrap_or_else(|| {
            let message = format!(
                "The server at {} cannot be reached ({}); check the address and the network.",
                self.config.server_url, self.outage.reason
            );
            Closing::with_message(CloseCode::LivenessTimeout, message)
        });
        self.end(closing);
    }

    /// What the passing of time means for the search.
    pub(super) fn handle_connecting_time(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Fetching { until } if until <= now => {
                self.outputs.push_back(Output::GiveUp(CloseCode::LivenessTimeout));
                self.go_on_without_answer("the server did not answer".into(), now);
            }
            Phase::Connecting { until, .. } | Phase::Greeting { until, .. } if until <= now => {
                self.outputs.push_back(Output::GiveUp(CloseCode::LivenessTimeout));
                self.attempt_failed("no answer in time".into(), now);
            }
            Phase::Waiting { until } if until <= now => self.start_round(now),
            _ => {}
        }
    }

    /// When [`ClientCore::handle_connecting_time`] has something to do.
    pub(super) fn connecting_wake(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Fetching { until }
            | Phase::Connecting { until, .. }
            | Phase::Greeting { until, .. }
            | Phase::Waiting { until } => Some(*until),
            Phase::Settled | Phase::Ended => None,
        }
    }

    /// The first message on a connection has to be the answer to Hello.
    pub(super) fn handle_greeting(&mut self, message: ServerMessage, now: Timestamp) {
        match message {
            ServerMessage::Welcome(welcome) => self.handle_welcome(*welcome, now),
            ServerMessage::Closing(closing) => self.handle_closing(Link::Next, closing, now),
            _ => {}
        }
    }

    fn handle_welcome(&mut self, welcome: Welcome, now: Timestamp) {
        let Phase::Greeting { .. } = self.phase else {
            return;
        };
        let Phase::Greeting {
            endpoint, announced, ..
        } = std::mem::replace(&mut self.phase, Phase::Settled)
        else {
            return;
        };
        self.outputs.push_back(Output::Switch);
        let again = self.session.is_some();
        let moved = self.is_in();
        self.queue.switch(moved && self.session == Some(welcome.session));
        self.publisher.welcomed(&announced);
        self.quality.connected(now);
        self.online = Some(Online::new(welcome.limits, endpoint.url.clone(), now));
        self.session = Some(welcome.session);
        self.resume_token = welcome.resume_token;
        self.stats.reconnects += u32::from(again && !moved);
        self.stats.moves += u32::from(moved);
        self.timing.joined(&welcome.participants, now);
        let confirm_until = again.then_some(now + CONFIRM_WITHIN);
        self.roster
            .replace(welcome.session, welcome.participants, confirm_until);
        self.receiver.reconcile(&self.roster);
        self.views.retain(|track| self.roster.has(track.session));
        self.views.start_over(now);
        self.status.state = ConnectionState::Connected;
        self.status.refused = None;
        self.status.transport = Some(endpoint.transport);
        self.status.notice = self.fallback_notice(endpoint.transport);
        self.experience.arrived(endpoint);
        self.tell_status();
        self.tell(Event::Joined {
            session: welcome.session,
            resumed: welcome.resumed,
            participants: self.roster.participants(),
        });
        for track in welcome.accepted_tracks {
            self.track_accepted(track);
        }
        self.all_layers_wanted();
        self.take_early_frames(now);
    }

    fn fallback_notice(&mut self, transport: TransportKind) -> Option<String> {
        if transport == TransportKind::WebTransport {
            return None;
        }
        match &self.outage.webtransport_failure {
            Some(reason) => Some(format!(
                "WebTransport does not get through here ({reason}); the call runs over WebSocket."
            )),
            // Still the same fallback when WebSocket was tried first this time.
            None => self.status.notice.take(),
        }
    }

    /// The end of everything.
    pub(super) fn end(&mut self, closing: Closing) {
        let searching = !matches!(self.phase, Phase::Settled | Phase::Waiting { .. } | Phase::Ended);
        self.phase = Phase::Ended;
        if searching {
            self.outputs.push_back(Output::GiveUp(CloseCode::Left));
        }
        if self.online.take().is_some() {
            self.outputs.push_back(Output::Disconnect(CloseCode::Left));
        }
        self.status.state = ConnectionState::Failed;
        self.tell_status();
        self.tell(Event::Closed(closing));
    }
}
