//! How bits become layers: what of a track is encoded for a given bitrate.
//!
//! Where not every wanted layer fits, the larger ones are replaced by the largest that does; whoever
//! wanted them gets that one from the relay. So a track climbs a ladder of sets of layers. The ranges
//! of bitrates of neighbouring sets overlap: the rate can grow smoothly to where the next set begins.

use std::time::Duration;

use videocall_types::{FrameHeader, LayerInfo, Timestamp, TrackId, TrackInfo, TrackKind};

use super::load::Restriction;
use super::output::Output;
use crate::core::types::EncoderTarget;
use crate::media::parameters::{SCREEN_SOUND_BITRATE_BPS, VOICE_BITRATE_BPS};

/// What a packet holds besides the payload, bits: header fields and lengths, and with keyframes the decoder's
/// configuration.
const FRAME_OVERHEAD: f64 = 48.0 * 8.0;

/// Packets of sound per second.
const SOUNDS_PER_SECOND: f64 = 50.0;

/// The least bitrate of a layer, as a share of its nominal one: of the smallest layer, of one that is
/// the only one, of the others (which a smaller picture replaces before they get too coarse), and of a screen,
/// of which fewer pictures are sent.
const LEAST_SMALLEST: f64 = 0.35;
const LEAST_ONLY: f64 = 0.12;
const LEAST_LARGER: f64 = 0.3;
const LEAST_SCREEN: f64 = 0.15;

/// The next set of layers needs this much more than its least.
const UP_MARGIN: f64 = 1.15;

/// With this much more there is no doubt, whatever failed before.
const UP_CERTAIN: f64 = 1.6;

/// How long there has to be enough: without doubt, and with some, which has to outlast what the estimate tries
/// out. Each failure doubles it.
const UP_AFTER: Duration = Duration::from_millis(400);
const UP_CAREFULLY: Duration = Duration::from_millis(1500);
const UP_LONGEST: Duration = Duration::from_secs(30);

/// A set whose least is not reached is given up after this time, and at once when this share of it is not: a short
/// cut is over sooner than the keyframe of another layer would have got through.
const DOWN_AFTER: Duration = Duration::from_millis(600);
const DOWN_AT_ONCE: f64 = 0.7;

/// A set that was given up within this time was a failed trial.
const TRIAL: Duration = Duration::from_secs(15);

/// A picture that was given up comes back with this much more than its least.
const ON_MARGIN: f64 = 1.4;

/// A base picture of a camera that takes the path longer than this is left out for a keyframe: after a cut, encoders
/// that refer to what was before make pictures of many times the usual size, which everything else has to wait
/// for. A keyframe is as coarse as the bitrate wants it.
const LONGEST_PICTURE: Duration = Duration::from_millis(250);

/// That is not tried again within this time: keyframes may be no smaller.
const LEFT_OUT_INTERVAL: Duration = Duration::from_secs(2);

/// The steps down of sound: share of the bitrate, and the most redundancy.
pub(super) const SOUND_STEPS: [SoundStep; 5] = [
    SoundStep::new(1.0, usize::MAX),
    SoundStep::new(1.0, 1),
    SoundStep::new(1.0, 0),
    SoundStep::new(0.75, 0),
    SoundStep::new(0.5, 0),
];

/// How much of its quality sound has.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoundStep {
    share: f64,
    most_redundancy: usize,
}

/// One of our microphones, or the sound of a screen.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) muted: bool,
    bitrate: f64,
}

/// A track of pictures.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    pub(super) muted: bool,
    screen: bool,
    /// Smallest first.
    layers: Vec<LayerInfo>,
    /// The layers that anybody shows; all while nothing was said.
    wanted: Option<Vec<u8>>,
    /// The most that any of those can take who are to be given the largest of them, and the largest layer (its index)
    /// with which it can be kept.
    bound: Option<f64>,
    within_bound: usize,
    restriction: Restriction,
    /// The largest layer (its index) that the bitrate allows; `None` while it allows none.
    cap: Option<usize>,
    /// Enough for the next one since then.
    enough_since: Option<Timestamp>,
    /// Not enough for this one since then.
    short_since: Option<Timestamp>,
    climbed_at: Option<Timestamp>,
    left_out_at: Option<Timestamp>,
    patience: Option<Duration>,
    /// What to encode: index and bitrate.
    chosen: Vec<(usize, f64)>,
    /// What each layer's encoder makes of that; as of when it is looked at.
    outputs: Vec<Output>,
    /// What was to be encoded before.
    chosen_before: Vec<(usize, f64)>,
    now: Timestamp,
}

impl SoundStep {
    const fn new(share: f64, most_redundancy: usize) -> Self {
        Self {
            share,
            most_redundancy,
        }
    }

    pub(super) fn redundancy(self, wanted: usize) -> usize {
        wanted.min(self.most_redundancy)
    }
}

impl Sound {
    pub(super) fn new(info: &TrackInfo) -> Self {
        let usual = match info.kind {
            TrackKind::ScreenAudio => SCREEN_SOUND_BITRATE_BPS,
            _ => VOICE_BITRATE_BPS,
        };
        let described = info.layers.first().map(|layer| layer.bitrate_bps);
        let bitrate = described.filter(|&bitrate| bitrate > 0).unwrap_or(usual);
        Self {
            muted: info.muted,
            bitrate: bitrate.into(),
        }
    }

    /// Bits per second with everything around them.
    pub(super) fn cost(&self, step: SoundStep, redundancy: usize) -> f64 {
        let copies = 1 + step.redundancy(redundancy);
        self.bitrate * step.share * copies as f64 + SOUNDS_PER_SECOND * FRAME_OVERHEAD
    }

    pub(super) fn target(&self, track: TrackId, step: SoundStep) -> EncoderTarget {
        EncoderTarget {
            track,
            spatial: 0,
            active: !self.muted,
            bitrate_bps: (self.bitrate * step.share) as u32,
            frames_per_second: 0,
        }
    }
}

/// The step that sound can have within the budget; going back up takes a little more.
pub(super) fn sound_step<'a>(
    sounds: impl Iterator<Item = &'a Sound> + Clone,
    budget: f64,
    redundancy: usize,
    current: usize,
) -> usize {
    let fits = |index: &usize| {
        let cost: f64 = sounds
            .clone()
            .map(|sound| sound.cost(SOUND_STEPS[*index], redundancy))
            .sum();
        cost * if *index < current { 1.1 } else { 1.0 } <= budget
    };
    let last = SOUND_STEPS.len() - 1;
    (0..last).find(fits).unwrap_or(last)
}

impl Ladder {
    pub(super) fn describe(&mut self, info: &TrackInfo) {
        self.muted = info.muted;
        self.screen = info.kind == TrackKind::Screen;
        let mut layers: Vec<LayerInfo> = info.layers.clone();
        layers.retain(|layer| layer.bitrate_bps > 0);
        layers.sort_by_key(|layer| layer.spatial);
        let shape = |layers: &[LayerInfo]| layers.iter().map(|layer| layer.spatial).collect::<Vec<_>>();
        if shape(&layers) != shape(&self.layers) {
            self.cap = None;
            self.chosen.clear();
            self.outputs = vec![Output::default(); layers.len()];
        }
        self.layers = layers;
    }

    pub(super) fn want(&mut self, layers: &[u8]) {
        self.wanted = Some(layers.to_vec());
    }

    /// See [`super::Quality::bound`].
    pub(super) fn bound(&mut self, bits_per_second: Option<f64>) {
        self.bound = bits_per_second;
    }

    /// A frame of so many bytes came from the encoder of a layer.
    pub(super) fn encoded(&mut self, header: &FrameHeader, bytes: usize, now: Timestamp) {
        let of_layer = |layer: &LayerInfo| layer.spatial == header.spatial;
        let Some(index) = self.layers.iter().position(of_layer) else {
            return;
        };
        let asked = self.chosen.iter().find(|(chosen, _)| *chosen == index);
        if let Some((output, &(_, bits))) = self.outputs.get_mut(index).zip(asked) {
            match header.keyframe {
                true => output.note_keyframe(bits, now),
                false => output.note(bytes as f64 * 8.0, bits, now),
            }
        }
    }

    /// A base picture that is no keyframe takes the path so long. Whether it is to be left out, and a keyframe to come.
    pub(super) fn leaves_out(&mut self, takes: Duration, now: Timestamp) -> bool {
        let lately = self
            .left_out_at
            .is_some_and(|at| now.since(at) < LEFT_OUT_INTERVAL);
        let excessive = takes > LONGEST_PICTURE && !self.screen && !lately;
        if excessive {
            self.left_out_at = Some(now);
        }
        excessive
    }

    pub(super) fn is_screen(&self) -> bool {
        self.screen
    }

    pub(super) fn restrict(&mut self, restriction: Restriction) {
        self.restriction = restriction;
    }

    /// The wanted layers as indices, as far as the machine manages and those can take who want them.
    fn wanted(&self) -> Vec<usize> {
        let top = if self.screen {
            self.layers.len()
        } else {
            self.layers.len() - self.restriction.layers(self.layers.len())
        };
        let mut wanted = self.takeable(self.wanted_below(self.layers.len()));
        for index in &mut wanted {
            *index = (*index).min(top.saturating_sub(1));
        }
        wanted.dedup();
        wanted
    }

    /// These layers with the largest replaced by the one with which the bound can be kept.
    fn takeable(&self, mut wanted: Vec<usize>) -> Vec<usize> {
        if self.bound.is_some()
            && let Some(largest) = wanted.pop()
        {
            let within = largest.min(self.within_bound);
            if wanted.last().is_none_or(|&below| below < within) {
                wanted.push(within);
            }
        }
        wanted
    }

    /// The largest layer with which the bound can be kept; a larger one than so far needs a little more.
    fn find_within_bound(&self) -> usize {
        let Some(bound) = self.bound else {
            return self.layers.len();
        };
        let fits = |&index: &usize| {
            let margin = if index > self.within_bound { UP_MARGIN } else { 1.0 };
            bound >= self.least_of(index) * margin
        };
        (1..self.layers.len()).rev().find(fits).unwrap_or(0)
    }

    /// The bitrate of a layer at its best: its own, or what can be taken where it is, or is in the place of, the largest.
    fn best_of(&self, index: usize) -> f64 {
        let nominal = self.nominal(index);
        let wanted = self.wanted_below(self.layers.len());
        let Some((bound, (&largest, others))) = self.bound.zip(wanted.split_last()) else {
            return nominal;
        };
        // What others want for its own sake is not bounded.
        if index != largest.min(self.within_bound) || others.contains(&index) {
            return nominal;
        }
        let most = if index == largest { nominal } else { f64::MAX };
        bound.min(most).max(self.least_of(index) / 2.0)
    }

    /// The wanted layers as indices; those from `top` on are replaced by the one below it.
    fn wanted_below(&self, top: usize) -> Vec<usize> {
        if self.muted {
            return Vec::new();
        }
        let is_wanted = |spatial| {
            self.wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&spatial))
        };
        let indices = (0..self.layers.len()).filter(|&index| is_wanted(self.layers[index].spatial));
        let mut wanted: Vec<_> = indices.map(|index| index.min(top.saturating_sub(1))).collect();
        wanted.dedup();
        wanted
    }

    /// What is encoded when nothing above this layer is.
    fn set(&self, cap: usize) -> Vec<usize> {
        let mut set = self.wanted();
        for index in &mut set {
            *index = (*index).min(cap);
        }
        set.dedup();
        set
    }

    /// The largest layer that anybody wants.
    fn top(&self) -> Option<usize> {
        self.wanted().last().copied()
    }

    fn overhead(&self, index: usize) -> f64 {
        FRAME_OVERHEAD * f64::from(self.layers[index].frames_per_second)
    }

    fn nominal(&self, index: usize) -> f64 {
        f64::from(self.layers[index].bitrate_bps) + self.overhead(index)
    }

    fn least_of(&self, index: usize) -> f64 {
        let share = match index {
            _ if self.screen => LEAST_SCREEN,
            0 if self.layers.len() == 1 => LEAST_ONLY,
            0 => LEAST_SMALLEST,
            _ => LEAST_LARGER,
        };
        let least = f64::from(self.layers[index].bitrate_bps) * share + self.overhead(index);
        // The smallest picture has nothing below it.
        let floor = self.outputs.get(index).filter(|_| index > 0);
        floor.map_or(least, |output| {
            output
                .floor(self.now)
                .clamp(least, self.nominal(index).max(least))
        })
    }

    fn least_of_set(&self, cap: usize) -> f64 {
        self.set(cap).into_iter().map(|index| self.least_of(index)).sum()
    }

    /// The least that any picture needs: the smallest set with half of its frames.
    pub(super) fn least(&self) -> f64 {
        match self.top() {
            Some(_) => self.least_of_set(0) / 2.0,
            None => 0.0,
        }
    }

    /// Bits per second of all that anybody wants and can take, at its best, whatever the machine manages.
    pub(super) fn best(&self) -> f64 {
        let wanted = self.takeable(self.wanted_below(self.layers.len()));
        wanted.into_iter().map(|index| self.best_of(index)).sum()
    }

    /// Whether the machine manages less than what is wanted.
    pub(super) fn is_restricted(&self) -> bool {
        self.restriction != Restriction::default() && self.top().is_some()
    }

    /// Whether there is something better than what was chosen.
    pub(super) fn wants_more(&self) -> bool {
        self.top().is_some_and(|top| {
            let best = |&(index, bits): &(usize, f64)| index == top && bits >= self.best_of(top);
            !self.chosen.iter().any(best)
        })
    }

    /// Chooses what to encode for this many bits per second. Returns what of them it takes.
    pub(super) fn spend(&mut self, budget: f64, now: Timestamp) -> f64 {
        self.now = now;
        self.within_bound = self.find_within_bound();
        self.chosen_before = std::mem::take(&mut self.chosen);
        let Some(top) = self.top() else {
            self.enough_since = None;
            return 0.0;
        };
        self.cap = self.choose_cap(top, budget, now);
        let Some(cap) = self.cap else {
            return 0.0;
        };
        let set = self.set(cap);
        let mut rest = budget - set.iter().map(|&index| self.least_of(index)).sum::<f64>();
        let mut spent = 0.0;
        // The smallest first: most people see it, and it costs least.
        for &index in &set {
            let least = self.least_of(index);
            let most = if Some(&index) == set.last() {
                self.most_of(index, cap, top)
            } else {
                self.nominal(index)
            };
            let extra = (most - least).min(rest.max(least / -2.0));
            rest -= extra;
            spent += least + extra;
            self.chosen.push((index, least + extra));
        }
        spent
    }

    /// A layer in the place of a larger one gets more than its due, up to where the larger one begins.
    fn most_of(&self, index: usize, cap: usize, top: usize) -> f64 {
        if cap >= top {
            return self.best_of(index);
        }
        let others: f64 = self
            .set(cap)
            .iter()
            .filter(|&&other| other != index)
            .map(|&other| self.nominal(other))
            .sum();
        let next = self.least_of_set(cap + 1) * UP_CERTAIN - others;
        let bound = self.bound.unwrap_or(f64::MAX);
        self.nominal(index)
            .max(next)
            .min(bound)
            .max(self.least_of(index) / 2.0)
    }

    fn choose_cap(&mut self, top: usize, budget: f64, now: Timestamp) -> Option<usize> {
        let Some(current) = self.cap.map(|cap| cap.min(top)) else {
            // From nothing straight to what fits.
            if budget < self.least() * ON_MARGIN {
                return None;
            }
            let fits = (0..=top)
                .rev()
                .find(|&cap| budget >= self.least_of_set(cap) * UP_MARGIN);
            self.enough_since = None;
            return Some(fits.unwrap_or(0));
        };
        if budget < self.least() {
            self.fall(now);
            return None;
        }
        if current > 0 && self.is_too_little(budget, self.least_of_set(current), now) {
            self.fall(now);
            return Some(
                (0..current)
                    .rev()
                    .find(|&cap| budget >= self.least_of_set(cap))
                    .unwrap_or(0),
            );
        }
        if current >= top || budget < self.least_of_set(current + 1) * UP_MARGIN {
            self.enough_since = None;
            return Some(current);
        }
        let since = *self.enough_since.get_or_insert(now);
        let certain = budget >= self.least_of_set(current + 1) * UP_CERTAIN;
        let patience = match certain {
            true => self.patience.map_or(UP_AFTER, |_| UP_AFTER * 2),
            false => self.patience.unwrap_or(UP_CAREFULLY),
        };
        if now.since(since) < patience {
            return Some(current);
        }
        self.enough_since = None;
        self.climbed_at = Some(now);
        let fits = (current + 1..=top)
            .rev()
            .find(|&cap| budget >= self.least_of_set(cap) * UP_CERTAIN);
        Some(fits.unwrap_or(current + 1))
    }

    fn is_too_little(&mut self, budget: f64, least: f64, now: Timestamp) -> bool {
        if budget >= least {
            self.short_since = None;
            return false;
        }
        let since = *self.short_since.get_or_insert(now);
        budget < least * DOWN_AT_ONCE || now.since(since) >= DOWN_AFTER
    }

    /// A set that did not last makes the next trial later; one that did, forgives.
    fn fall(&mut self, now: Timestamp) {
        for &(index, _) in &self.chosen_before {
            self.outputs
                .get_mut(index)
                .into_iter()
                .for_each(|output| output.end(now));
        }
        self.enough_since = None;
        self.short_since = None;
        let Some(climbed_at) = self.climbed_at.take() else {
            return;
        };
        self.patience = if now.since(climbed_at) < TRIAL {
            let longer = self.patience.map_or(UP_CAREFULLY * 2, |patience| patience * 2);
            Some(longer.min(UP_LONGEST))
        } else {
            None
        };
    }

    pub(super) fn targets(&self, track: TrackId) -> Vec<EncoderTarget> {
        let target = |(index, layer): (usize, &LayerInfo)| {
            let chosen = self.chosen.iter().find(|(chosen, _)| *chosen == index);
            let frames_per_second = chosen.map_or(0, |&(_, bits)| self.frames_per_second(index, bits));
            let overhead = FRAME_OVERHEAD * f64::from(frames_per_second);
            EncoderTarget {
                track,
                spatial: layer.spatial,
                active: chosen.is_some(),
                bitrate_bps: chosen.map_or(0, |&(_, bits)| (bits - overhead).max(10_000.0) as u32),
                frames_per_second,
            }
        };
        self.layers.iter().enumerate().map(target).collect()
    }

    /// Of a face, half where the least is not reached. Of a screen, where each picture counts more
    /// than that there are many, as many as are worth their bits.
    fn frames_per_second(&self, index: usize, bits: f64) -> u32 {
        let usual = self.layers[index].frames_per_second.max(1);
        let share = bits / self.nominal(index);
        let divisor = match self.screen {
            true if share < 0.3 => 4,
            true if share < 0.6 => 2,
            false if bits < self.least_of(index) => 2,
            _ => 1,
        };
        (usual / divisor.max(self.restriction.frame_divisor(self.screen))).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::parameters::{CAMERA, SCREEN, VideoParameters};

    const NOW: Timestamp = Timestamp::from_millis(1000);
    const PLENTY: f64 = 10_000_000.0;

    fn ladder(kind: TrackKind, parameters: &VideoParameters) -> Ladder {
        let layer = |(spatial, layer): (usize, &crate::media::parameters::LayerParameters)| LayerInfo {
            spatial: spatial as u8,
            temporal_layers: 3,
            width: layer.max_width,
            height: layer.max_height,
            frames_per_second: layer.frames_per_second,
            bitrate_bps: layer.bitrate_bps,
        };
        let mut ladder = Ladder::default();
        ladder.describe(&TrackInfo {
            track: TrackId(1),
            kind,
            muted: false,
            codec: "any".into(),
            layers: parameters.layers.iter().enumerate().map(layer).collect(),
        });
        ladder
    }

    /// What is encoded a while after this was said: layers and bits per second, in thousands.
    fn settled(ladder: &mut Ladder, wanted: &[u8], bound: Option<f64>) -> Vec<(usize, u32)> {
        ladder.want(wanted);
        ladder.bound(bound);
        for tenth in 0..100 {
            ladder.spend(PLENTY, NOW + Duration::from_millis(100) * tenth);
        }
        let chosen = ladder.chosen.iter();
        chosen
            .map(|&(index, bits)| (index, (bits / 1000.0) as u32))
            .collect()
    }

    #[test]
    fn what_can_be_taken_bounds_the_largest_layer() {
        let mut camera = ladder(TrackKind::Camera, &CAMERA);
        assert_eq!(settled(&mut camera, &[2], None), [(2, 1511)]);
        assert_eq!(settled(&mut camera, &[2], Some(800_000.0)), [(2, 800)]);
        assert!(!camera.wants_more(), "it is the best there is for them");
        assert_eq!(camera.best(), 800_000.0);
        assert_eq!(
            settled(&mut camera, &[2], Some(440_000.0)),
            [(1, 440)],
            "in its place"
        );
        assert_eq!(settled(&mut camera, &[2], Some(250_000.0)), [(1, 250)]);
        assert_eq!(settled(&mut camera, &[2], Some(100_000.0)), [(0, 100)]);
        assert_eq!(settled(&mut camera, &[2], Some(9_000_000.0)), [(2, 1511)]);
        assert_eq!(settled(&mut camera, &[2], None), [(2, 1511)]);
    }

    #[test]
    fn what_others_want_is_not_bounded() {
        let mut camera = ladder(TrackKind::Camera, &CAMERA);
        assert_eq!(
            settled(&mut camera, &[0, 2], Some(800_000.0)),
            [(0, 125), (2, 800)]
        );
        assert_eq!(
            settled(&mut camera, &[0, 2], Some(250_000.0)),
            [(0, 125), (1, 250)]
        );
        assert_eq!(settled(&mut camera, &[1, 2], Some(250_000.0)), [(1, 411)]);
        assert_eq!(settled(&mut camera, &[0, 2], Some(30_000.0)), [(0, 125)]);
        camera.restrict(Restriction::of_steps(2));
        assert_eq!(
            settled(&mut camera, &[0, 1, 2], Some(100_000.0)),
            [(0, 125), (1, 411)],
            "the machine does not manage the largest, which alone is bounded"
        );
    }

    #[test]
    fn a_bound_below_everything_leaves_a_coarse_picture() {
        let mut camera = ladder(TrackKind::Camera, &CAMERA);
        assert_eq!(settled(&mut camera, &[2], Some(1000.0)), [(0, 23)]);
        let mut screen = ladder(TrackKind::Screen, &SCREEN);
        assert_eq!(settled(&mut screen, &[0], Some(800_000.0)), [(0, 800)]);
    }
}
