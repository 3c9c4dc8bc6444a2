//! How long joining took, for the operator's metrics: told once, and nothing in it is about a person.

use std::time::Duration;

use videocall_types::{ClientReport, Participant, Timestamp};

/// A picture that has not come by then will not tell anything about joining any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// From the wish to join on.
#[derive(Debug)]
pub(super) struct Timing {
    started: Timestamp,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Joining,
    /// There is a picture to wait for.
    Waiting {
        joined: Timestamp,
    },
    Ready(ClientReport),
    Done,
}

impl Timing {
    /// Measures, unless nothing is to be told.
    pub(super) const fn start(now: Timestamp, wanted: bool) -> Self {
        let stage = if wanted { Stage::Joining } else { Stage::Done };
        Self { started: now, stage }
    }

    /// The relay has let us in, to these people.
    pub(super) fn joined(&mut self, others: &[Participant], now: Timestamp) {
        if !matches!(self.stage, Stage::Joining) {
            return;
        }
        let shows = |person: &Participant| {
            let mut tracks = person.tracks.iter();
            tracks.any(|track| !track.kind.is_audio() && !track.muted)
        };
        self.stage = if others.iter().any(shows) {
            Stage::Waiting { joined: now }
        } else {
            self.report(now, None)
        };
    }

    /// The first picture is on screen.
    pub(super) fn picture(&mut self, now: Timestamp) {
        if let Stage::Waiting { joined } = self.stage {
            self.stage = self.report(joined, Some(now));
        }
    }

    /// When [`Timing::take`] has something.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Waiting { joined } => Some(joined + PATIENCE),
            Stage::Ready(_) => Some(Timestamp::ZERO),
            Stage::Joining | Stage::Done => None,
        }
    }

    /// What is to be told now.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<ClientReport> {
        if let Stage::Waiting { joined } = self.stage
            && joined + PATIENCE <= now
        {
            self.stage = self.report(joined, None);
        }
        match self.stage {
            Stage::Ready(report) => {
                self.stage = Stage::Done;
                Some(report)
            }
            _ => None,
        }
    }

    fn report(&self, joined: Timestamp, picture: Option<Timestamp>) -> Stage {
        // 0 stands for "not known".
        let millis =
            |at: Timestamp| u32::try_from(at.since(self.started).as_millis().max(1)).unwrap_or(u32::MAX);
        Stage::Ready(ClientReport {
            join_ms: millis(joined),
            first_picture_ms: picture.map_or(0, millis),
            minute: None,
        })
    }
}
