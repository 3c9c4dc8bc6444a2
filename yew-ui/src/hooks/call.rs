//! A running call: the client library's events become actions of the call's state.

use std::rc::Rc;

use futures::StreamExt;
use futures::channel::oneshot;
use gloo::events::EventListener;
use gloo::timers::callback::{Interval, Timeout};
use gloo::utils::window;
use videocall_client::call::{
    ENGINE_URL, LocalState, Notice as ClientNotice, PictureState as ClientPicture, RosterChange,
};
use videocall_client::devices::{DeviceChoice, DeviceError, Source};
use videocall_client::{
    Call, CallEvent, CallEvents, CallOptions, ClientConfig, ConnectionState, ConnectionStatus, Engine,
    TransportPreference,
};
use videocall_types::CloseCode;
use videocall_types::api::TransportKind;
use wasm_bindgen_futures::spawn_local;
use web_sys::MediaStream;
use yew::prelude::*;

use super::statistics::Statistics;
use super::storage::{Stored, is_wanted};
use crate::state::call::{Action, CallState, Connection, Phase, PictureState, Refusal};
use crate::state::notice::{Device, DeviceFault, Notice};
use crate::state::route::MeetingAddress;

/// Five times a second the speaking rings follow the voices: faster than an eye needs, slower than frames.
const LEVEL_INTERVAL_MS: u32 = 200;

/// When to say that the server does not answer: later than a fall-back to the second carrier takes.
const PATIENCE_MS: u32 = 4000;

/// What a call starts with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallStart {
    /// With the camera on.
    pub(crate) camera: bool,
    /// With the microphone open.
    pub(crate) microphone: bool,
    /// The chosen devices.
    pub(crate) choice: DeviceChoice,
    /// What the preview opened.
    pub(crate) preview: Option<MediaStream>,
    /// The worker that was started meanwhile.
    pub(crate) engine: Option<Engine>,
}

/// A running call and what the page shows of it.
#[derive(Clone, PartialEq)]
pub(crate) struct CallHandle {
    /// For what the person wants.
    pub(crate) call: Call,
    /// For what the page shows.
    pub(crate) state: UseReducerHandle<CallState>,
}

impl Reducible for CallState {
    type Action = Action;

    fn reduce(self: Rc<Self>, action: Action) -> Rc<Self> {
        self.after(action).into()
    }
}

/// Starts the worker that the next call will run in, so that nobody waits for it after Join.
#[hook]
pub(crate) fn use_engine() -> Engine {
    (*use_memo((), |()| Engine::start(ENGINE_URL))).clone()
}

/// Starts a call and follows it until the component goes.
#[hook]
pub(crate) fn use_call(address: &MeetingAddress, start: &CallStart) -> CallHandle {
    let (microphone, camera) = (start.microphone, start.camera);
    let state = use_reducer_eq(move || CallState::starting(microphone, camera));
    let started = use_memo((), |()| {
        let (call, events) = Call::start(options(address, start));
        (call, std::cell::Cell::new(Some(events)))
    });
    let call = started.0.clone();
    {
        let (call, dispatcher) = (call.clone(), state.dispatcher());
        use_effect_with((), move |()| {
            let (stop, stopped) = oneshot::channel::<()>();
            if let Some(events) = started.1.take() {
                let dispatcher = dispatcher.clone();
                spawn_local(async move {
                    let follow = std::pin::pin!(follow(events, dispatcher));
                    futures::future::select(follow, stopped).await;
                });
            }
            let patience = {
                let dispatcher = dispatcher.clone();
                Timeout::new(PATIENCE_MS, move || dispatcher.dispatch(Action::StillConnecting))
            };
            let levels = {
                let call = call.clone();
                Interval::new(LEVEL_INTERVAL_MS, move || dispatcher.dispatch(levels_of(&call)))
            };
            let leaving = leave_with_page(call.clone());
            let statistics = Statistics::install(call.clone());
            move || {
                call.leave();
                drop((stop, patience, levels, leaving, statistics));
            }
        });
    }
    CallHandle { call, state }
}

/// A closed tab says goodbye, so that nobody has to wait for its silence to be noticed.
fn leave_with_page(call: Call) -> EventListener {
    EventListener::new(&window(), "pagehide", move |_| call.leave())
}

fn options(address: &MeetingAddress, start: &CallStart) -> CallOptions {
    let origin = window().location().origin().unwrap_or_default();
    let mut client = ClientConfig::new(origin, address.meeting.clone(), address.user.clone());
    client.transport = match address.transport {
        None => TransportPreference::Auto,
        Some(TransportKind::WebTransport) => TransportPreference::WebTransport,
        Some(TransportKind::WebSocket) => TransportPreference::WebSocket,
    };
    client.report_timing = is_wanted(Stored::Reports);
    CallOptions {
        devices: start.choice.clone(),
        camera_on: start.camera,
        microphone_on: start.microphone,
        preview: start.preview.clone(),
        engine: start.engine.clone(),
        ..CallOptions::new(client)
    }
}

async fn follow(mut events: CallEvents, state: UseReducerDispatcher<CallState>) {
    while let Some(event) = events.next().await {
        state.dispatch(action(event));
    }
}

fn action(event: CallEvent) -> Action {
    match event {
        CallEvent::Connection(status) => Action::Connection(connection(status)),
        CallEvent::Roster(change) => roster(change),
        CallEvent::Picture { track, state } => Action::Picture(track, picture(state)),
        CallEvent::Speakers(sessions) => Action::Speakers(sessions),
        CallEvent::Local(LocalState {
            microphone,
            camera,
            screen,
        }) => Action::Own(microphone, camera, screen),
        CallEvent::Notice(notice) => told(notice),
        CallEvent::Closed(closing) if closing.code == CloseCode::Left => Action::Leave,
        CallEvent::Closed(closing) => Action::Closed(closing.message),
    }
}

fn connection(status: ConnectionStatus) -> Connection {
    Connection {
        phase: match status.state {
            ConnectionState::Connecting => Phase::Connecting,
            ConnectionState::Connected => Phase::Connected,
            ConnectionState::Reconnecting => Phase::Reconnecting,
            ConnectionState::Failed => Phase::Failed,
        },
        transport: status.transport,
        rtt_ms: status.rtt.and_then(|rtt| u32::try_from(rtt.as_millis()).ok()),
        hint: status.notice,
        refused: status.refused.map(Refusal::from_code),
    }
}

fn roster(change: RosterChange) -> Action {
    match change {
        RosterChange::Replaced { participants, .. } => Action::Roster(participants),
        RosterChange::Joined(participant) => Action::Joined(participant),
        RosterChange::Left(session) => Action::Left(session),
        RosterChange::TrackChanged { session, track } => Action::TrackChanged(session, track),
        RosterChange::TrackRemoved(track) => Action::TrackRemoved(track),
    }
}

const fn picture(state: ClientPicture) -> PictureState {
    match state {
        ClientPicture::Live => PictureState::Live,
        ClientPicture::Waiting => PictureState::Waiting,
        ClientPicture::Undecodable => PictureState::Undecodable,
        ClientPicture::Off => PictureState::Off,
    }
}

fn told(notice: ClientNotice) -> Action {
    match notice {
        ClientNotice::Device { device, error } => Action::DeviceFault(source(device), fault(&error)),
        ClientNotice::PlaybackBlocked => Action::Tell(Notice::PlaybackBlocked),
        ClientNotice::PlaybackFailed(_) => Action::Tell(Notice::PlaybackFailed),
        ClientNotice::PlaybackWorks => Action::Dismiss(Notice::PlaybackFailed),
        ClientNotice::EncodingFailed { device, reason } => {
            Action::Tell(Notice::EncodingFailed(source(device), reason))
        }
        ClientNotice::SpeakingWhileMuted => Action::SpeakingWhileMuted(js_sys::Date::now()),
        ClientNotice::OtherRelaysReachable(reachable) => Action::Reachable(reachable),
    }
}

const fn source(source: Source) -> Device {
    match source {
        Source::Microphone => Device::Microphone,
        Source::Camera => Device::Camera,
        Source::Screen | Source::ScreenSound => Device::Screen,
    }
}

/// Why a device gives nothing, in the page's own terms.
pub(crate) const fn fault(error: &DeviceError) -> DeviceFault {
    match error {
        DeviceError::NoPermission => DeviceFault::NoPermission,
        DeviceError::NoDevice => DeviceFault::NoDevice,
        DeviceError::InUse => DeviceFault::InUse,
        DeviceError::Unsupported => DeviceFault::Unsupported,
        DeviceError::Other(_) => DeviceFault::Failed,
    }
}

fn levels_of(call: &Call) -> Action {
    let levels = call.levels();
    let others = levels.others.into_iter();
    Action::Levels(
        levels.own as f32,
        others
            .map(|(track, level)| (track.session, level as f32))
            .collect(),
    )
}
