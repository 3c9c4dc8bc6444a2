//! Who speaks: which microphones are forwarded, and in which order people are announced.
//!
//! Every audio frame says how loud it is (the level of RFC 6464, in -dBov). From these each
//! microphone's [`TrackLevel`] keeps two things: how much its owner has spoken lately, and how loud.
//! [`Selection`] gives the few microphones that are forwarded a slot each. As in Volfin and Cohen,
//! "Dominant Speaker Identification for Multipoint Videoconferencing" (2012), it takes more than a
//! moment's loudness to push out somebody who speaks, so that a knock, a cough or a keyboard does
//! not; unlike there, whoever starts to speak while a slot is free, or held by somebody silent, is
//! heard from the very first frame.
//!
//! Relays tell one another who speaks among their own people. The announced order is a pure
//! function of all these reports, and therefore the same on every relay that has the same ones.
//!
//! A frame of a selected microphone and one without voice touch atomics of their own track only.
//! The meeting's one lock here is taken by the voice of somebody who is not selected, for looking
//! at a handful of slots, and by the tick. Delivery and messages are left to the meeting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use videocall_types::{RelayId, SessionId, Speaker, Timestamp, TrackRef};

/// From here on a frame counts as voice, -dBov. Speech close to a microphone is around 20 to 35,
/// rooms and fans after noise suppression are below 60.
const VOICE_DBOV: u8 = 55;

/// What a microphone that sends no level counts as, -dBov: a quiet voice. It is heard while there is
/// room, and anybody who is known to be louder comes first.
const UNKNOWN_DBOV: u8 = 50;

/// Voice adding up to this makes a speaker: longer than a knock or a click, shorter than two words.
/// Nobody is announced or takes the slot of somebody speaking before.
const SPEECH_AFTER_US: u32 = 300_000;

/// The most voice that counts, and so the time over which loudness is averaged.
const MEMORY_US: u32 = 2_000_000;

/// A full memory of voice is used up by this much silence, a shorter one sooner: who held a speech
/// stays announced through a pause for thought, who said "yes" does not for long. Speech is voice
/// for more than half of the time, so it adds up all the same; a keyboard's clicks do not.
const FORGET_AFTER_US: u32 = 3_000_000;

/// A slot whose holder was silent for this long is given to whoever speaks. Pauses between
/// sentences are shorter.
const QUIET_AFTER: Duration = Duration::from_secs(1);

/// A longer gap between two frames is silence that was not sent (DTX). Opus frames have at most
/// 120 ms (RFC 6716 §2.1.4).
const LONGEST_FRAME_US: u64 = 120_000;

/// What the first frame after such a gap counts for.
const USUAL_FRAME_US: u64 = 20_000;

/// Steps in which loudness is told. A difference of 6 dB is clearly heard; what is less changes
/// nobody's place.
const STEP_DB: u8 = 6;

/// Between two ticks: how often the order changes at most, and how late a speaker is announced.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// A report that says anything is repeated after this long: the bus may lose messages.
const REPEAT: Duration = Duration::from_secs(1);

/// A report that was not repeated for this long is void; two repetitions may be lost.
const REPORT_EXPIRY: Duration = Duration::from_millis(3500);

/// How loud one microphone is and how much its owner speaks.
///
/// Written by whoever brings the track's frames, one task at a time; read by all.
#[derive(Debug)]
pub(crate) struct TrackLevel {
    track: TrackRef,
    /// Its owner is connected to this relay.
    local: AtomicBool,
    /// Changed under the selection's lock only.
    selected: AtomicBool,
    /// The last frame, and the last one with voice; microseconds.
    heard_at: AtomicU64,
    voiced_at: AtomicU64,
    /// When the present turn began, or the slot was taken within it; microseconds.
    since: AtomicU64,
    /// Recent voice, microseconds, at most [`MEMORY_US`]; used up by silence.
    voice_us: AtomicU32,
    /// Mean over that voice, thousandths of a dB below overload.
    loudness: AtomicU32,
    /// The same in steps, with hysteresis; [`NO_STEP`] before there was enough voice.
    step: AtomicU8,
}

const NO_STEP: u8 = u8::MAX;

/// The smaller the more prominent.
type Rank = (u8, u64, SessionId);

impl TrackLevel {
    /// A microphone that was not heard yet, of somebody on another relay.
    pub(crate) fn new(track: TrackRef) -> Arc<Self> {
        Arc::new(Self {
            track,
            local: AtomicBool::new(false),
            selected: AtomicBool::new(false),
            heard_at: AtomicU64::new(0),
            voiced_at: AtomicU64::new(0),
            since: AtomicU64::new(0),
            voice_us: AtomicU32::new(0),
            loudness: AtomicU32::new(0),
            step: AtomicU8::new(NO_STEP),
        })
    }

    /// Says whether its owner is connected to this relay.
    pub(crate) fn set_local(&self, local: bool) {
        self.local.store(local, Ordering::Relaxed);
    }

    fn is_local(&self) -> bool {
        self.local.load(Ordering::Relaxed)
    }

    /// Whether it is forwarded at present.
    pub(crate) fn is_selected(&self) -> bool {
        self.selected.load(Ordering::Relaxed)
    }

    /// Takes note of a frame; returns whether it has voice.
    fn note(&self, audio_level: Option<u8>, now: Timestamp) -> bool {
        let dbov = audio_level.unwrap_or(UNKNOWN_DBOV);
        let voiced = dbov <= VOICE_DBOV;
        let now_us = now.as_micros();
        let gap = now_us.saturating_sub(self.heard_at.swap(now_us, Ordering::Relaxed));
        let lasted = if gap > LONGEST_FRAME_US {
            USUAL_FRAME_US
        } else {
            gap
        };
        let silence = if voiced { gap - lasted.min(gap) } else { gap };

        let left = use_up(self.voice_us.load(Ordering::Relaxed), silence);
        if left == 0 {
            self.step.store(NO_STEP, Ordering::Relaxed);
        }
        if !voiced {
            self.voice_us.store(left, Ordering::Relaxed);
            return false;
        }
        if left == 0 {
            self.since.store(now_us, Ordering::Relaxed);
        }
        self.voiced_at.store(now_us, Ordering::Relaxed);
        // Frames that come in one bunch have no time between them, and still say something.
        let lasted = (lasted as u32).max(1);
        let voice = (left + lasted).min(MEMORY_US);
        self.voice_us.store(voice, Ordering::Relaxed);
        self.average(dbov, lasted, voice);
        true
    }

    /// The mean of a turn's beginning, then a running one over [`MEMORY_US`] of voice.
    fn average(&self, dbov: u8, lasted: u32, voice: u32) {
        let before = i64::from(self.loudness());
        let difference = i64::from(dbov) * 1000 - before;
        let mean = before + difference * i64::from(lasted) / i64::from(voice);
        self.loudness.store(mean as u32, Ordering::Relaxed);
        let step = self.step.load(Ordering::Relaxed);
        if voice < SPEECH_AFTER_US && step == NO_STEP {
            return;
        }
        let width = i64::from(STEP_DB) * 1000;
        // Half a step around its middle is the least; a whole one keeps it from swinging.
        if step == NO_STEP || (mean - i64::from(step) * width).abs() >= width {
            self.step
                .store(((mean + width / 2) / width) as u8, Ordering::Relaxed);
        }
    }

    /// Whether its owner counts as speaking, pauses included.
    fn speaks(&self, now: Timestamp) -> bool {
        let silence = now
            .as_micros()
            .saturating_sub(self.heard_at.load(Ordering::Relaxed));
        let silence = if silence > LONGEST_FRAME_US { silence } else { 0 };
        self.step.load(Ordering::Relaxed) != NO_STEP
            && use_up(self.voice_us.load(Ordering::Relaxed), silence) > 0
    }

    fn loudness(&self) -> u32 {
        self.loudness.load(Ordering::Relaxed)
    }

    fn silent_for(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_micros(self.voiced_at.load(Ordering::Relaxed)))
    }

    fn speaker(&self) -> Speaker {
        let dbov = self.step.load(Ordering::Relaxed).saturating_mul(STEP_DB).min(127);
        Speaker {
            session: self.track.session,
            audio_level: dbov + 1,
            since_ms: self.since.load(Ordering::Relaxed) / 1000,
        }
    }
}

/// What silence leaves of the voice before it.
fn use_up(voice_us: u32, silence_us: u64) -> u32 {
    let used = silence_us.saturating_mul(MEMORY_US.into()) / u64::from(FORGET_AFTER_US);
    voice_us.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
}

/// The microphones of one meeting that are forwarded on one relay, and who is announced.
#[derive(Debug)]
pub(crate) struct Selection {
    max: usize,
    /// Slots that nobody holds; changed under the lock, read without.
    free: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// At most `max`.
    slots: Vec<Arc<TrackLevel>>,
    /// What the other relays said last.
    reports: BTreeMap<RelayId, Report>,
    /// What this relay said last.
    published: Vec<Speaker>,
    published_at: Timestamp,
    announced: Vec<SessionId>,
    ticked_at: Timestamp,
}

#[derive(Debug)]
struct Report {
    heard_at: Timestamp,
    speakers: Vec<Speaker>,
}

/// What has to be said after a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tick {
    /// To the other relays: who speaks here.
    pub(crate) publish: Option<Vec<Speaker>>,
    /// To the members: who speaks anywhere, the most prominent first.
    pub(crate) announce: Option<Vec<SessionId>>,
}

impl Selection {
    /// Nobody speaks yet; at most `max` microphones will be forwarded.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            free: AtomicUsize::new(max),
            state: Mutex::default(),
        }
    }

    /// Takes note of a frame, whose level is in -dBov; returns whether it is forwarded.
    pub(crate) fn observe(&self, level: &Arc<TrackLevel>, audio_level: Option<u8>, now: Timestamp) -> bool {
        let voiced = level.note(audio_level, now);
        if level.is_selected() {
            return true;
        }
        // While there is room even a whisper is heard: in a small meeting that is everybody.
        if !voiced && self.free.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut state = self.state.lock();
        if level.is_selected() {
            return true;
        }
        if state.slots.len() >= self.max {
            let victim = if voiced { state.victim(level, now) } else { None };
            let Some(victim) = victim else { return false };
            state
                .slots
                .remove(victim)
                .selected
                .store(false, Ordering::Relaxed);
        }
        level.since.fetch_max(now.as_micros(), Ordering::Relaxed);
        level.selected.store(true, Ordering::Relaxed);
        state.slots.push(level.clone());
        self.count_free(&state);
        true
    }

    /// Frees the slot of a microphone that is muted or gone.
    pub(crate) fn release(&self, level: &TrackLevel) {
        let mut state = self.state.lock();
        state.slots.retain(|holder| !std::ptr::eq(&**holder, level));
        level.selected.store(false, Ordering::Relaxed);
        self.count_free(&state);
    }

    fn count_free(&self, state: &State) {
        self.free
            .store(self.max.saturating_sub(state.slots.len()), Ordering::Relaxed);
    }

    /// Takes another relay's report in place of its last one.
    pub(crate) fn take_report(&self, relay: RelayId, mut speakers: Vec<Speaker>, now: Timestamp) {
        // An honest relay has no more.
        speakers.truncate(self.max);
        let report = Report {
            heard_at: now,
            speakers,
        };
        self.state.lock().reports.insert(relay, report);
    }

    /// Forgets what a relay said that is gone.
    pub(crate) fn forget_relay(&self, relay: &RelayId) {
        self.state.lock().reports.remove(relay);
    }

    /// Who was announced last, for somebody who comes later.
    pub(crate) fn announced(&self) -> Vec<SessionId> {
        self.state.lock().announced.clone()
    }

    /// When to call [`Selection::tick`] next; `None` while no microphone is heard at all.
    pub(crate) fn next_tick(&self) -> Option<Timestamp> {
        let state = self.state.lock();
        let idle = state.slots.is_empty()
            && state.reports.is_empty()
            && state.published.is_empty()
            && state.announced.is_empty();
        (!idle).then(|| state.ticked_at + TICK)
    }

    /// Looks who speaks, at most every [`TICK`]. Only sessions that are `present` are announced.
    pub(crate) fn tick(&self, present: impl Fn(SessionId) -> bool, now: Timestamp) -> Tick {
        let mut state = self.state.lock();
        let state = &mut *state;
        if now.since(state.ticked_at) < TICK {
            return Tick::default();
        }
        state.ticked_at = now;
        state
            .reports
            .retain(|_, report| now.since(report.heard_at) < REPORT_EXPIRY);

        let own = state.own_speakers(now);
        let repeat = !own.is_empty() && now.since(state.published_at) >= REPEAT;
        let publish = (own != state.published || repeat).then(|| own.clone());
        if publish.is_some() {
            state.published.clone_from(&own);
            state.published_at = now;
        }

        let others = state.reports.values().map(|report| &report.speakers);
        let mut order = merge(others.chain([&own]), usize::MAX);
        order.retain(|session| present(*session));
        order.truncate(self.max);
        let announce = (order != state.announced).then(|| order.clone());
        state.announced = order;
        Tick { publish, announce }
    }
}

impl State {
    /// Local speakers, the most prominent first.
    fn own_speakers(&self, now: Timestamp) -> Vec<Speaker> {
        let local = self
            .slots
            .iter()
            .filter(|level| level.is_local() && level.speaks(now));
        let mut speakers: Vec<Speaker> = local.map(|level| level.speaker()).collect();
        speakers.sort_unstable_by_key(rank);
        speakers
    }

    /// Whose slot goes to somebody with a voice: that of the longest silent, else that of the least
    /// prominent, if the newcomer has spoken for a moment, is a step louder and not just across its
    /// edge. Between equally loud ones nothing changes, except that all relays follow what is
    /// announced: else those with many speakers of their own would go on forwarding different ones.
    fn victim(&self, newcomer: &TrackLevel, now: Timestamp) -> Option<usize> {
        let slots = self.slots.iter().enumerate();
        let silent = slots
            .clone()
            .filter(|(_, holder)| holder.silent_for(now) > QUIET_AFTER)
            .max_by_key(|(_, holder)| holder.silent_for(now));
        if let Some((index, _)) = silent {
            return Some(index);
        }
        if !newcomer.speaks(now) {
            return None;
        }
        let challenge = self.rank_of(newcomer);
        let (index, weakest) = slots.max_by_key(|(_, holder)| self.rank_of(holder))?;
        let defence = self.rank_of(weakest);
        let announced = |level: &TrackLevel| self.announced.contains(&level.track.session);
        let margin = u32::from(STEP_DB) * 1000 / 2;
        let louder = challenge.0 < defence.0 && newcomer.loudness() + margin <= weakest.loudness();
        let follows = challenge < defence && announced(newcomer) && !announced(weakest);
        (louder || follows).then_some(index)
    }

    /// People of other relays rank as their relay says, for the order to be the same everywhere.
    fn rank_of(&self, level: &TrackLevel) -> Rank {
        let reported = (!level.is_local()).then(|| {
            let speakers = self.reports.values().flat_map(|report| &report.speakers);
            speakers
                .filter(|speaker| speaker.session == level.track.session)
                .map(rank)
                .min()
        });
        reported.flatten().unwrap_or_else(|| rank(&level.speaker()))
    }
}

/// The first `n` speakers of all relays: by level, then by who began first, then by session. The
/// order of the reports does not matter.
pub(crate) fn merge<'a>(reports: impl IntoIterator<Item = &'a Vec<Speaker>>, n: usize) -> Vec<SessionId> {
    let mut best: BTreeMap<SessionId, Rank> = BTreeMap::new();
    for speaker in reports.into_iter().flatten() {
        // Somebody who has just moved is in two reports.
        let rank = rank(speaker);
        best.entry(speaker.session)
            .and_modify(|known| *known = rank.min(*known))
            .or_insert(rank);
    }
    let mut ranks: Vec<Rank> = best.into_values().collect();
    ranks.sort_unstable();
    ranks.into_iter().take(n).map(|(_, _, session)| session).collect()
}

fn rank(speaker: &Speaker) -> Rank {
    (speaker.audio_level, speaker.since_ms, speaker.session)
}

#[cfg(test)]
mod tests;
