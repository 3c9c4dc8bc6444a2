//! What a member says on its control channel.

use std::sync::Arc;

use videocall_types::{
    ClientMessage, CloseCode, Closing, Interest, RelayChange, ServerMessage, Timestamp, TrackId, TrackInfo,
};

use super::{Choice, Meeting};
use crate::member::Member;

impl Meeting {
    /// Carries out a member's message.
    ///
    /// # Errors
    /// What the connection has to be closed with. Leave is one of them, with
    /// [`CloseCode::Left`].
    pub fn control(
        &self,
        member: &Arc<Member>,
        message: ClientMessage,
        now: Timestamp,
    ) -> Result<(), Closing> {
        match message {
            ClientMessage::Hello(_) => Err(Closing::with_message(
                CloseCode::ProtocolError,
                "Hello may be said once only.",
            )),
            ClientMessage::Ping { sent_at_us, .. } => {
                let server_time_ms = now.as_millis();
                let pong = ServerMessage::Pong {
                    sent_at_us,
                    server_time_ms,
                };
                self.send(member, pong.encode(), now);
                Ok(())
            }
            ClientMessage::PublishTrack(info) => self.publish_track(member, info, now),
            ClientMessage::UnpublishTrack(track) => {
                self.change_tracks(member, now, |tracks| tracks.retain(|t| t.track != track));
                Ok(())
            }
            ClientMessage::Subscribe(interest) => {
                self.subscribe(member, interest, now);
                Ok(())
            }
            ClientMessage::RequestKeyframe { track, spatial } => {
                if track.session != member.session() {
                    self.request_keyframe(track, spatial, now);
                }
                Ok(())
            }
            ClientMessage::Leave => Err(Closing::new(CloseCode::Left)),
            ClientMessage::Report(_) | ClientMessage::Unknown => Ok(()),
        }
    }

    fn publish_track(&self, member: &Arc<Member>, info: TrackInfo, now: Timestamp) -> Result<(), Closing> {
        let id = info.track;
        let max_tracks = self.settings.limits.max_tracks as usize;
        let mut refusal = None;
        self.change_tracks(member, now, |tracks| {
            let full = tracks.len() >= max_tracks;
            match tracks.iter_mut().find(|known| known.track == id) {
                Some(known) if known.kind != info.kind => {
                    refusal = Some(Closing::with_message(
                        CloseCode::ProtocolError,
                        "A track cannot change its kind; publish another one.",
                    ));
                }
                Some(known) => *known = info,
                None if full => {
                    refusal = Some(Closing::new(CloseCode::TooManyTracks));
                }
                None => tracks.push(info),
            }
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        self.send(member, ServerMessage::TrackAccepted(TrackId(id.0)).encode(), now);
        Ok(())
    }

    /// Changes a member's tracks and tells everybody whom it concerns.
    fn change_tracks(&self, member: &Arc<Member>, now: Timestamp, change: impl FnOnce(&mut Vec<TrackInfo>)) {
        let mut state = self.state.lock();
        let before = state.participant(member.session()).cloned();
        let Some(local) = state.current(member) else {
            return;
        };
        change(&mut local.participant.tracks);
        let participant = local.participant.clone();
        if before.as_ref() == Some(&participant) {
            return;
        }
        let session = member.session();
        self.sync_tracks(&mut state, &[session], now);
        self.announce(&mut state, vec![(session, before)], now);
        self.publish_change(&mut state, RelayChange::Participant(participant), now);
        self.publish_interest(&mut state, now);
    }

    fn subscribe(&self, member: &Arc<Member>, interest: Interest, now: Timestamp) {
        let mut state = self.state.lock();
        let Some(local) = state.current(member) else {
            return;
        };
        local.choice = Choice::from(interest);
        self.sync_subscriptions(&mut state, member.session(), now);
        self.publish_interest(&mut state, now);
    }
}
