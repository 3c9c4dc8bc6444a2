//! What our encoders are to make: which layers, at what bitrate and frame rate, from what the path
//! carries, what anybody wants and what the machine manages.
//!
//! Sound comes first; it is reduced only when no picture is left to be reduced. How fast the path is
//! says `estimate`, what the machine manages `load`, how bits become layers `ladder`. Obeying is left
//! to the program; dropping what is late all the same, to the sending queue.

mod arrivals;
mod estimate;
mod ladder;
mod load;
mod output;
mod own_delay;
mod standing;

use std::collections::BTreeMap;
use std::time::Duration;

use videocall_types::{FrameHeader, Timestamp, TrackId, TrackInfo, TrackKind};

use super::types::{EncodedFrame, EncoderLoad, EncoderTarget};
use crate::stats::SendingLimit;
use estimate::Estimate;
use ladder::{Ladder, Sound};
use load::MachineLoad;

pub(super) use estimate::Arrival;

/// How often targets are looked at without a report: as often as reports come on a path that works.
const TICK: Duration = Duration::from_millis(100);

/// A bitrate that differs by less is the same: encoders are not that exact.
const WORTH_TELLING: f64 = 0.04;

/// Earlier sounds that are repeated in each packet, and how many of a hundred packets have to be missing
/// for the second. One alone heals every single loss.
const REDUNDANCY: usize = 1;
const MORE_REDUNDANCY: usize = 2;
const LOSS_FOR_MORE: f64 = 0.01;

/// On a path between these, bits per second, which pictures would rather have for themselves, and that has lost less
/// than this share of late, no sound is repeated. Below, there is hardly a picture to gain.
const SCARCE_BPS: std::ops::Range<f64> = 150_000.0..500_000.0;
const LOSS_FOR_ANY: f64 = 0.002;

/// What waits in the sending queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backlog {
    /// How long the oldest frame has waited.
    pub(super) delay: Duration,
    /// Frames that were dropped so far.
    pub(super) dropped: u64,
}

/// The controller.
#[derive(Debug)]
pub(super) struct Quality {
    estimate: Estimate,
    load: MachineLoad,
    pictures: BTreeMap<TrackId, Ladder>,
    sounds: BTreeMap<TrackId, Sound>,
    /// The step of [`ladder::SOUND_STEPS`] in use.
    sound_step: usize,
    dropped: u64,
    /// Something other than time asks for a look at the targets.
    changed: bool,
    next_tick: Option<Timestamp>,
    told: Vec<EncoderTarget>,
}

impl Quality {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            estimate: Estimate::new(),
            load: MachineLoad::new(now),
            pictures: BTreeMap::new(),
            sounds: BTreeMap::new(),
            sound_step: 0,
            dropped: 0,
            changed: false,
            next_tick: None,
            told: Vec::new(),
        }
    }

    /// A track is new or has another description.
    pub(super) fn publish(&mut self, info: &TrackInfo) {
        self.changed = true;
        match info.kind {
            TrackKind::Microphone | TrackKind::ScreenAudio => {
                self.sounds.insert(info.track, Sound::new(info));
            }
            TrackKind::Camera | TrackKind::Screen => {
                let ladder = self.pictures.entry(info.track).or_default();
                ladder.describe(info);
            }
        }
    }

    pub(super) fn unpublish(&mut self, track: TrackId) {
        self.changed = true;
        self.pictures.remove(&track);
        self.sounds.remove(&track);
    }

    pub(super) fn set_muted(&mut self, track: TrackId, muted: bool) {
        self.changed = true;
        if let Some(ladder) = self.pictures.get_mut(&track) {
            ladder.muted = muted;
        }
        if let Some(sound) = self.sounds.get_mut(&track) {
            sound.muted = muted;
        }
    }

    /// The layers of a track that anybody shows.
    pub(super) fn want(&mut self, track: TrackId, layers: &[u8]) {
        if let Some(ladder) = self.pictures.get_mut(&track) {
            ladder.want(layers);
            self.changed = true;
        }
    }

    /// The most that anybody who is to be given the largest wanted layer of a track can take of it, bits per second.
    pub(super) fn bound(&mut self, track: TrackId, bits_per_second: Option<u32>) {
        if let Some(ladder) = self.pictures.get_mut(&track) {
            ladder.bound(bits_per_second.map(f64::from));
            self.changed = true;
        }
    }

    /// All of every track can be taken.
    pub(super) fn unbound(&mut self) {
        let ladders = self.pictures.values_mut();
        ladders.for_each(|ladder| ladder.bound(None));
        self.changed = true;
    }

    /// A connection carries the call from now on. What was learnt of another one's path is a first
    /// guess for this one.
    pub(super) fn connected(&mut self, now: Timestamp) {
        self.estimate.restart();
        self.next_tick = Some(now);
        self.changed = true;
    }

    pub(super) fn disconnected(&mut self) {
        self.next_tick = None;
    }

    /// Whether this picture is left out, as it would keep a path that is known to be slow busy for so long that another
    /// one, made anew and coarser, is better. To be asked once for each frame.
    pub(super) fn leaves_out(&mut self, frame: &EncodedFrame, now: Timestamp) -> bool {
        if !self.estimate.is_limited() || frame.keyframe || frame.temporal > 0 {
            return false;
        }
        let seconds = frame.payload.len() as f64 * 8.0 / self.estimate.bits_per_second().max(1.0);
        let takes = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let ladder = self.pictures.get_mut(&frame.track);
        ladder.is_some_and(|ladder| ladder.leaves_out(takes, now))
    }

    /// A frame of so many bytes waits to be sent.
    pub(super) fn captured(&mut self, header: &FrameHeader, bytes: usize, now: Timestamp) {
        self.estimate.captured(header, bytes, now);
        if let Some(ladder) = self.pictures.get_mut(&header.track) {
            ladder.encoded(header, bytes, now);
        }
    }

    /// So many bytes of frames were given to the connection.
    pub(super) fn sent(&mut self, bytes: usize, now: Timestamp) {
        self.estimate.sent(bytes, now);
    }

    /// The relay has told what arrived.
    pub(super) fn arrived(&mut self, arrival: Arrival, now: Timestamp) {
        self.estimate.arrived(arrival, now);
        self.changed = true;
    }

    /// A program has told how its encoder gets on.
    pub(super) fn encoded(&mut self, load: EncoderLoad, now: Timestamp) {
        if self.load.note(&load, now) {
            self.changed = true;
        }
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.next_tick
    }

    /// Earlier sounds to repeat in each packet.
    pub(super) fn redundancy(&self) -> usize {
        ladder::SOUND_STEPS[self.sound_step].redundancy(self.wanted_redundancy())
    }

    /// Bytes of pictures that may be on their way; no matter how many while the path is not too slow.
    pub(super) fn allowance(&self) -> Option<usize> {
        self.estimate.allowance()
    }

    /// Bits per second that the path is taken to carry.
    pub(super) fn estimate_bps(&self) -> u32 {
        self.estimate.bits_per_second() as u32
    }

    /// Bits per second of sound and of all pictures that anybody wants, at their best.
    pub(super) fn wanted_bps(&self) -> u32 {
        let best = ladder::SOUND_STEPS[0];
        let redundancy = self.usual_redundancy();
        let sounds = self.sounds.values().filter(|sound| !sound.muted);
        let sounds: f64 = sounds.map(|sound| sound.cost(best, redundancy)).sum();
        let pictures: f64 = self.pictures.values().map(Ladder::best).sum();
        (sounds + pictures) as u32
    }

    /// What keeps us from sending that.
    pub(super) fn limit(&self) -> Option<SendingLimit> {
        let mut pictures = self.pictures.values();
        let wants_more = self.sound_step > 0 || pictures.clone().any(Ladder::wants_more);
        if wants_more && self.estimate.is_limited() {
            Some(SendingLimit::Network)
        } else {
            pictures
                .any(Ladder::is_restricted)
                .then_some(SendingLimit::Machine)
        }
    }

    /// The targets, where they are others than told before.
    pub(super) fn take(&mut self, backlog: Backlog, now: Timestamp) -> Option<Vec<EncoderTarget>> {
        let next_tick = self.next_tick?;
        if now < next_tick && !self.changed {
            return None;
        }
        if now >= next_tick {
            self.next_tick = Some(now + TICK);
        }
        self.changed = false;
        let dropped = backlog.dropped.saturating_sub(self.dropped);
        self.dropped = backlog.dropped;
        self.estimate.waited(backlog.delay, dropped, now);
        let targets = self.targets(now);
        if !is_news(&self.told, &targets) {
            return None;
        }
        self.told.clone_from(&targets);
        Some(targets)
    }

    fn wanted_redundancy(&self) -> usize {
        let budget = self.estimate.bits_per_second();
        let is_scarce = SCARCE_BPS.contains(&budget) && budget < f64::from(self.wanted_bps());
        if is_scarce && self.estimate.loss() < LOSS_FOR_ANY {
            0
        } else {
            self.usual_redundancy()
        }
    }

    fn usual_redundancy(&self) -> usize {
        if self.estimate.loss() > LOSS_FOR_MORE {
            MORE_REDUNDANCY
        } else {
            REDUNDANCY
        }
    }

    fn targets(&mut self, now: Timestamp) -> Vec<EncoderTarget> {
        let budget = self.estimate.bits_per_second();
        let active = || self.sounds.values().filter(|sound| !sound.muted);
        let redundancy = self.wanted_redundancy();
        self.sound_step = ladder::sound_step(active(), budget, redundancy, self.sound_step);
        let step = ladder::SOUND_STEPS[self.sound_step];
        let sound_cost: f64 = active().map(|sound| sound.cost(step, redundancy)).sum();
        let mut targets: Vec<_> = self
            .sounds
            .iter()
            .map(|(&track, sound)| sound.target(track, step))
            .collect();
        let mut asked = sound_cost;
        let pictures_may_flow = self.sound_step == 0;
        let mut rest = if pictures_may_flow {
            budget - sound_cost
        } else {
            0.0
        };
        for ladder in self.pictures.values_mut() {
            ladder.restrict(self.load.restriction());
        }
        // Everybody's smallest picture comes before anybody's better one, and screens before faces.
        let mut order: Vec<TrackId> = self.pictures.keys().copied().collect();
        order.sort_by_key(|track| !self.pictures[track].is_screen());
        let mut reserved: f64 = self.pictures.values().map(Ladder::least).sum();
        for track in order {
            let Some(ladder) = self.pictures.get_mut(&track) else {
                continue;
            };
            reserved -= ladder.least();
            let spent = ladder.spend((rest - reserved).max(ladder.least().min(rest)), now);
            rest -= spent;
            asked += spent;
            targets.extend(ladder.targets(track));
        }
        let wants_more = self.sound_step > 0 || self.pictures.values().any(Ladder::wants_more);
        self.estimate.asked(asked, wants_more);
        targets
    }
}

/// Whether these targets differ from those by enough to tell the encoders.
fn is_news(told: &[EncoderTarget], targets: &[EncoderTarget]) -> bool {
    let same = |(old, new): (&EncoderTarget, &EncoderTarget)| {
        let (before, after) = (f64::from(old.bitrate_bps), f64::from(new.bitrate_bps));
        let near = (before - after).abs() <= before.min(after) * WORTH_TELLING;
        let (old, new) = (
            EncoderTarget {
                bitrate_bps: 0,
                ..*old
            },
            EncoderTarget {
                bitrate_bps: 0,
                ..*new
            },
        );
        near && old == new
    };
    told.len() != targets.len() || !told.iter().zip(targets).all(same)
}
