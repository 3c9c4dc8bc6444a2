//! Coming, coming back, and going.

use std::sync::Arc;

use rand::RngExt;
use videocall_types::{
    CloseCode, Closing, Interest, Participant, RelayChange, ServerMessage, SessionId, Timestamp, VideoCodecs,
    Welcome,
};

use super::{Choice, Departure, JoinRequest, LocalMember, Meeting, State};
use crate::member::Member;

impl Meeting {
    /// Lets somebody in. The Welcome, with a token made by `resume_token`, is the first item of the
    /// member's outbox; the newest keyframes of what it receives follow.
    ///
    /// # Errors
    /// A refusal to be sent to the client: the meeting is full, the relay drains, or the tracks
    /// break a limit.
    pub fn join(
        &self,
        request: JoinRequest,
        resume_token: &dyn Fn(SessionId) -> String,
        now: Timestamp,
    ) -> Result<Arc<Member>, Closing> {
        let mut state = self.state.lock();
        self.check_join(&state, &request)?;

        let session = match request.resume {
            Some(session) => session,
            None => state.new_session(),
        };
        let before = state.participant(session).cloned();
        // A resume token opens its owner's session only, whoever presents it.
        if before
            .as_ref()
            .is_some_and(|known| known.user_id != request.user_id)
        {
            return Err(Closing::new(CloseCode::BadToken));
        }
        let member = Member::new(session, &self.settings, now);
        let participant = Participant {
            session,
            user_id: request.user_id,
            display_name: request.display_name,
            tracks: request.hello.tracks,
            established_at_ms: now.as_millis(),
            decodes: VideoCodecs::of_strings(&request.hello.capabilities.decodable_codecs),
        };
        let interest = if request.hello.capabilities.subscribe_automatically {
            Interest::Everything
        } else {
            Interest::NOTHING
        };
        let local = LocalMember {
            member: member.clone(),
            participant: participant.clone(),
            choice: Choice::from(interest),
            subscriptions: Default::default(),
            news_seen: state.news.count(),
            lost_until: None,
        };
        self.replace(&mut state, session, local, now);
        let welcome = self.welcome(&state, &participant, before.is_some(), resume_token(session), now);
        self.send(&member, ServerMessage::Welcome(Box::new(welcome)).encode(), now);

        self.sync_tracks(&mut state, &[session], now);
        self.announce(&mut state, vec![(session, before)], now);
        self.publish_change(&mut state, RelayChange::Participant(participant), now);
        self.sync_subscriptions(&mut state, session, now);
        self.greet_with_speakers(&state, &member, now);
        self.publish_interest(&mut state, now);
        Ok(member)
    }

    /// Puts a member in its place, and whoever was there before out of it.
    fn replace(&self, state: &mut State, session: SessionId, local: LocalMember, now: Timestamp) {
        // Nor after it has been elsewhere.
        Self::forget_what_was_told(state, session);
        let Some(mut old) = state.members.insert(session, local) else {
            return;
        };
        self.unsubscribe(state, &mut old, now);
        if old.is_connected() {
            state.departed.add(&old.member.outbox.stats());
        }
        old.member.close(Closing::new(CloseCode::SessionReplaced), now);
        old.member.tracks.store(Arc::default());
    }

    fn check_join(&self, state: &State, request: &JoinRequest) -> Result<(), Closing> {
        if let Some(refusal) = &state.draining {
            return Err(refusal.clone());
        }
        let resumes_here = request
            .resume
            .is_some_and(|session| state.members.contains_key(&session));
        if state.members.len() >= self.settings.max_sessions && !resumes_here {
            return Err(Closing::new(CloseCode::MeetingFull));
        }
        let tracks = &request.hello.tracks;
        if tracks.len() > self.settings.limits.max_tracks as usize {
            return Err(Closing::new(CloseCode::TooManyTracks));
        }
        let repeated = |index: usize| tracks[..index].iter().any(|t| t.track == tracks[index].track);
        if (0..tracks.len()).any(repeated) {
            return Err(Closing::with_message(
                CloseCode::ProtocolError,
                "A Hello announces the same track twice.",
            ));
        }
        Ok(())
    }

    fn welcome(
        &self,
        state: &State,
        own: &Participant,
        resumed: bool,
        resume_token: String,
        now: Timestamp,
    ) -> Welcome {
        let others = state.participants().into_iter();
        Welcome {
            session: own.session,
            resume_token,
            relay_id: self.settings.relay.to_string(),
            limits: self.settings.limits,
            participants: others.filter(|p| p.session != own.session).cloned().collect(),
            resumed,
            server_time_ms: now.as_millis(),
            accepted_tracks: own.tracks.iter().map(|info| info.track).collect(),
        }
    }

    /// Ends a connection. Does nothing when the session goes on over another one.
    pub fn depart(&self, member: &Arc<Member>, how: Departure, now: Timestamp) {
        let mut state = self.state.lock();
        let grace = std::time::Duration::from_millis(self.settings.limits.resume_grace_ms.into());
        let Some(local) = state.current(member) else {
            member.outbox.shut();
            return;
        };
        match how {
            Departure::Left => self.remove(&mut state, member.session(), now),
            Departure::Lost => {
                local.lost_until = Some(now + grace);
                let stats = member.outbox.stats();
                state.departed.add(&stats);
                self.sync_subscriptions(&mut state, member.session(), now);
                self.publish_interest(&mut state, now);
            }
        }
        member.outbox.shut();
        member.tracks.store(Arc::default());
    }

    /// Takes a local session out of the meeting and tells everybody.
    pub(super) fn remove(&self, state: &mut State, session: SessionId, now: Timestamp) {
        let before = state.participant(session).cloned();
        let Some(mut local) = state.members.remove(&session) else {
            return;
        };
        if local.is_connected() {
            state.departed.add(&local.member.outbox.stats());
        }
        self.unsubscribe(state, &mut local, now);
        self.sync_audience(state);
        self.sync_tracks(state, &[session], now);
        self.announce(state, vec![(session, before)], now);
        self.publish_change(state, RelayChange::Left(session), now);
        self.publish_interest(state, now);
    }
}

impl State {
    fn new_session(&mut self) -> SessionId {
        loop {
            let candidate = SessionId::new(self.rng.random());
            match candidate {
                Some(session) if self.participant(session).is_none() => return session,
                _ => {}
            }
        }
    }
}
