//! Tokens that are good no more before they expire: those of a person in a meeting, or of a whole
//! meeting, that were made before a moment.
//!
//! A list of single tokens would need whoever revokes one to have it; a person's name and a time cover
//! all of that person's tokens, for entering and for resuming. New ones that the REST interface gives
//! out are good: whom to give one is its decision.
//!
//! Every relay has the whole list, in memory. Relays tell one another what is new, and everything
//! when they meet again. When all of them have stopped, a revoked token is good again until it expires.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt as _;
use parking_lot::RwLock;
use relay_core::BusMessage;
use relay_core::subject::REVOCATIONS;
use serde::{Deserialize, Serialize};
use videocall_types::token::Claims;
use videocall_types::{CloseCode, Closing, MediaClass, MeetingId, Participant, RelayId, UserName};

use crate::token::{TokenError, unix_seconds};
use crate::{Bus, Relay};

/// Revocations remembered: about 2 MB. Beyond, the oldest is forgotten, and every token that is no
/// younger counts as expired.
const MAX_REVOCATIONS: usize = 10_000;

/// Revocations in one message to other relays: well within what a bus carries.
const BATCH: usize = 500;

/// Whose tokens are to be taken out of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// In which meeting.
    pub meeting: MeetingId,
    /// Whose; everybody's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
}

/// Tokens that are good no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Revocation {
    meeting: MeetingId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserName>,
    /// Those made no later than this, seconds since the Unix epoch.
    before: u64,
}

impl Revocation {
    fn concerns(&self, participant: &Participant) -> bool {
        self.user.as_ref().is_none_or(|user| *user == participant.user_id)
    }

    fn closing(&self) -> Closing {
        Closing::new(match self.user {
            Some(_) => CloseCode::Removed,
            None => CloseCode::MeetingEnded,
        })
    }
}

/// What is revoked.
#[derive(Debug, Default)]
pub(crate) struct Revocations(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    entries: HashMap<(MeetingId, Option<UserName>), u64>,
    /// Every token that is no younger counts as expired.
    floor: u64,
}

impl Revocations {
    /// Whether the token with these claims is still good.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn check(&self, claims: &Claims) -> Result<(), TokenError> {
        let state = self.0.read();
        if claims.iat <= state.floor && state.floor > 0 {
            return Err(TokenError::Expired);
        }
        if state.entries.is_empty() {
            return Ok(());
        }
        let of = |user| state.entries.get(&(claims.meeting.clone(), user));
        let last = of(None).max(of(Some(claims.sub.clone())));
        match last {
            Some(before) if claims.iat <= *before => Err(TokenError::Revoked),
            _ => Ok(()),
        }
    }

    /// Takes note of one; `false` when that is known already.
    fn add(&self, revocation: &Revocation) -> bool {
        let mut state = self.0.write();
        let key = (revocation.meeting.clone(), revocation.user.clone());
        let known = state.entries.get(&key).copied().unwrap_or_default();
        if revocation.before <= known.max(state.floor) {
            return false;
        }
        state.entries.insert(key, revocation.before);
        if state.entries.len() > MAX_REVOCATIONS {
            state.forget_oldest();
        }
        true
    }

    fn all(&self) -> Vec<Revocation> {
        let state = self.0.read();
        let revocation = |((meeting, user), before): (&(MeetingId, Option<UserName>), &u64)| Revocation {
            meeting: meeting.clone(),
            user: user.clone(),
            before: *before,
        };
        state.entries.iter().map(revocation).collect()
    }
}

impl State {
    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.entries.values().min().copied() {
            self.floor = self.floor.max(oldest);
            self.entries.retain(|_, before| *before > oldest);
        }
    }
}

/// What relays tell one another.
#[derive(Debug, Serialize, Deserialize)]
struct News {
    relay: RelayId,
    revoked: Vec<Revocation>,
    /// The others shall tell all they know.
    asks: bool,
}

impl Relay {
    /// Takes tokens out of use, here and on all relays that can be reached, and ends the sessions that
    /// were entered with them. Returns how many of these were here.
    pub fn revoke(&self, revoke: Revoke) -> usize {
        let revocation = Revocation {
            meeting: revoke.meeting,
            user: revoke.user,
            before: unix_seconds(),
        };
        let closed = self.carry_out(&revocation);
        if let Some(bus) = self.bus() {
            self.tell(&**bus, vec![revocation], false);
        }
        closed
    }

    fn carry_out(&self, revocation: &Revocation) -> usize {
        if !self.tokens().revocations().add(revocation) {
            return 0;
        }
        let Some(room) = self.room(&revocation.meeting) else {
            return 0;
        };
        let concerns = |participant: &Participant| revocation.concerns(participant);
        let closed = room
            .meeting()
            .close_where(&concerns, &revocation.closing(), self.clock().now());
        room.poke();
        tracing::info!(meeting = %revocation.meeting, user = ?revocation.user, closed, "tokens revoked");
        closed
    }

    fn tell(&self, bus: &dyn Bus, revoked: Vec<Revocation>, asks: bool) {
        let news = News {
            relay: self.id().clone(),
            revoked,
            asks,
        };
        let packet = serde_json::to_vec(&news).unwrap_or_default();
        bus.publish(BusMessage {
            subject: REVOCATIONS.to_owned(),
            packet: packet.into(),
            class: MediaClass::Control,
        });
    }

    fn tell_all(&self, bus: &dyn Bus, asks: bool) {
        let all = self.tokens().revocations().all();
        for batch in all.chunks(BATCH) {
            self.tell(bus, batch.to_vec(), false);
        }
        if asks {
            self.tell(bus, Vec::new(), true);
        }
    }

    fn hear_revocations(&self, bus: &dyn Bus, packet: &[u8]) {
        let Ok(news) = serde_json::from_slice::<News>(packet) else {
            tracing::debug!("news of revoked tokens cannot be read");
            return;
        };
        if news.relay == *self.id() {
            return;
        }
        for revocation in news.revoked.iter().take(BATCH) {
            self.carry_out(revocation);
        }
        if news.asks {
            self.tell_all(bus, false);
        }
    }
}

/// Hears what other relays revoke, as long as the relay runs, and evens out what was missed whenever
/// the bus is there again.
pub(crate) async fn keep(relay: Arc<Relay>) {
    let Some(bus) = relay.bus().cloned() else {
        return;
    };
    let mut reachable = bus.reachable();
    let mut heard = bus.subscribe(REVOCATIONS.to_owned());
    let mut told = false;
    loop {
        tokio::select! {
            // The subscription comes first, so that it is there before the question is asked.
            biased;
            packet = heard.next() => match packet {
                Some(packet) => relay.hear_revocations(&*bus, &packet),
                None => heard = bus.subscribe(REVOCATIONS.to_owned()),
            },
            Ok(()) = reachable.changed() => told = false,
            () = std::future::ready(()), if !told && *reachable.borrow() => {
                relay.tell_all(&*bus, true);
                told = true;
            }
            () = relay.drained() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use videocall_types::token::TokenUse;

    fn claims(meeting: &str, user: &str, iat: u64) -> Claims {
        Claims {
            sub: user.parse().expect("a name"),
            name: user.to_owned(),
            meeting: meeting.parse().expect("an id"),
            token_use: TokenUse::Join,
            session: None,
            exp: u64::MAX,
            iat,
            jti: String::new(),
        }
    }

    fn revocation(meeting: &str, user: Option<&str>, before: u64) -> Revocation {
        Revocation {
            meeting: meeting.parse().expect("an id"),
            user: user.map(|user| user.parse().expect("a name")),
            before,
        }
    }

    #[test]
    fn a_persons_older_tokens_are_revoked_and_nobody_elses() {
        let list = Revocations::default();
        assert!(list.add(&revocation("demo", Some("mallory"), 100)));
        assert!(
            !list.add(&revocation("demo", Some("mallory"), 90)),
            "that is known"
        );
        let good = |meeting, user, iat| list.check(&claims(meeting, user, iat));
        assert_eq!(good("demo", "mallory", 100), Err(TokenError::Revoked));
        assert_eq!(good("demo", "mallory", 0), Err(TokenError::Revoked));
        assert_eq!(good("demo", "mallory", 101), Ok(()));
        assert_eq!(good("demo", "alice", 50), Ok(()));
        assert_eq!(good("other", "mallory", 50), Ok(()));
        assert!(list.add(&revocation("demo", None, 60)));
        assert_eq!(good("demo", "alice", 50), Err(TokenError::Revoked));
        assert_eq!(good("demo", "alice", 61), Ok(()));
    }

    #[test]
    fn a_full_list_never_makes_a_revoked_token_good() {
        let list = Revocations::default();
        for number in 0..=MAX_REVOCATIONS {
            list.add(&revocation(
                "demo",
                Some(&format!("user-{number}")),
                1000 + number as u64,
            ));
        }
        assert_eq!(list.all().len(), MAX_REVOCATIONS);
        let good = |user, iat| list.check(&claims("demo", user, iat));
        assert_eq!(good("user-0", 1000), Err(TokenError::Expired));
        assert_eq!(good("user-0", 1001), Ok(()));
        assert_eq!(good("user-1", 1001), Err(TokenError::Revoked));
        assert!(
            !list.add(&revocation("demo", Some("user-0"), 1000)),
            "the floor covers it"
        );
    }
}
