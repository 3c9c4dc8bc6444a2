//! A running call: who is there, what they show, how the connection is, what has to be told.
//!
//! A pure reducer. It leaves it to the client library to find out, and to the components to draw.

use std::rc::Rc;

use videocall_types::api::TransportKind;
use videocall_types::{CloseCode, Participant, SessionId, TrackInfo, TrackKind, TrackRef};

use super::gallery::{Gallery, Page, Turn, Wish};
use super::name;
use super::notice::{Device, DeviceFault, Notice, Notices};

/// Levels from here on count as speech: quiet speech reaches it, a silent room does not.
const SPEAKING_FROM: f32 = 0.02;
/// Below this, somebody has stopped. Lower than [`SPEAKING_FROM`], so that the ring does not flicker between words.
const SILENT_BELOW: f32 = 0.008;

/// Between two reminders that one is muted, milliseconds: a conversation in the room is no reason to nag.
const HINT_INTERVAL_MS: f64 = 10_000.0;

/// Everything the call page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallState {
    /// To the relay.
    pub connection: Connection,
    /// Everybody else, in the order of their arrival.
    pub people: Vec<Rc<Person>>,
    /// Who of them speaks, the most prominent first; the same for everybody in the meeting.
    pub speakers: Vec<SessionId>,
    /// Whom the person wants to see large.
    pub pinned: Option<SessionId>,
    /// Whose tiles are on the page.
    pub gallery: Gallery,
    /// How many tiles of others fit; until the page was measured, as many as there are.
    pub room: Option<usize>,
    /// The person at this device.
    pub own: Own,
    /// The client library has said what is sent; until then `own` is what the person wants.
    pub own_is_known: bool,
    /// What has to be told.
    pub notices: Notices,
    /// When the person was last told that they are muted, milliseconds on the page's clock.
    pub hinted_at_ms: Option<f64>,
    /// It was connected once.
    pub joined: bool,
    /// Why the call is over.
    pub ended: Option<Ending>,
    /// Participants on other relays cannot be reached.
    pub others_unreachable: bool,
    /// The last coming or going, for those who cannot see it.
    pub announcement: Option<Announcement>,
}

/// Somebody came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The one with this name came.
    Joined(String),
    /// The one with this name went.
    Left(String),
}

/// The connection to the relay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connection {
    /// Where it stands.
    pub phase: Phase,
    /// What carries it.
    pub transport: Option<TransportKind>,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<u32>,
    /// Why it does not run over the better carrier, in the client library's words.
    pub hint: Option<String>,
    /// Every server has said no, the last one for this reason.
    pub refused: Option<Refusal>,
}

/// Why servers take nobody at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// They have as many people as they take.
    Full,
    /// Too many connections come from here.
    TooManyFromHere,
    /// They are overloaded or restarting.
    Busy,
}

impl Refusal {
    /// What a relay's code means to a person.
    pub const fn from_code(code: CloseCode) -> Self {
        match code {
            CloseCode::RelayFull | CloseCode::MeetingFull => Self::Full,
            CloseCode::TooManyConnections => Self::TooManyFromHere,
            _ => Self::Busy,
        }
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// For the first time.
    #[default]
    Connecting,
    /// The relay has answered.
    Connected,
    /// It was connected before.
    Reconnecting,
    /// It will not be.
    Failed,
}

/// The person at this device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Sound is sent.
    pub microphone: bool,
    /// Pictures are sent.
    pub camera: bool,
    /// The screen is sent.
    pub screen: bool,
    /// Somebody is heard.
    pub speaking: bool,
}

/// Somebody else.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// This stay.
    pub session: SessionId,
    /// As they call themselves; may repeat.
    pub name: String,
    /// The name, numbered where it repeats.
    pub label: String,
    /// Whether they can be heard.
    pub microphone: Sound,
    /// The track of their voice.
    pub voice: Option<TrackRef>,
    /// Their face.
    pub camera: Picture,
    /// What they share.
    pub screen: Option<Picture>,
    /// The sound of what they share.
    pub screen_sound: Option<TrackRef>,
    /// They are heard right now.
    pub speaking: bool,
}

/// A microphone, seen from afar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Open.
    On,
    /// Closed, or there is none.
    Off,
}

/// A picture, seen from afar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Where it comes from; `None` without a camera.
    pub track: Option<TrackRef>,
    /// Whether it can be seen.
    pub state: PictureState,
}

/// Whether a picture can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureState {
    /// It moves.
    Live,
    /// It is on but nothing has arrived (for a while).
    Waiting,
    /// It is on but cannot be decoded here.
    Undecodable,
    /// It is switched off.
    Off,
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The person left.
    Left,
    /// It never began, for this reason.
    Refused(String),
    /// It was ended or lost, for this reason.
    Closed(String),
}

/// A change of the call.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The connection changed.
    Connection(Connection),
    /// The whole roster, also after a reconnect.
    Roster(Vec<Participant>),
    /// Somebody came.
    Joined(Participant),
    /// Somebody is gone.
    Left(SessionId),
    /// A track is new or changed.
    TrackChanged(SessionId, TrackInfo),
    /// A track has ended.
    TrackRemoved(TrackRef),
    /// A picture started, stopped or stalled.
    Picture(TrackRef, PictureState),
    /// Who speaks, the most prominent first.
    Speakers(Vec<SessionId>),
    /// Pins somebody, or lets go of who is pinned already.
    TogglePin(SessionId),
    /// Looks at another page of tiles.
    Turn(Turn),
    /// How many tiles of others fit on the page.
    Room(usize),
    /// Loudness from 0 to 1: one's own, and that of others.
    Levels(f32, Vec<(SessionId, f32)>),
    /// One's own devices changed: microphone, camera, screen.
    Own(bool, bool, bool),
    /// The person speaks although they are muted; when, milliseconds on the page's clock.
    SpeakingWhileMuted(f64),
    /// A device gives nothing.
    DeviceFault(Device, DeviceFault),
    /// Participants on other relays can be reached, or not.
    Reachable(bool),
    /// Something to tell.
    Tell(Notice),
    /// The person has read it.
    Dismiss(Notice),
    /// It takes long to connect for the first time.
    StillConnecting,
    /// The person leaves.
    Leave,
    /// The server or the client library has ended it, for this reason.
    Closed(String),
}

impl CallState {
    /// Before anything is known but what the person wants.
    pub fn starting(microphone: bool, camera: bool) -> Self {
        Self {
            own: Own {
                microphone,
                camera,
                ..Own::default()
            },
            ..Self::default()
        }
    }

    /// The state after a change.
    #[must_use]
    pub fn after(&self, action: Action) -> Self {
        let mut next = self.clone();
        match action {
            Action::Connection(connection) => next.connect(connection),
            Action::Levels(own, others) => next.hear(own, &others),
            Action::Own(microphone, camera, screen) => next.set_own(microphone, camera, screen),
            Action::SpeakingWhileMuted(now_ms) => next.hint_at_mute(now_ms),
            Action::DeviceFault(device, fault) => next.device_fails(device, fault),
            Action::Reachable(reachable) => next.set_reachable(reachable),
            Action::Speakers(sessions) => next.set_speakers(sessions),
            Action::TogglePin(session) => {
                next.pinned = (next.pinned != Some(session)).then_some(session);
                next.choose_tiles();
            }
            Action::Turn(turn) => next.turn(turn),
            Action::Room(room) => {
                next.room = Some(room);
                next.choose_tiles();
            }
            Action::Tell(notice) => next.notices.show(notice),
            Action::Dismiss(notice) => next.notices.dismiss(&notice),
            Action::StillConnecting => {
                let connection = &next.connection;
                let silent = connection.phase == Phase::Connecting && connection.refused.is_none();
                next.notices.set(Notice::ServerSilent, silent);
            }
            Action::Leave => next.end(Ending::Left),
            Action::Closed(reason) if next.joined => next.end(Ending::Closed(reason)),
            Action::Closed(reason) => next.end(Ending::Refused(reason)),
            Action::Roster(_)
            | Action::Joined(_)
            | Action::Left(_)
            | Action::TrackChanged(..)
            | Action::TrackRemoved(_)
            | Action::Picture(..) => next.change_people(action),
        }
        next
    }

    /// How many are in the call, the person at this device included.
    pub fn count(&self) -> usize {
        self.people.len() + 1
    }

    /// Those who share a screen.
    pub fn presenters(&self) -> impl Iterator<Item = (&Rc<Person>, Picture)> {
        self.people
            .iter()
            .filter_map(|person| Some((person, person.screen?)))
    }

    /// Those whose tiles are on the page, place by place.
    pub fn tiles(&self) -> impl Iterator<Item = &Rc<Person>> {
        let shown = self.gallery.shown().iter();
        shown.filter_map(|&session| self.people.iter().find(|person| person.session == session))
    }

    /// Which page of tiles is looked at.
    pub fn page(&self) -> Page {
        self.gallery.page()
    }

    /// Whose tile is large: who is pinned, unless a screen is what is looked at.
    pub fn large(&self) -> Option<SessionId> {
        self.pinned.filter(|_| self.presenters().next().is_none())
    }

    /// Whether somebody is among those who speak.
    pub fn is_speaker(&self, session: SessionId) -> bool {
        self.speakers.contains(&session)
    }

    fn set_speakers(&mut self, sessions: Vec<SessionId>) {
        self.gallery.hear(&sessions);
        self.speakers = sessions;
        self.choose_tiles();
    }

    fn choose_tiles(&mut self) {
        self.pinned = self.pinned.filter(|&session| self.position(session).is_some());
        let wish = wish(self.pinned, &self.speakers, self.room);
        self.gallery.choose(&self.people, wish);
    }

    fn turn(&mut self, turn: Turn) {
        let wish = wish(self.pinned, &self.speakers, self.room);
        self.gallery.turn(turn, &self.people, wish);
    }

    /// That they are back is news only to who has heard that they were gone.
    fn set_reachable(&mut self, reachable: bool) {
        let was_reachable = !std::mem::replace(&mut self.others_unreachable, !reachable);
        if reachable == was_reachable {
            return;
        }
        self.notices.set(Notice::RelaysUnreachable, !reachable);
        self.notices.set(Notice::RelaysReachable, reachable);
    }

    /// What was dismissed comes back only when it has been otherwise in between.
    fn connect(&mut self, connection: Connection) {
        let before = std::mem::replace(&mut self.connection, connection);
        let now = &self.connection;
        self.notices
            .set(Notice::Reconnecting, now.phase == Phase::Reconnecting);
        if before.fell_back() != now.fell_back() {
            self.notices.set(Notice::FellBack, now.fell_back());
        }
        if now.phase != Phase::Connecting || now.refused.is_some() {
            self.notices.dismiss(&Notice::ServerSilent);
        }
        if before.refused != now.refused {
            self.notices.set_refusal(now.refused);
        }
        self.joined |= now.phase == Phase::Connected;
    }

    /// The first reason is the reason.
    fn end(&mut self, ending: Ending) {
        self.ended.get_or_insert(ending);
    }

    fn change_people(&mut self, action: Action) {
        match action {
            Action::Roster(participants) => self.replace_roster(participants),
            Action::Joined(participant) => {
                let index = self.position(participant.session);
                let before = index.map(|index| self.people[index].clone());
                let person = Person::from_participant(participant, before.as_deref());
                match index {
                    Some(index) => self.people[index] = Rc::new(person),
                    None => {
                        self.announcement = Some(Announcement::Joined(person.name.clone()));
                        self.people.push(Rc::new(person));
                    }
                }
            }
            Action::Left(session) => {
                if let Some(index) = self.position(session) {
                    let person = self.people.remove(index);
                    self.announcement = Some(Announcement::Left(person.name.clone()));
                }
            }
            Action::TrackChanged(session, info) => {
                self.change(session, |person| person.track_changed(&info));
            }
            Action::TrackRemoved(track) => {
                self.change(track.session, |person| person.track_removed(track));
            }
            Action::Picture(track, state) => {
                self.change(track.session, |person| person.picture_changed(track, state));
            }
            _ => {}
        }
        self.relabel();
        self.choose_tiles();
    }

    /// Those who stayed keep their place and the state of their pictures.
    fn replace_roster(&mut self, participants: Vec<Participant>) {
        let before = std::mem::take(&mut self.people);
        let known = |session| before.iter().find(|person| person.session == session);
        let mut people: Vec<Rc<Person>> = participants
            .into_iter()
            .map(|participant| {
                let known = known(participant.session);
                Rc::new(Person::from_participant(participant, known.map(Rc::as_ref)))
            })
            .collect();
        people.sort_by_key(|person| {
            before
                .iter()
                .position(|other| other.session == person.session)
                .unwrap_or(usize::MAX)
        });
        self.people = people;
    }

    fn relabel(&mut self) {
        let labels = name::labels(self.people.iter().map(|person| person.name.as_str()));
        for (person, label) in self.people.iter_mut().zip(labels) {
            if person.label != label {
                Rc::make_mut(person).label = label;
            }
        }
    }

    fn hear(&mut self, own: f32, others: &[(SessionId, f32)]) {
        self.own.speaking = self.own.microphone && speaks(self.own.speaking, own);
        for person in &mut self.people {
            let level = others
                .iter()
                .find_map(|&(session, level)| (session == person.session).then_some(level))
                .unwrap_or_default();
            let speaking = person.microphone == Sound::On && speaks(person.speaking, level);
            if person.speaking != speaking {
                Rc::make_mut(person).speaking = speaking;
            }
        }
    }

    /// Until it is known what is sent, the page shows what was wanted; a fault tells that it is not.
    fn device_fails(&mut self, device: Device, fault: DeviceFault) {
        self.notices.show(Notice::Device(device, fault));
        if !self.own_is_known {
            self.own.camera &= device != Device::Camera;
            self.own.microphone &= device != Device::Microphone;
        }
    }

    fn hint_at_mute(&mut self, now_ms: f64) {
        let recently = |at: f64| now_ms - at < HINT_INTERVAL_MS;
        if !self.own.microphone && !self.hinted_at_ms.is_some_and(recently) {
            self.hinted_at_ms = Some(now_ms);
            self.notices.show(Notice::SpeakingWhileMuted);
        }
    }

    fn set_own(&mut self, microphone: bool, camera: bool, screen: bool) {
        for (works, device) in [
            (microphone, Device::Microphone),
            (camera, Device::Camera),
            (screen, Device::Screen),
        ] {
            if works {
                self.notices.device_works(device);
            }
        }
        if microphone {
            self.notices.dismiss(&Notice::SpeakingWhileMuted);
        }
        self.own_is_known = true;
        let speaking = self.own.speaking && microphone;
        self.own = Own {
            microphone,
            camera,
            screen,
            speaking,
        };
    }

    fn position(&self, session: SessionId) -> Option<usize> {
        self.people.iter().position(|person| person.session == session)
    }

    fn change(&mut self, session: SessionId, change: impl FnOnce(&mut Person)) {
        if let Some(index) = self.position(session) {
            change(Rc::make_mut(&mut self.people[index]));
        }
    }
}

impl Connection {
    /// It runs over WebSocket although the other carrier was tried.
    fn fell_back(&self) -> bool {
        self.phase == Phase::Connected
            && self.transport == Some(TransportKind::WebSocket)
            && self.hint.is_some()
    }
}

impl Person {
    fn from_participant(participant: Participant, before: Option<&Self>) -> Self {
        let mut person = Self {
            session: participant.session,
            name: participant.display_name,
            label: String::new(),
            microphone: Sound::Off,
            voice: None,
            camera: before.map_or(Picture::NONE, |before| before.camera),
            screen: before.and_then(|before| before.screen),
            screen_sound: None,
            speaking: before.is_some_and(|before| before.speaking),
        };
        if person.name.is_empty() {
            person.name = participant.user_id.to_string();
        }
        let has = |kind| participant.tracks.iter().any(|track| track.kind == kind);
        if !has(TrackKind::Camera) {
            person.camera = Picture::NONE;
        }
        if !has(TrackKind::Screen) {
            person.screen = None;
        }
        for track in &participant.tracks {
            person.track_changed(track);
        }
        person
    }

    fn track_changed(&mut self, info: &TrackInfo) {
        let track = TrackRef {
            session: self.session,
            track: info.track,
        };
        match info.kind {
            TrackKind::Microphone => {
                self.microphone = if info.muted { Sound::Off } else { Sound::On };
                self.voice = Some(track);
                self.speaking &= !info.muted;
            }
            TrackKind::Camera => self.camera = self.camera.announced(track, info.muted),
            TrackKind::Screen => {
                let before = self.screen.unwrap_or(Picture::NONE);
                self.screen = (!info.muted).then(|| before.announced(track, false));
            }
            TrackKind::ScreenAudio => self.screen_sound = (!info.muted).then_some(track),
        }
    }

    fn track_removed(&mut self, track: TrackRef) {
        if self.camera.track == Some(track) {
            self.camera = Picture::NONE;
        } else if self.screen.is_some_and(|screen| screen.track == Some(track)) {
            self.screen = None;
        } else if self.screen_sound == Some(track) {
            self.screen_sound = None;
        } else if self.voice == Some(track) {
            self.microphone = Sound::Off;
            self.voice = None;
            self.speaking = false;
        }
    }

    fn picture_changed(&mut self, track: TrackRef, state: PictureState) {
        let pictures = std::iter::once(&mut self.camera).chain(self.screen.as_mut());
        for picture in pictures.filter(|picture| picture.track == Some(track)) {
            // A frame that was on its way when its sender switched off does not bring the picture back.
            if picture.state != PictureState::Off {
                picture.state = state;
            }
        }
    }
}

impl Picture {
    /// No camera.
    pub const NONE: Self = Self {
        track: None,
        state: PictureState::Off,
    };

    fn announced(self, track: TrackRef, muted: bool) -> Self {
        let state = match self.state {
            _ if muted => PictureState::Off,
            PictureState::Live if self.track == Some(track) => PictureState::Live,
            _ => PictureState::Waiting,
        };
        Self {
            track: Some(track),
            state,
        }
    }
}

impl PictureState {
    /// `live`, `waiting`, `undecodable` or `off`: the word in `data-state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Undecodable => "undecodable",
            Self::Off => "off",
        }
    }
}

impl Phase {
    /// The word in `data-state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
        }
    }
}

fn wish(pinned: Option<SessionId>, speakers: &[SessionId], room: Option<usize>) -> Wish<'_> {
    Wish {
        pinned,
        speakers,
        room: room.unwrap_or(usize::MAX),
    }
}

fn speaks(before: bool, level: f32) -> bool {
    level >= if before { SILENT_BELOW } else { SPEAKING_FROM }
}

#[cfg(test)]
mod tests;
