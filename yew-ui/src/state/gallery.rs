//! Whose pictures are on the page when there is no room for everybody's. The first page has those who speak, who is
//! pinned, and of the others those who were there; a tile keeps its place for as long as it can. The pages after it
//! have everybody else, as they came. Who is pinned is on every page.

use std::collections::BTreeMap;
use std::rc::Rc;

use videocall_types::SessionId;

use super::call::{Person, PictureState};

/// The pages of tiles, and which of them is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    /// The first page, place by place.
    first: Vec<SessionId>,
    /// The pages after it.
    further: Vec<Vec<SessionId>>,
    /// Which page is looked at, from 0.
    page: usize,
    /// When somebody last spoke, in steps of [`Gallery::time`].
    spoke: BTreeMap<SessionId, u64>,
    time: u64,
}

/// Who has to be on the page, and how many can.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Who is to be on every page.
    pub pinned: Option<SessionId>,
    /// Who is to be on the first page, the first first.
    pub speakers: &'a [SessionId],
    /// How many tiles of others fit. When there are more people, the first page gives one place less away, for the
    /// tile that tells so.
    pub room: usize,
}

/// Which page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 0.
    pub index: usize,
    /// How many there are, at least one.
    pub count: usize,
}

/// To another page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// To the one after this.
    Next,
    /// To the one before this.
    Previous,
}

impl Gallery {
    /// Who is on the page that is looked at, place by place.
    pub fn shown(&self) -> &[SessionId] {
        match self.page.checked_sub(1) {
            None => &self.first,
            Some(index) => self.further.get(index).map_or(&[], Vec::as_slice),
        }
    }

    /// Which page is looked at.
    pub fn page(&self) -> Page {
        Page {
            index: self.page,
            count: 1 + self.further.len(),
        }
    }

    /// These speak now, the most prominent first.
    pub fn hear(&mut self, speakers: &[SessionId]) {
        self.time += 1;
        for &session in speakers {
            self.spoke.insert(session, self.time);
        }
    }

    /// Looks at another page, if there is one.
    pub fn turn(&mut self, turn: Turn, people: &[Rc<Person>], wish: Wish<'_>) {
        let page = match turn {
            Turn::Next => self.page + 1,
            Turn::Previous => self.page.saturating_sub(1),
        };
        self.page = page.min(self.further.len());
        self.choose(people, wish);
    }

    /// Chooses anew, after people came, went or spoke, or the room has changed. While another page is looked at, the
    /// first one stays as it is: who is swapped there would push those on the other pages about.
    pub fn choose(&mut self, people: &[Rc<Person>], wish: Wish<'_>) {
        let is_here = |session: SessionId| people.iter().any(|person| person.session == session);
        self.spoke.retain(|&session, _| is_here(session));
        self.first.retain(|&session| is_here(session));
        let places = if people.len() <= wish.room {
            self.page = 0;
            people.len()
        } else {
            wish.room.saturating_sub(1).max(1)
        };
        if self.page == 0 || self.first.len() > places {
            self.choose_first(people, wish, places);
        }
        self.further = self.others(people, wish);
        if self.page > self.further.len() {
            self.page = self.further.len();
            self.choose(people, wish);
        }
    }

    fn choose_first(&mut self, people: &[Rc<Person>], wish: Wish<'_>, places: usize) {
        let is_here = |session: &SessionId| people.iter().any(|person| person.session == *session);
        let wanted = wish.pinned.iter().chain(wish.speakers);
        let mut wanted: Vec<SessionId> = wanted.copied().filter(is_here).collect();
        wanted.truncate(places);
        while self.first.len() > places {
            let index = self.least(people, &wanted).unwrap_or(self.first.len() - 1);
            self.first.remove(index);
        }
        self.fill(people, &wanted, places);
        for session in &wanted {
            if !self.first.contains(session)
                && let Some(index) = self.least(people, &wanted)
            {
                self.first[index] = *session;
            }
        }
    }

    /// Everybody who is not on the first page, on as few pages as they fit on, all about equally full.
    fn others(&self, people: &[Rc<Person>], wish: Wish<'_>) -> Vec<Vec<SessionId>> {
        let sessions = people.iter().map(|person| person.session);
        let others: Vec<SessionId> = sessions
            .filter(|session| !self.first.contains(session) && Some(*session) != wish.pinned)
            .collect();
        let places = wish
            .room
            .saturating_sub(usize::from(wish.pinned.is_some()))
            .max(1);
        let pages = others.len().div_ceil(places);
        if pages == 0 {
            return Vec::new();
        }
        let pages = others.chunks(others.len().div_ceil(pages));
        let with_pinned = |page: &[SessionId]| wish.pinned.iter().chain(page).copied().collect();
        pages.map(with_pinned).collect()
    }

    /// Gives free places to who is wanted, then to those with a camera, then to the others, as they came.
    fn fill(&mut self, people: &[Rc<Person>], wanted: &[SessionId], places: usize) {
        let free = places.saturating_sub(self.first.len());
        if free == 0 {
            return;
        }
        let mut candidates: Vec<&Rc<Person>> = people
            .iter()
            .filter(|person| !self.first.contains(&person.session))
            .collect();
        if candidates.len() > free {
            candidates.sort_by_key(|person| {
                let turn = wanted.iter().position(|&session| session == person.session);
                (turn.unwrap_or(usize::MAX), !has_picture(person))
            });
        }
        self.first
            .extend(candidates.into_iter().take(free).map(|person| person.session));
    }

    /// The place that is given away first: of those who are not wanted, the one who has been silent longest, without a
    /// camera before with, the last before the first.
    fn least(&self, people: &[Rc<Person>], wanted: &[SessionId]) -> Option<usize> {
        let shown = self.first.iter().enumerate();
        let others = shown.filter(|(_, session)| !wanted.contains(session));
        others
            .rev()
            .min_by_key(|(_, session)| {
                let person = people.iter().find(|person| person.session == **session);
                let spoke = self.spoke.get(session).copied().unwrap_or_default();
                (spoke, person.is_some_and(|person| has_picture(person)))
            })
            .map(|(index, _)| index)
    }
}

fn has_picture(person: &Person) -> bool {
    person.camera.state != PictureState::Off
}

#[cfg(test)]
mod tests {
    use videocall_types::{TrackId, TrackRef};

    use super::*;
    use crate::state::call::{Picture, Sound};

    fn session(number: u64) -> SessionId {
        SessionId::new(number).expect("not zero")
    }

    fn person(number: u64, camera: bool) -> Rc<Person> {
        let track = TrackRef {
            session: session(number),
            track: TrackId(2),
        };
        Rc::new(Person {
            session: session(number),
            name: format!("p{number}"),
            label: format!("p{number}"),
            microphone: Sound::On,
            voice: None,
            camera: Picture {
                track: Some(track),
                state: if camera {
                    PictureState::Live
                } else {
                    PictureState::Off
                },
            },
            screen: None,
            screen_sound: None,
            speaking: false,
        })
    }

    fn people(count: u64) -> Vec<Rc<Person>> {
        (1..=count).map(|number| person(number, true)).collect()
    }

    fn sessions(numbers: &[u64]) -> Vec<SessionId> {
        numbers.iter().map(|&number| session(number)).collect()
    }

    fn shown(gallery: &Gallery) -> Vec<u64> {
        gallery.shown().iter().map(|session| session.get()).collect()
    }

    fn room(room: usize) -> Wish<'static> {
        Wish {
            pinned: None,
            speakers: &[],
            room,
        }
    }

    /// Hears these and chooses.
    fn speak(gallery: &mut Gallery, people: &[Rc<Person>], speakers: &[u64], places: usize) -> Vec<u64> {
        let speakers = sessions(speakers);
        gallery.hear(&speakers);
        let wish = Wish {
            speakers: &speakers,
            ..room(places)
        };
        gallery.choose(people, wish);
        shown(gallery)
    }

    /// Everybody on every page, and the first page again.
    fn leaf_through(gallery: &mut Gallery, people: &[Rc<Person>], wish: Wish<'_>) -> Vec<Vec<u64>> {
        while gallery.page().index > 0 {
            gallery.turn(Turn::Previous, people, wish);
        }
        let mut pages = vec![shown(gallery)];
        while gallery.page().index + 1 < gallery.page().count {
            gallery.turn(Turn::Next, people, wish);
            pages.push(shown(gallery));
        }
        pages
    }

    #[test]
    fn with_room_for_all_everybody_is_there_in_order_of_arrival() {
        let mut gallery = Gallery::default();
        assert_eq!(speak(&mut gallery, &people(4), &[], 4), [1, 2, 3, 4]);
        assert_eq!(
            speak(&mut gallery, &people(4), &[4], 4),
            [1, 2, 3, 4],
            "speaking moves nobody"
        );
    }

    #[test]
    fn who_speaks_takes_the_place_of_who_was_silent_longest() {
        let mut gallery = Gallery::default();
        let all = people(9);
        assert_eq!(
            speak(&mut gallery, &all, &[], 4),
            [1, 2, 3],
            "one place tells of the others"
        );
        assert_eq!(speak(&mut gallery, &all, &[1], 4), [1, 2, 3]);
        assert_eq!(speak(&mut gallery, &all, &[7], 4), [1, 2, 7]);
        assert_eq!(speak(&mut gallery, &all, &[8, 7], 4), [1, 8, 7]);
        assert_eq!(
            speak(&mut gallery, &all, &[9], 4),
            [9, 8, 7],
            "1 has spoken before 7 and 8"
        );
        assert_eq!(speak(&mut gallery, &all, &[8], 4), [9, 8, 7]);
    }

    #[test]
    fn more_speakers_than_places_are_the_most_prominent_ones() {
        let mut gallery = Gallery::default();
        let mut shown = speak(&mut gallery, &people(9), &[9, 8, 7, 6, 5], 4);
        shown.sort_unstable();
        assert_eq!(shown, [7, 8, 9]);
    }

    #[test]
    fn a_camera_that_is_off_gives_way_first() {
        let mut gallery = Gallery::default();
        let mut all = people(6);
        all[1] = person(2, false);
        assert_eq!(
            speak(&mut gallery, &all, &[], 4),
            [1, 3, 4],
            "those with a picture come first"
        );
        all[2] = person(3, false);
        assert_eq!(speak(&mut gallery, &all, &[6], 4), [1, 6, 4]);
    }

    #[test]
    fn who_leaves_makes_room_and_the_others_stay() {
        let mut gallery = Gallery::default();
        let mut all = people(6);
        assert_eq!(speak(&mut gallery, &all, &[5], 4), [5, 1, 2]);
        all.remove(0);
        assert_eq!(speak(&mut gallery, &all, &[5], 4), [5, 2, 3]);
        all.truncate(3);
        assert_eq!(speak(&mut gallery, &all, &[], 4), [2, 3, 4]);
    }

    #[test]
    fn a_window_that_grows_or_shrinks_moves_as_few_as_possible() {
        let mut gallery = Gallery::default();
        let all = people(9);
        speak(&mut gallery, &all, &[9], 5);
        assert_eq!(speak(&mut gallery, &all, &[], 7), [9, 1, 2, 3, 4, 5]);
        assert_eq!(speak(&mut gallery, &all, &[], 4), [9, 1, 2]);
        assert_eq!(speak(&mut gallery, &all, &[], 1), [9]);
        assert_eq!(speak(&mut gallery, &all, &[], 0), [9]);
    }

    #[test]
    fn everybody_is_on_one_page() {
        for count in 0..40 {
            for places in 0..12 {
                let all = people(count);
                let mut gallery = Gallery::default();
                gallery.choose(&all, room(places));
                let pages = leaf_through(&mut gallery, &all, room(places));
                let mut seen: Vec<u64> = pages.concat();
                seen.sort_unstable();
                assert_eq!(seen, (1..=count).collect::<Vec<_>>(), "{pages:?}");
                let longest = pages[1..].iter().map(Vec::len).max().unwrap_or_default();
                let shortest = pages[1..].iter().map(Vec::len).min().unwrap_or_default();
                assert!(longest <= places.max(1), "{pages:?}");
                assert!(longest - shortest <= pages.len(), "about equally full: {pages:?}");
            }
        }
    }

    #[test]
    fn pages_follow_one_another_and_end() {
        let all = people(9);
        let mut gallery = Gallery::default();
        gallery.choose(&all, room(4));
        assert_eq!(
            leaf_through(&mut gallery, &all, room(4)),
            [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]]
        );
        assert_eq!(gallery.page(), Page { index: 2, count: 3 });
        gallery.turn(Turn::Next, &all, room(4));
        assert_eq!(gallery.page().index, 2, "nothing comes after the last");
        gallery.turn(Turn::Previous, &all, room(4));
        assert_eq!(shown(&gallery), [4, 5, 6]);
    }

    #[test]
    fn who_speaks_moves_nobody_on_the_other_pages() {
        let all = people(9);
        let mut gallery = Gallery::default();
        gallery.choose(&all, room(4));
        gallery.turn(Turn::Next, &all, room(4));
        assert_eq!(speak(&mut gallery, &all, &[8], 4), [4, 5, 6]);
        let speakers = sessions(&[8]);
        let wish = Wish {
            speakers: &speakers,
            ..room(4)
        };
        gallery.turn(Turn::Previous, &all, wish);
        assert_eq!(
            shown(&gallery),
            [1, 2, 8],
            "the first page has them when it is seen"
        );
    }

    #[test]
    fn who_is_pinned_is_on_every_page() {
        let all = people(9);
        let mut gallery = Gallery::default();
        let pinned = Wish {
            pinned: Some(session(5)),
            ..room(4)
        };
        gallery.choose(&all, pinned);
        let pages = leaf_through(&mut gallery, &all, pinned);
        assert_eq!(pages, [vec![5, 1, 2], vec![5, 3, 4, 6], vec![5, 7, 8, 9]]);
    }

    #[test]
    fn a_page_that_is_gone_leads_to_the_last_there_is() {
        let all = people(9);
        let mut gallery = Gallery::default();
        gallery.choose(&all, room(4));
        gallery.turn(Turn::Next, &all, room(4));
        gallery.turn(Turn::Next, &all, room(4));
        gallery.choose(&all[..6], room(4));
        assert_eq!(shown(&gallery), [4, 5, 6]);
        gallery.choose(&all[..6], room(8));
        assert_eq!(gallery.page(), Page { index: 0, count: 1 });
        assert_eq!(shown(&gallery), [1, 2, 3, 4, 5, 6]);
    }
}
