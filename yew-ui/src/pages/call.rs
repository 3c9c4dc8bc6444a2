//! A running call.

use gloo::timers::callback::Timeout;
use gloo::utils::window;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use yew::prelude::*;

use super::lobby::chosen;
use crate::components::{
    CallHeader, Controls, DeviceKind, DeviceMenu, NoticeList, PeoplePanel, SharingBar, Solitude, Stage,
};
use crate::hooks::{
    CallHandle, CallStart, NO, Stored, fault, load, store, use_call, use_devices, use_shortcuts, use_text,
    use_wake_lock,
};
use crate::state::call::{Action, Announcement, CallState, Ending, Phase};
use crate::state::notice::{Device, Notice};
use crate::state::route::{MeetingAddress, invitation_path};
use crate::state::shortcut::Shortcut;

/// How long the button says that the link was copied: long enough to be read.
const COPIED_MS: u32 = 2500;

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
    Devices,
}

/// The page.
#[component]
pub(super) fn CallPage(props: &CallPageProps) -> Html {
    let handle = use_call(&props.address, &props.start);
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
    html! {
        <div class="flex h-dvh flex-col overflow-hidden" onclick={clicked}>
            <CallHeader meeting={props.address.meeting.to_string()} connection={state.connection.clone()} {link_copied}
                oncopy={copy.clone()} />
            <main class="relative flex min-h-0 flex-1">
                <div class="flex min-w-0 flex-1 px-2 pb-1 sm:px-3">
                    <Stage call={handle.call.clone()} name={name.clone()} state={handle.state.clone()}
                        onmore={press.reform(|()| Shortcut::People)} />
                </div>
                if alone && *open == Open::Nothing { <Solitude {link_copied} oncopy={copy} /> }
                if state.own.screen { <SharingBar onstop={press.reform(|()| Shortcut::Screen)} /> }
                <NoticeList notices={state.notices.iter().cloned().collect::<Vec<_>>()} ondismiss={dismiss} />
                { panel(*open, &handle, &props.start, name, &press) }
            </main>
            <Controls own={state.own} count={state.count()} people_open={*open == Open::People}
                devices_open={*open == Open::Devices} can_share={props.can_share} onpress={press}
                onleave={leave(&handle)} />
            <Announcer announcement={state.announcement.clone()} />
        </div>
    }
}

fn panel(
    open: Open,
    handle: &CallHandle,
    start: &CallStart,
    own_name: AttrValue,
    press: &Callback<Shortcut>,
) -> Html {
    let state = &*handle.state;
    match open {
        Open::Nothing => Html::default(),
        Open::People => html! {
            <PeoplePanel {own_name} own={state.own} people={state.people.clone()} pinned={state.pinned}
                onpin={dispatch(handle, Action::TogglePin)} onclose={press.reform(|()| Shortcut::Close)} />
        },
        Open::Devices => html! {
            <Devices handle={handle.clone()} start={start.clone()} onclose={press.reform(|()| Shortcut::Close)} />
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
                Shortcut::Devices => toggle(Open::Devices),
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
    let copied = use_state_eq(|| None::<u32>);
    let timer = use_mut_ref(|| None::<Timeout>);
    let path = invitation_path(&address.meeting);
    let setter = copied.setter();
    let copy = use_callback(path, move |(), path| {
        let origin = window().location().origin().unwrap_or_default();
        let writing = window()
            .navigator()
            .clipboard()
            .write_text(&format!("{origin}{path}"));
        let (setter, timer) = (setter.clone(), timer.clone());
        spawn_local(async move {
            // Refused: the button does not claim that it was copied.
            if JsFuture::from(writing).await.is_ok() {
                setter.set(Some(0));
                *timer.borrow_mut() = Some(Timeout::new(COPIED_MS, move || setter.set(None)));
            }
        });
    });
    (copied.is_some(), copy)
}

#[derive(PartialEq, Properties)]
struct DevicesProps {
    handle: CallHandle,
    start: CallStart,
    onclose: Callback<()>,
}

/// The menu of devices, with what it chooses put into effect.
#[component]
fn Devices(props: &DevicesProps) -> Html {
    let devices = use_devices(());
    let choice = use_state_eq(super::meeting::remembered_choice);
    let choose = {
        let (call, choice) = (props.handle.call.clone(), choice.clone());
        Callback::from(move |(kind, id): (DeviceKind, String)| {
            choice.set(chosen(&choice, kind, id.clone()));
            match kind {
                DeviceKind::Camera => call.select_camera(id),
                DeviceKind::Microphone => call.select_microphone(id),
            }
        })
    };
    let reports = use_state_eq(|| load(Stored::Timing).as_deref() != Some(NO));
    let onreports = {
        let reports = reports.clone();
        Callback::from(move |wanted: bool| {
            store(Stored::Timing, if wanted { "" } else { NO });
            reports.set(wanted);
        })
    };
    html! {
        <DeviceMenu {devices} choice={(*choice).clone()} onchoose={choose} reports={*reports} {onreports}
            onclose={props.onclose.clone()} />
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
