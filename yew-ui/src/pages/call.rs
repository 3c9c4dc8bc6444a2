//! A running call.

use std::rc::Rc;

use gloo::timers::callback::Timeout;
use gloo::utils::window;
use videocall_client::devices::DeviceChoice;
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::lobby::chosen;
use super::meeting::{remember_processing, remembered_choice, use_reports};
use crate::components::{
    CallHeader, Controls, DeviceKind, DeviceSettings, NoticeList, PeoplePanel, Settings, SharingBar,
    Solitude, Stage, StatisticsPanel,
};
use crate::hooks::{
    CallHandle, CallStart, Record, fault, use_call, use_copy, use_devices, use_shortcuts, use_text,
    use_wake_lock, use_watch,
};
use crate::state::call::{Action, Announcement, CallState, Ending, Phase};
use crate::state::notice::{Device, Notice};
use crate::state::quality::Standing;
use crate::state::route::{MeetingAddress, invitation_path};
use crate::state::shortcut::Shortcut;

/// How long good news stays: two short sentences at reading speed, and a glance.
const PASSING_MS: u32 = 6000;

#[derive(PartialEq, Properties)]
pub(super) struct CallPageProps {
    pub(super) address: MeetingAddress,
    pub(super) start: CallStart,
    /// The browser can share a screen.
    pub(super) can_share: bool,
    pub(super) onend: Callback<Ending>,
}

/// What is open beside the pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    People,
    Settings,
    Statistics,
}

/// The page.
#[component]
pub(super) fn CallPage(props: &CallPageProps) -> Html {
    let handle = use_call(&props.address, &props.start);
    let (standing, record) = use_watch(&handle);
    let open = use_state_eq(Open::default);
    let press = use_pressed(&handle, open.clone());
    use_shortcuts(press.clone());
    use_wake_lock();
    let state = &*handle.state;
    use_effect_with((state.ended.clone(), props.onend.clone()), |(ended, onend)| {
        if let Some(ending) = ended {
            onend.emit(ending.clone());
        }
    });
    let (link_copied, copy) = use_copy_link(&props.address);
    let dismiss = dispatch(&handle, Action::Dismiss);
    let passing = state.notices.iter().find(|notice| notice.passes()).cloned();
    use_passing(passing, handle.state.dispatcher());
    // The click is what the browser waits for; the notice has served its purpose.
    let clicked = dismiss.reform(|_: MouseEvent| Notice::PlaybackBlocked);
    let alone = state.people.is_empty() && state.connection.phase == Phase::Connected;
    let name: AttrValue = props.address.user.to_string().into();
    let statistics = press.reform(|()| Shortcut::Statistics);
    html! {
        <div class="flex h-dvh flex-col overflow-hidden" onclick={clicked}>
            <CallHeader meeting={props.address.meeting.to_string()} connection={state.connection.clone()}
                verdict={standing.own} {link_copied} oncopy={copy.clone()} onstatistics={statistics} />
            <main class="relative flex min-h-0 flex-1">
                <div class="flex min-w-0 flex-1 px-2 pb-1 sm:px-3">
                    <Stage call={handle.call.clone()} name={name.clone()} state={handle.state.clone()}
                        standing={standing.clone()} onmore={press.reform(|()| Shortcut::People)} />
                </div>
                if alone && *open == Open::Nothing { <Solitude {link_copied} oncopy={copy} /> }
                if state.own.screen { <SharingBar onstop={press.reform(|()| Shortcut::Screen)} /> }
                <NoticeList notices={state.notices.iter().cloned().collect::<Vec<_>>()} ondismiss={dismiss}
                    onaction={press.reform(what_is_asked_for)} />
                <Panels open={*open} handle={handle.clone()} {record} {standing} own_name={name} onpress={press.clone()} />
            </main>
            <Controls own={state.own} count={state.count()} people_open={*open == Open::People}
                settings_open={*open == Open::Settings} can_share={props.can_share} onpress={press}
                onleave={leave(&handle)} />
            <Announcer announcement={state.announcement.clone()} />
        </div>
    }
}

/// What the button in a notice does. There is one kind of notice with a button.
fn what_is_asked_for(_: Notice) -> Shortcut {
    Shortcut::Microphone
}

#[derive(PartialEq, Properties)]
struct PanelsProps {
    open: Open,
    handle: CallHandle,
    record: Record,
    standing: Rc<Standing>,
    own_name: AttrValue,
    onpress: Callback<Shortcut>,
}

/// What is open.
#[component]
fn Panels(props: &PanelsProps) -> Html {
    let handle = &props.handle;
    let state = &*handle.state;
    let onclose = props.onpress.reform(|()| Shortcut::Close);
    match props.open {
        Open::Nothing => Html::default(),
        Open::People => html! {
            <PeoplePanel own_name={props.own_name.clone()} own={state.own} people={state.people.clone()}
                pinned={state.pinned} standing={props.standing.clone()} onpin={dispatch(handle, Action::TogglePin)}
                {onclose} />
        },
        Open::Settings => html! {
            <CallSettings handle={handle.clone()} onstatistics={props.onpress.reform(|()| Shortcut::Statistics)} {onclose} />
        },
        Open::Statistics => html! {
            <StatisticsPanel call={handle.call.clone()} record={props.record.clone()} standing={props.standing.clone()}
                connection={state.connection.clone()} people={state.people.clone()} {onclose} />
        },
    }
}

fn dispatch<T: 'static>(handle: &CallHandle, action: fn(T) -> Action) -> Callback<T> {
    let dispatcher = handle.state.dispatcher();
    Callback::from(move |value| dispatcher.dispatch(action(value)))
}

/// The page does not wait for the server's goodbye.
fn leave(handle: &CallHandle) -> Callback<()> {
    let handle = handle.clone();
    Callback::from(move |()| {
        handle.call.leave();
        handle.state.dispatch(Action::Leave);
    })
}

/// What buttons and keys do.
#[hook]
fn use_pressed(handle: &CallHandle, open: UseStateHandle<Open>) -> Callback<Shortcut> {
    let own = handle.state.own;
    let dispatcher = handle.state.dispatcher();
    use_callback(
        (handle.call.clone(), own, open),
        move |shortcut, (call, own, open)| {
            let toggle = |what: Open| open.set(if **open == what { Open::Nothing } else { what });
            match shortcut {
                Shortcut::Microphone => call.set_microphone(!own.microphone),
                Shortcut::Camera => call.set_camera(!own.camera),
                Shortcut::Screen if own.screen => call.stop_screen(),
                Shortcut::Screen => {
                    let (call, dispatcher) = (call.clone(), dispatcher.clone());
                    spawn_local(async move {
                        if let Err(error) = call.share_screen().await {
                            dispatcher.dispatch(Action::DeviceFault(Device::Screen, fault(&error)));
                        }
                    });
                }
                Shortcut::Turn(turn) => dispatcher.dispatch(Action::Turn(turn)),
                Shortcut::People => toggle(Open::People),
                Shortcut::Settings => toggle(Open::Settings),
                Shortcut::Statistics => toggle(Open::Statistics),
                Shortcut::Close => open.set(Open::Nothing),
            }
        },
    )
}

/// Takes a notice away once it has been there for long enough to be read.
#[hook]
fn use_passing(notice: Option<Notice>, state: UseReducerDispatcher<CallState>) {
    use_effect_with(notice, move |notice| {
        let timer = notice
            .clone()
            .map(|notice| Timeout::new(PASSING_MS, move || state.dispatch(Action::Dismiss(notice))));
        move || drop(timer)
    });
}

/// Copies the invitation, and says so for a while.
#[hook]
fn use_copy_link(address: &MeetingAddress) -> (bool, Callback<()>) {
    let (copied, copy) = use_copy();
    let path = invitation_path(&address.meeting);
    let link = use_callback((path, copy), |(), (path, copy)| {
        let origin = window().location().origin().unwrap_or_default();
        copy.emit(format!("{origin}{path}"));
    });
    (copied, link)
}

#[derive(PartialEq, Properties)]
struct CallSettingsProps {
    handle: CallHandle,
    onstatistics: Callback<()>,
    onclose: Callback<()>,
}

/// The settings, with what is chosen put into effect.
#[component]
fn CallSettings(props: &CallSettingsProps) -> Html {
    let devices = use_devices(());
    let choice = use_state_eq(remembered_choice);
    let onchoose = {
        let (call, choice) = (props.handle.call.clone(), choice.clone());
        Callback::from(move |(kind, id): (DeviceKind, String)| {
            choice.set(chosen(&choice, kind, id.clone()));
            match kind {
                DeviceKind::Camera => call.select_camera(id),
                DeviceKind::Microphone => call.select_microphone(id),
            }
        })
    };
    let onprocessing = {
        let (call, choice) = (props.handle.call.clone(), choice.clone());
        Callback::from(move |processing| {
            remember_processing(processing);
            call.set_audio_processing(processing);
            choice.set(DeviceChoice {
                processing,
                ..(*choice).clone()
            });
        })
    };
    let (reports, onreports) = use_reports();
    html! {
        <Settings class="absolute inset-x-3 bottom-3 mx-auto max-h-[calc(100%-1.5rem)]" processing={choice.processing}
            {onprocessing} {reports} {onreports} onstatistics={props.onstatistics.clone()} onclose={props.onclose.clone()}>
            <DeviceSettings {devices} choice={(*choice).clone()} {onchoose} />
        </Settings>
    }
}

#[derive(PartialEq, Properties)]
struct AnnouncerProps {
    announcement: Option<Announcement>,
}

/// Says who came and went to those who cannot see it.
#[component]
fn Announcer(props: &AnnouncerProps) -> Html {
    let text = use_text();
    let said = props
        .announcement
        .as_ref()
        .map(|announcement| match announcement {
            Announcement::Joined(name) => (text.call.joined)(name),
            Announcement::Left(name) => (text.call.left)(name),
        });
    html! { <p class="sr-only" role="status">{ said }</p> }
}
