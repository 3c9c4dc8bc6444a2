//! Looks at a running call once a second: its figures become history and judgements.

use std::cell::RefCell;
use std::rc::Rc;

use gloo::timers::callback::Interval;
use gloo::utils::document;
use videocall_client::Call;
use videocall_client::stats::{CallStats, LocalTrackStats, RemoteTrackStats, SendingLimit};
use videocall_types::{SessionId, TrackKind};
use yew::prelude::*;

use super::CallHandle;
use super::clock::page_clock_ms;
use crate::state::call::Phase;
use crate::state::figures::{
    ConnectionFigures, Figures, Limit, PersonFigures, PictureFigures, SentPicture, SoundFigures,
};
use crate::state::history::History;
use crate::state::quality::{Quality, Situation, Standing};

/// Between two looks: the series of the history are by the second.
const INTERVAL_MS: u32 = 1000;

/// Samples of sound per millisecond, as the figures count them.
const SAMPLES_PER_MS: f64 = 48.0;

/// The figures of a call over time; the same for all who hold it.
#[derive(Clone, Default)]
pub(crate) struct Record(Rc<RefCell<History>>);

impl Record {
    /// Looks into it.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&History) -> R) -> R {
        look(&self.0.borrow())
    }
}

/// There is one record per call.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

/// What the page knows and the figures do not tell.
#[derive(Default)]
struct Seen {
    connected: bool,
    reconnecting: bool,
    shown: Vec<SessionId>,
}

/// Follows the figures of a call: how good it is, which changes seldom, and the record.
#[hook]
pub(crate) fn use_watch(handle: &CallHandle) -> (Rc<Standing>, Record) {
    let standing = use_state_eq(Rc::<Standing>::default);
    let record = (*use_memo((), |()| Record::default())).clone();
    let seen = use_mut_ref(Seen::default);
    {
        let state = &*handle.state;
        let mut seen = seen.borrow_mut();
        seen.connected = state.connection.phase == Phase::Connected;
        seen.reconnecting = state.connection.phase == Phase::Reconnecting;
        seen.shown.clear();
        seen.shown.extend(state.tiles().map(|person| person.session));
    }
    {
        let (setter, record) = (standing.setter(), record.clone());
        use_effect_with(handle.call.clone(), move |call| {
            let call = call.clone();
            let mut quality = Quality::default();
            let interval = Interval::new(INTERVAL_MS, move || {
                let close = record.0.borrow_mut().record(figures(&call));
                if !close {
                    quality.forget();
                }
                let seen = seen.borrow();
                let situation = Situation {
                    connected: seen.connected,
                    reconnecting: seen.reconnecting,
                    // A hidden page receives no pictures.
                    shown: if document().hidden() { &[] } else { &seen.shown },
                };
                setter.set(Rc::new(quality.judge(&record.0.borrow(), situation)));
            });
            move || drop(interval)
        });
    }
    ((*standing).clone(), record)
}

fn figures(call: &Call) -> Figures {
    let stats = call.stats();
    Figures {
        at_ms: page_clock_ms(),
        connection: connection(&stats),
        sent: stats.local_tracks.iter().filter_map(sent).collect(),
        people: people(&stats.remote_tracks),
    }
}

fn connection(stats: &CallStats) -> ConnectionFigures {
    let connection = &stats.connection;
    ConnectionFigures {
        rtt_ms: connection.rtt_ms,
        estimate_bps: connection.upload_estimate_bps.into(),
        wanted_bps: connection.upload_wanted_bps.into(),
        limit: connection.sending_limit.map(|limit| match limit {
            SendingLimit::Network => Limit::Network,
            SendingLimit::Machine => Limit::Machine,
        }),
        bytes_sent: connection.bytes_sent,
        bytes_received: connection.bytes_received,
        frames_dropped: connection.frames_dropped_sending,
    }
}

fn sent(track: &LocalTrackStats) -> Option<SentPicture> {
    (!track.kind.is_audio()).then(|| SentPicture {
        screen: track.kind == TrackKind::Screen,
        bitrate_bps: track.bitrate_bps,
        fps: track.fps,
        lines: track.height,
    })
}

/// By person, in the order in which they are first seen.
fn people(tracks: &[RemoteTrackStats]) -> Vec<PersonFigures> {
    let mut people: Vec<PersonFigures> = Vec::new();
    for track in tracks {
        let known = people.iter().position(|person| person.session == track.session);
        let index = known.unwrap_or_else(|| {
            people.push(PersonFigures::nothing_of(track.session));
            people.len() - 1
        });
        let person = &mut people[index];
        person.bitrate_bps += track.bitrate_bps;
        match track.kind {
            // Whoever shares a screen is looked at for it.
            TrackKind::Screen => person.picture = Some(picture(track)),
            TrackKind::Camera if !track.muted => {
                person.picture.get_or_insert_with(|| picture(track));
            }
            TrackKind::Microphone => person.sound = Some(sound(track)),
            TrackKind::Camera | TrackKind::ScreenAudio => {}
        }
    }
    people
}

fn picture(track: &RemoteTrackStats) -> PictureFigures {
    PictureFigures {
        fps: track.fps,
        lines: track.height,
        layer: track.layer.map(|layer| (layer.spatial, layer.temporal)),
        frozen_ms: track.freeze_ms_total.unwrap_or_default(),
        delay_ms: track.glass_to_glass_ms,
        behind_sound_ms: track.av_offset_ms,
    }
}

fn sound(track: &RemoteTrackStats) -> SoundFigures {
    SoundFigures {
        muted: track.muted,
        loss_pct: track.loss_pct,
        buffer_ms: track.jitter_buffer_ms,
        target_ms: track.jitter_target_ms,
        concealed_ms: track.concealed_samples.unwrap_or_default() as f64 / SAMPLES_PER_MS,
    }
}
