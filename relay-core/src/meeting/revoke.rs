//! Sessions that end because what they were entered with is good no more.

use videocall_types::{Closing, Participant, SessionId, Timestamp};

use super::Meeting;

impl Meeting {
    /// Closes the connections of everybody here whom this concerns, and takes the sessions out whose
    /// connection is lost, so that they cannot be resumed. Returns how many there were.
    pub fn close_where(
        &self,
        concerns: &dyn Fn(&Participant) -> bool,
        closing: &Closing,
        now: Timestamp,
    ) -> usize {
        let mut state = self.state.lock();
        let concerned = state
            .members
            .values()
            .filter(|local| concerns(&local.participant));
        let (connected, lost): (Vec<_>, Vec<_>) = concerned.partition(|local| local.is_connected());
        connected
            .iter()
            .for_each(|local| local.member.close(closing.clone(), now));
        let lost: Vec<SessionId> = lost.iter().map(|local| local.participant.session).collect();
        let count = connected.len() + lost.len();
        for session in lost {
            self.remove(&mut state, session, now);
        }
        count
    }
}
