//! What a program shows, and what the relay is told of it: more at once, less after a moment, and all
//! of it in few messages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use videocall_types::limits::MAX_SUBSCRIPTIONS;
use videocall_types::{Interest, SessionId, Subscription, Timestamp, TrackRef};

use super::types::View;

/// Between two Subscribe messages: dragging a window's edge changes what is wanted with every
/// picture, and the relay counts control messages.
const INTERVAL: Duration = Duration::from_millis(100);

/// A page that lays out its tiles shows them one after the other; they are told together.
const GATHER: Duration = Duration::from_millis(15);

/// What is wanted no more is still received for this long: a page that rearranges its tiles takes some
/// away and shows them again. A relay has patience of its own with the sender, and both together leave
/// time to stop an encoder within a second.
const SHRINK_AFTER: Duration = Duration::from_millis(150);

/// What the program wants to receive.
#[derive(Debug, Default)]
pub(super) struct Views {
    source: Source,
    /// At most [`MAX_SUBSCRIPTIONS`]; what is shown beyond is not subscribed.
    pictures: BTreeMap<TrackRef, View>,
    /// Microphones that are heard whether their owners are active speakers or not; bounded likewise.
    voices: BTreeSet<TrackRef>,
    paused: bool,
    /// What the relay knows, if it has been told on this connection.
    told: Option<Told>,
    due: Option<Timestamp>,
    /// Not before this time.
    next: Timestamp,
}

/// Where the wishes come from.
#[derive(Debug, Default)]
enum Source {
    /// The program has said nothing yet: what the greeting asked for holds.
    #[default]
    Greeting,
    /// It has said all at once.
    Whole(Interest),
    /// It says what it shows.
    Shown,
}

/// What was told last.
#[derive(Debug, Default, PartialEq)]
struct Told {
    pictures: BTreeMap<TrackRef, View>,
    voices: BTreeSet<TrackRef>,
}

impl Views {
    /// Whether the program leaves it to the relay.
    pub(super) const fn are_automatic(&self) -> bool {
        matches!(self.source, Source::Greeting)
    }

    /// The whole set at once; replaces everything before.
    pub(super) fn replace(&mut self, interest: Interest, now: Timestamp) {
        self.source = Source::Whole(interest);
        self.pictures.clear();
        self.voices.clear();
        self.told = None;
        self.due = Some(now);
    }

    pub(super) fn show(&mut self, track: TrackRef, view: View, now: Timestamp) {
        if self.has_room() || self.pictures.contains_key(&track) {
            self.pictures.insert(track, view);
        }
        self.changed(now);
    }

    pub(super) fn hide(&mut self, track: TrackRef, now: Timestamp) {
        self.pictures.remove(&track);
        self.changed(now);
    }

    pub(super) fn set_paused(&mut self, paused: bool, now: Timestamp) {
        self.paused = paused;
        self.changed(now);
    }

    pub(super) fn listen(&mut self, track: TrackRef, heard: bool, now: Timestamp) {
        if !heard {
            self.voices.remove(&track);
        } else if self.has_room() {
            self.voices.insert(track);
        }
        self.changed(now);
    }

    /// Nothing of somebody who is gone is shown. The relay knows it anyway.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.retain(|track| track.session != session);
    }

    /// Forgets what is not of those who are there.
    pub(super) fn retain(&mut self, keep: impl Fn(TrackRef) -> bool) {
        self.pictures.retain(|&track, _| keep(track));
        self.voices.retain(|&track| keep(track));
        if let Some(told) = &mut self.told {
            told.pictures.retain(|&track, _| keep(track));
            told.voices.retain(|&track| keep(track));
        }
    }

    /// A relay that knows nothing of us yet has let us in.
    pub(super) fn start_over(&mut self, now: Timestamp) {
        self.told = None;
        self.due = (!self.are_automatic()).then_some(now);
        self.next = now;
    }

    /// When [`Views::take`] has something.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due.map(|due| due.max(self.next))
    }

    /// What the relay is to be told now.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Interest> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        self.next = now + INTERVAL;
        match &self.source {
            Source::Greeting => None,
            Source::Whole(interest) => Some(interest.clone()),
            Source::Shown => {
                let wanted = self.wanted();
                let interest = wanted.interest();
                self.told = Some(wanted);
                Some(interest)
            }
        }
    }

    fn has_room(&self) -> bool {
        self.pictures.len() + self.voices.len() < MAX_SUBSCRIPTIONS
    }

    fn wanted(&self) -> Told {
        Told {
            pictures: if self.paused {
                BTreeMap::new()
            } else {
                self.pictures.clone()
            },
            voices: self.voices.clone(),
        }
    }

    fn changed(&mut self, now: Timestamp) {
        self.source = Source::Shown;
        let wanted = self.wanted();
        let at = match &self.told {
            Some(told) if *told == wanted => {
                self.due = None;
                return;
            }
            Some(told) if !wanted.exceeds(told) => now + SHRINK_AFTER,
            _ => now + GATHER,
        };
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

impl Told {
    /// Whether something is wanted that was not wanted before, or of which less was wanted.
    fn exceeds(&self, before: &Self) -> bool {
        let is_more = |(track, view): (&TrackRef, &View)| {
            before
                .pictures
                .get(track)
                .is_none_or(|before| pixels(view) > pixels(before) || view.priority > before.priority)
        };
        self.pictures.iter().any(is_more) || !self.voices.is_subset(&before.voices)
    }

    fn interest(&self) -> Interest {
        let picture = |(&track, view): (&TrackRef, &View)| Subscription {
            track,
            width: view.width,
            height: view.height,
            priority: view.priority,
        };
        let voice = |&track: &TrackRef| Subscription {
            track,
            width: 0,
            height: 0,
            priority: 0,
        };
        Interest::Chosen {
            speakers: true,
            tracks: self
                .pictures
                .iter()
                .map(picture)
                .chain(self.voices.iter().map(voice))
                .collect(),
        }
    }
}

/// Without a size the largest is asked for.
fn pixels(view: &View) -> u64 {
    match u64::from(view.width) * u64::from(view.height) {
        0 => u64::MAX,
        pixels => pixels,
    }
}

#[cfg(test)]
mod tests {
    use videocall_types::TrackId;

    use super::*;

    fn track(number: u64) -> TrackRef {
        TrackRef {
            session: SessionId::new(number).expect("not zero"),
            track: TrackId(2),
        }
    }

    fn view(width: u32) -> View {
        View {
            width,
            height: width,
            priority: 0,
        }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// The widths that the relay is told, by session.
    fn told(views: &mut Views, now: Timestamp) -> Option<Vec<(u64, u32)>> {
        let Interest::Chosen { speakers, tracks } = views.take(now)? else {
            panic!("nobody asked for everything");
        };
        assert!(speakers);
        Some(
            tracks
                .iter()
                .map(|wish| (wish.track.session.get(), wish.width))
                .collect(),
        )
    }

    #[test]
    fn a_page_that_lays_out_its_tiles_is_told_once() {
        let mut views = Views::default();
        assert!(views.are_automatic());
        views.start_over(at(0));
        assert_eq!(views.due(), None, "until then the greeting's wish holds");
        for number in 1..=5 {
            views.show(track(number), view(100), at(0));
        }
        assert_eq!(told(&mut views, at(14)), None);
        assert_eq!(told(&mut views, at(15)).map(|told| told.len()), Some(5));
        assert_eq!(views.due(), None);
        assert!(!views.are_automatic());
    }

    #[test]
    fn more_is_told_at_once_and_less_after_a_moment() {
        let mut views = Views::default();
        views.show(track(1), view(100), at(0));
        assert_eq!(told(&mut views, at(15)), Some(vec![(1, 100)]));
        views.show(track(1), view(50), at(1_000));
        assert_eq!(views.due(), Some(at(1_150)));
        assert_eq!(told(&mut views, at(1_150)), Some(vec![(1, 50)]));
        views.show(track(1), view(200), at(2_000));
        assert_eq!(told(&mut views, at(2_015)), Some(vec![(1, 200)]));
        views.hide(track(1), at(3_000));
        assert_eq!(views.due(), Some(at(3_150)));
        views.show(track(1), view(200), at(3_100));
        assert_eq!(views.due(), None, "it was only moved");
    }

    #[test]
    fn a_window_being_resized_costs_ten_messages_a_second() {
        let mut views = Views::default();
        let mut messages = 0;
        for step in 0..100 {
            views.show(track(1), view(100 + step), at(u64::from(step) * 10));
            messages += u32::from(views.take(at(u64::from(step) * 10)).is_some());
        }
        assert!((5..=10).contains(&messages), "{messages} messages");
        assert_eq!(
            told(&mut views, at(1_200)),
            Some(vec![(1, 199)]),
            "the last counts"
        );
    }

    #[test]
    fn while_nothing_can_be_seen_nothing_but_voices_is_wanted() {
        let mut views = Views::default();
        let voice = TrackRef {
            track: TrackId(1),
            ..track(1)
        };
        views.show(track(1), view(100), at(0));
        views.listen(voice, true, at(0));
        assert_eq!(told(&mut views, at(15)), Some(vec![(1, 100), (1, 0)]));
        views.set_paused(true, at(1_000));
        assert_eq!(told(&mut views, at(1_150)), Some(vec![(1, 0)]));
        views.set_paused(false, at(2_000));
        assert_eq!(told(&mut views, at(2_015)), Some(vec![(1, 100), (1, 0)]));
        views.listen(voice, false, at(3_000));
        assert_eq!(told(&mut views, at(3_150)), Some(vec![(1, 100)]));
    }

    #[test]
    fn the_next_relay_is_told_at_once_and_only_of_those_who_are_there() {
        let mut views = Views::default();
        views.show(track(1), view(100), at(0));
        views.show(track(2), view(100), at(0));
        assert!(views.take(at(15)).is_some());
        views.forget(track(2).session);
        assert_eq!(views.due(), None, "the relay knows");
        views.start_over(at(20));
        assert_eq!(told(&mut views, at(20)), Some(vec![(1, 100)]));
    }

    #[test]
    fn what_is_said_at_once_replaces_what_is_shown() {
        let mut views = Views::default();
        views.show(track(1), view(100), at(0));
        views.replace(Interest::Everything, at(5));
        assert_eq!(views.take(at(5)), Some(Interest::Everything));
        views.start_over(at(10));
        assert_eq!(views.take(at(10)), Some(Interest::Everything));
        views.show(track(2), view(100), at(200));
        assert_eq!(told(&mut views, at(215)), Some(vec![(2, 100)]));
    }

    #[test]
    fn there_are_no_more_wishes_than_a_relay_takes() {
        let mut views = Views::default();
        for number in 1..=(MAX_SUBSCRIPTIONS as u64 + 10) {
            views.show(track(number), view(100), at(0));
        }
        assert_eq!(
            told(&mut views, at(15)).map(|told| told.len()),
            Some(MAX_SUBSCRIPTIONS)
        );
    }
}
