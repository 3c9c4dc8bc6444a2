//! From a ticket to a Welcome, and back again when the connection is lost.

use std::time::Duration;

use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::limits::PROTOCOL_VERSION;
use videocall_types::{
    Capabilities, ClientMessage, CloseCode, Closing, Hello, ServerMessage, Timestamp, Welcome,
};

use super::ClientCore;
use super::online::Online;
use super::plan::{Backoff, Plan};
use super::types::{ConnectionState, Event, Output, TicketError};
use crate::config::TransportPreference;

/// The REST interface answers within milliseconds; a person does not wait longer for a connection.
const TICKET_TIMEOUT: Duration = Duration::from_secs(5);

/// A ticket that expires within this time is not used any more.
const TICKET_MARGIN_MS: i64 = 5_000;

/// A connection that held this long was a good one: waits start small again.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Where the client stands.
#[derive(Debug)]
pub(super) enum Phase {
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
    },
    /// In the meeting.
    Online(Online),
    /// Between two rounds.
    Waiting { until: Timestamp },
    /// Nothing happens any more.
    Ended,
}

/// What is known of the time without a connection.
#[derive(Debug)]
pub(super) struct Outage {
    since: Timestamp,
    backoff: Backoff,
    /// The last failure, for people.
    reason: String,
    /// WebTransport was tried since the last Welcome, and failed with this.
    webtransport_failure: Option<String>,
}

impl Outage {
    pub(super) fn first(now: Timestamp) -> Self {
        Self {
            since: now,
            backoff: Backoff::default(),
            reason: String::new(),
            webtransport_failure: None,
        }
    }
}

impl ClientCore {
    /// A round begins with a fresh ticket, because relays and certificates change; the first one
    /// uses the ticket that is there.
    pub(super) fn start_round(&mut self, now: Timestamp) {
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
            Err(TicketError::Refused(message)) => {
                self.end(Closing::with_message(CloseCode::BadToken, message));
            }
            Err(TicketError::Unavailable(reason)) => self.go_on_without_answer(reason, now),
        }
    }

    /// The relays may be up while the REST interface is not. More often both restart together, and
    /// then the ticket from before leads to a relay that is not there yet, and past WebTransport to
    /// WebSocket: so it is used in every third round only, unless the program brought it.
    fn go_on_without_answer(&mut self, reason: String, now: Timestamp) {
        self.outage.reason = reason;
        let turn = self.config.ticket.is_some() || self.outage.backoff.failures() % 3 == 2;
        match self.usable_ticket(now).filter(|_| turn) {
            Some(ticket) => self.start_plan(&ticket, now),
            None => self.wait_for_next_round(Duration::ZERO, now),
        }
    }

    fn start_plan(&mut self, ticket: &JoinResponse, now: Timestamp) {
        let plan = Plan::new(ticket, &self.config, &self.experience);
        if plan.is_empty() && !ticket.relays.is_empty() {
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
            return self.wait_for_next_round(Duration::ZERO, now);
        };
        self.queue.clear();
        self.outputs.push_back(Output::Connect(endpoint.clone()));
        if self.status.transport != Some(endpoint.transport) {
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

    pub(super) fn handle_connected(&mut self, now: Timestamp) {
        let Phase::Connecting { .. } = self.phase else {
            return;
        };
        let Phase::Connecting {
            endpoint,
            plan,
            until,
        } = std::mem::replace(&mut self.phase, Phase::Ended)
        else {
            return;
        };
        self.phase = Phase::Greeting {
            endpoint,
            plan,
            until,
        };
        let token = self.ticket.as_ref().map(|ticket| ticket.token.clone());
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            token: token.unwrap_or_default(),
            capabilities: Capabilities {
                client: self.config.client_name.clone(),
                decodable_codecs: self.config.decodable_codecs.clone(),
                subscribe_automatically: self.config.subscribe_automatically && self.interest.is_none(),
            },
            tracks: self.publisher.announce_all(),
            resume_token: self.resume_token.clone(),
        };
        self.send_control(ClientMessage::Hello(Box::new(hello)), now);
    }

    pub(super) fn handle_connect_failed(&mut self, reason: String, now: Timestamp) {
        if matches!(self.phase, Phase::Connecting { .. }) {
            self.attempt_failed(reason, now);
        }
    }

    /// The connection is gone without a word.
    pub(super) fn handle_lost(&mut self, reason: String, now: Timestamp) {
        match self.phase {
            Phase::Greeting { .. } => self.attempt_failed(reason, now),
            Phase::Online(_) => {
                self.connection_lost(reason, now);
                self.wait_for_next_round(Duration::ZERO, now);
            }
            _ => {}
        }
    }

    /// The relay has closed the connection, or refused the Hello.
    pub(super) fn handle_closing(&mut self, closing: Closing, now: Timestamp) {
        let greeting = match self.phase {
            Phase::Greeting { .. } => true,
            Phase::Online(_) => false,
            _ => return,
        };
        self.outputs.push_back(Output::Disconnect(closing.code));
        let refused_token = matches!(closing.code, CloseCode::TokenExpired)
            // A relay that has lost its keys knows no session of before.
            || (closing.code == CloseCode::BadToken && !self.resume_token.is_empty());
        if !refused_token && !closing.code.is_retryable() {
            return self.end(closing);
        }
        if refused_token {
            self.ticket = None;
            self.resume_token.clear();
        }
        if !closing.alternate_url.is_empty() {
            self.experience.advised = Some(closing.alternate_url);
        }
        if greeting && !refused_token {
            return self.attempt_failed(closing.message, now);
        }
        if !greeting {
            self.connection_lost(closing.message, now);
        }
        let wait = Duration::from_millis(closing.retry_after_ms.into());
        self.wait_for_next_round(wait, now);
    }

    fn attempt_failed(&mut self, reason: String, now: Timestamp) {
        let (Phase::Connecting { endpoint, plan, .. } | Phase::Greeting { endpoint, plan, .. }) =
            std::mem::replace(&mut self.phase, Phase::Ended)
        else {
            return;
        };
        if endpoint.transport == TransportKind::WebTransport {
            self.outage.webtransport_failure = Some(reason.clone());
        }
        self.outage.reason = format!("{}: {reason}", endpoint.url);
        self.publisher.disconnected();
        self.try_next(plan, now);
    }

    /// Leaves the meeting's connection behind, not the meeting.
    pub(super) fn connection_lost(&mut self, reason: String, now: Timestamp) {
        let Phase::Online(online) = &self.phase else {
            return;
        };
        let stable = now.since(online.since()) > STABLE_AFTER;
        let backoff = if stable {
            Backoff::default()
        } else {
            std::mem::take(&mut self.outage.backoff)
        };
        self.outage = Outage {
            backoff,
            reason,
            ..Outage::first(now)
        };
        self.queue.clear();
        self.publisher.disconnected();
        self.status.state = ConnectionState::Reconnecting;
        self.status.rtt = None;
        self.tell_status();
    }

    /// Waits, at least as long as told, unless it has lasted too long already.
    pub(super) fn wait_for_next_round(&mut self, at_least: Duration, now: Timestamp) {
        let patience = if self.session.is_none() {
            self.config.give_up_connecting_after
        } else {
            self.config.give_up_reconnecting_after
        };
        if now.since(self.outage.since) >= patience {
            let message = format!(
                "The server at {} cannot be reached ({}); check the address and the network.",
                self.config.server_url, self.outage.reason
            );
            return self.end(Closing::with_message(CloseCode::LivenessTimeout, message));
        }
        // After a full round nothing speaks for the carrier that worked last.
        if self.outage.backoff.failures() > 0 {
            self.experience.last_transport = None;
        }
        let wait = self.outage.backoff.next(self.outage.since, now, &mut self.random);
        let until = now + wait.max(at_least);
        self.phase = Phase::Waiting { until };
    }

    /// What the passing of time means while not in the meeting.
    pub(super) fn handle_connecting_time(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Fetching { until } if until <= now => {
                self.outputs
                    .push_back(Output::Disconnect(CloseCode::LivenessTimeout));
                self.go_on_without_answer("the server did not answer".into(), now);
            }
            Phase::Connecting { until, .. } | Phase::Greeting { until, .. } if until <= now => {
                self.outputs
                    .push_back(Output::Disconnect(CloseCode::LivenessTimeout));
                self.attempt_failed("no answer in time".into(), now);
            }
            Phase::Waiting { until } if until <= now => self.start_round(now),
            _ => {}
        }
    }

    pub(super) fn handle_welcome(&mut self, welcome: Welcome, now: Timestamp) {
        let Phase::Greeting { .. } = self.phase else {
            return;
        };
        let Phase::Greeting { endpoint, .. } = std::mem::replace(&mut self.phase, Phase::Ended) else {
            return;
        };
        let again = self.session.is_some();
        let subscribe = self.interest.is_some();
        self.phase = Phase::Online(Online::new(welcome.limits, subscribe, now));
        self.session = Some(welcome.session);
        self.resume_token = welcome.resume_token;
        self.stats.reconnects += u32::from(again);
        self.roster.replace(welcome.session, welcome.participants);
        self.receiver.reconcile(&self.roster);
        self.status.state = ConnectionState::Connected;
        self.status.transport = Some(endpoint.transport);
        self.status.notice = self.fallback_notice(endpoint.transport);
        self.experience.last_good = Some(endpoint.url);
        self.experience.last_transport = Some(endpoint.transport);
        self.experience.advised = None;
        self.tell_status();
        self.tell(Event::Joined {
            session: welcome.session,
            resumed: welcome.resumed,
            participants: self.roster.participants(),
        });
        for track in welcome.accepted_tracks {
            self.track_accepted(track);
        }
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

    /// The first message on a connection has to be the answer to Hello.
    pub(super) fn handle_greeting(&mut self, message: ServerMessage, now: Timestamp) {
        match message {
            ServerMessage::Welcome(welcome) => self.handle_welcome(*welcome, now),
            ServerMessage::Closing(closing) => self.handle_closing(closing, now),
            _ => {}
        }
    }

    /// The end of everything.
    pub(super) fn end(&mut self, closing: Closing) {
        let open = !matches!(self.phase, Phase::Waiting { .. } | Phase::Ended);
        self.phase = Phase::Ended;
        if open {
            self.outputs.push_back(Output::Disconnect(CloseCode::Left));
        }
        self.status.state = ConnectionState::Failed;
        self.tell_status();
        self.tell(Event::Closed(closing));
    }
}
