//! Whose pictures are on the page when there is no room for everybody's: those who speak, who is pinned, and of
//! the others those who were there. A tile keeps its place for as long as it can.

use std::collections::BTreeMap;
use std::rc::Rc;

use videocall_types::SessionId;

use super::call::{Person, PictureState};

/// The people whose tiles are on the page, in the order of their places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    shown: Vec<SessionId>,
    /// When somebody last spoke, in steps of [`Gallery::time`].
    spoke: BTreeMap<SessionId, u64>,
    time: u64,
}

impl Gallery {
    /// Who is on the page, place by place.
    pub fn shown(&self) -> &[SessionId] {
        &self.shown
    }

    /// These speak now, the most prominent first.
    pub fn hear(&mut self, speakers: &[SessionId]) {
        self.time += 1;
        for &session in speakers {
            self.spoke.insert(session, self.time);
        }
    }

    /// Chooses anew, after people came, went or spoke, or the room has changed. `room` counts the tiles of others;
    /// when there are more people, one place less is given away, for the tile that tells so. `wanted` have to be
    /// on the page, the first first.
    pub fn choose(&mut self, people: &[Rc<Person>], wanted: &[SessionId], room: usize) {
        let is_here = |session: SessionId| people.iter().any(|person| person.session == session);
        self.spoke.retain(|&session, _| is_here(session));
        self.shown.retain(|&session| is_here(session));
        let places = if people.len() <= room {
            people.len()
        } else {
            room.saturating_sub(1).max(1)
        };
        let mut wanted: Vec<SessionId> = wanted
            .iter()
            .copied()
            .filter(|&session| is_here(session))
            .collect();
        wanted.truncate(places);
        while self.shown.len() > places {
            let index = self.least(people, &wanted).unwrap_or(self.shown.len() - 1);
            self.shown.remove(index);
        }
        self.fill(people, &wanted, places);
        for session in &wanted {
            if !self.shown.contains(session)
                && let Some(index) = self.least(people, &wanted)
            {
                self.shown[index] = *session;
            }
        }
    }

    /// Gives free places to who is wanted, then to those with a camera, then to the others, as they came.
    fn fill(&mut self, people: &[Rc<Person>], wanted: &[SessionId], places: usize) {
        let free = places.saturating_sub(self.shown.len());
        if free == 0 {
            return;
        }
        let mut candidates: Vec<&Rc<Person>> = people
            .iter()
            .filter(|person| !self.shown.contains(&person.session))
            .collect();
        if candidates.len() > free {
            candidates.sort_by_key(|person| {
                let turn = wanted.iter().position(|&session| session == person.session);
                (turn.unwrap_or(usize::MAX), !has_picture(person))
            });
        }
        self.shown
            .extend(candidates.into_iter().take(free).map(|person| person.session));
    }

    /// The place that is given away first: of those who are not wanted, the one who has been silent longest, without a
    /// camera before with, the last before the first.
    fn least(&self, people: &[Rc<Person>], wanted: &[SessionId]) -> Option<usize> {
        let shown = self.shown.iter().enumerate();
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
            speaking: false,
        })
    }

    fn people(count: u64) -> Vec<Rc<Person>> {
        (1..=count).map(|number| person(number, true)).collect()
    }

    fn sessions(numbers: &[u64]) -> Vec<SessionId> {
        numbers.iter().map(|&number| session(number)).collect()
    }

    /// Hears these and chooses.
    fn speak(gallery: &mut Gallery, people: &[Rc<Person>], speakers: &[u64], room: usize) -> Vec<u64> {
        gallery.hear(&sessions(speakers));
        gallery.choose(people, &sessions(speakers), room);
        gallery.shown().iter().map(|session| session.get()).collect()
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
}
