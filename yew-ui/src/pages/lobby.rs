//! Before a call: how one looks, which devices, Join.

use videocall_client::devices::DeviceChoice;
use web_sys::{HtmlVideoElement, MediaStream};
use yew::prelude::*;

use super::meeting::{remember_processing, remembered_choice, use_reports};
use crate::components::{Brand, DeviceKind, DeviceSelect, NoticeBar, PreviewControls, Settings};
use crate::hooks::{
    CallStart, Preview, Stored, Wish, fault, store, use_devices, use_engine, use_navigator, use_preview,
    use_shortcuts, use_text,
};
use crate::state::notice::preview_faults;
use crate::state::route::{MeetingAddress, invitation_path};
use crate::state::shortcut::Shortcut;

#[derive(PartialEq, Properties)]
pub(super) struct LobbyPageProps {
    pub(super) address: MeetingAddress,
    pub(super) onjoin: Callback<CallStart>,
}

/// The page.
#[component]
pub(super) fn LobbyPage(props: &LobbyPageProps) -> Html {
    let camera = use_state_eq(|| true);
    let microphone = use_state_eq(|| true);
    let attempt = use_state_eq(|| 0);
    let choice = use_state_eq(remembered_choice);
    // The microphone stays open while it is muted here: opening it again would restart the picture, too.
    let wish = Wish {
        camera: *camera,
        microphone: true,
        choice: (*choice).clone(),
        attempt: *attempt,
    };
    let (preview, take) = use_preview(wish);
    let engine = use_engine();
    let toggle = {
        let (camera, microphone, preview) = (camera.clone(), microphone.clone(), preview.clone());
        Callback::from(move |shortcut| match shortcut {
            Shortcut::Camera if preview.camera_error.is_some() => attempt.set(*attempt + 1),
            Shortcut::Microphone if preview.microphone_error.is_some() => attempt.set(*attempt + 1),
            Shortcut::Camera => camera.set(!*camera),
            Shortcut::Microphone => microphone.set(!*microphone),
            _ => {}
        })
    };
    let settings = use_state_eq(|| false);
    let open = {
        let (settings, toggle) = (settings.clone(), toggle.clone());
        Callback::from(move |shortcut| match shortcut {
            Shortcut::Settings => settings.set(!*settings),
            Shortcut::Close => settings.set(false),
            other => toggle.emit(other),
        })
    };
    use_shortcuts(open.clone());
    let set_choice = {
        let choice = choice.setter();
        Callback::from(move |next| choice.set(next))
    };
    let join = {
        let (camera, microphone, choice) = (*camera, *microphone, (*choice).clone());
        props.onjoin.reform(move |()| CallStart {
            camera,
            microphone,
            choice: choice.clone(),
            preview: take.emit(()),
            engine: Some(engine.clone()),
        })
    };
    let has_camera = *camera && preview.camera_error.is_none();
    let has_microphone = *microphone && preview.microphone_error.is_none();
    html! {
        <main class="mx-auto flex min-h-dvh w-full max-w-5xl flex-col justify-center gap-6 px-4 py-6 sm:px-6">
            <Brand />
            <div class="grid items-center gap-6 lg:grid-cols-[3fr_2fr] lg:gap-10">
                <div class="min-w-0 space-y-3">
                    <Mirror preview={preview.clone()} wanted={*camera}>
                        <PreviewControls microphone={has_microphone} camera={has_camera} ontoggle={toggle} />
                    </Mirror>
                    { faults(&preview) }
                </div>
                <Choices address={props.address.clone()} choice={(*choice).clone()} pending={preview.pending}
                    onchoose={choose(choice.setter(), (*choice).clone())} onjoin={join}
                    onsettings={open.reform(|()| Shortcut::Settings)} />
            </div>
            if *settings {
                <LobbySettings choice={(*choice).clone()} onchange={set_choice} onclose={open.reform(|()| Shortcut::Close)} />
            }
        </main>
    }
}

#[derive(PartialEq, Properties)]
struct LobbySettingsProps {
    choice: DeviceChoice,
    onchange: Callback<DeviceChoice>,
    onclose: Callback<()>,
}

/// What can be set besides the devices; the preview follows.
#[component]
fn LobbySettings(props: &LobbySettingsProps) -> Html {
    let (reports, onreports) = use_reports();
    let choice = props.choice.clone();
    let onprocessing = props.onchange.reform(move |processing| {
        remember_processing(processing);
        DeviceChoice {
            processing,
            ..choice.clone()
        }
    });
    html! {
        <>
            // Pressing beside the sheet closes it; the keyboard has Escape.
            <div class="fixed inset-0 z-20 bg-black/40" onclick={props.onclose.reform(|_: MouseEvent| ())} />
            <Settings class="fixed inset-x-3 bottom-3 mx-auto max-h-[calc(100%-1.5rem)] sm:top-1/4 sm:bottom-auto"
                processing={props.choice.processing} {onprocessing} {reports} {onreports} onclose={props.onclose.clone()} />
        </>
    }
}

/// Remembers a device and uses it.
fn choose(setter: UseStateSetter<DeviceChoice>, choice: DeviceChoice) -> Callback<(DeviceKind, String)> {
    Callback::from(move |(kind, id)| setter.set(chosen(&choice, kind, id)))
}

/// A choice after another device of one kind was chosen; the browser remembers it.
pub(super) fn chosen(before: &DeviceChoice, kind: DeviceKind, id: String) -> DeviceChoice {
    let mut choice = before.clone();
    match kind {
        DeviceKind::Camera => {
            store(Stored::Camera, &id);
            choice.camera = Some(id);
        }
        DeviceKind::Microphone => {
            store(Stored::Microphone, &id);
            choice.microphone = Some(id);
        }
    }
    choice
}

fn faults(preview: &Preview) -> Html {
    let camera = preview.camera_error.as_ref().map(fault);
    preview_faults(camera, preview.microphone_error.as_ref().map(fault))
        .into_iter()
        .map(|notice| html! { <NoticeBar key={format!("{notice:?}")} notice={notice.clone()} /> })
        .collect()
}

#[derive(PartialEq, Properties)]
struct MirrorProps {
    preview: Preview,
    /// The camera is wanted.
    wanted: bool,
    /// Upon the picture.
    children: Html,
}

#[component]
fn Mirror(props: &MirrorProps) -> Html {
    let text = use_text();
    let video = use_node_ref();
    {
        let video = video.clone();
        use_effect_with(
            props.preview.stream.clone(),
            move |stream: &Option<MediaStream>| {
                if let Some(video) = video.cast::<HtmlVideoElement>() {
                    video.set_muted(true);
                    video.set_src_object(stream.as_ref());
                }
            },
        );
    }
    let visible = props.wanted && props.preview.stream.is_some() && props.preview.camera_error.is_none();
    let message = match (props.wanted, props.preview.pending) {
        (false, _) => text.lobby.camera_off,
        (true, true) => text.lobby.asking,
        (true, false) => text.lobby.no_picture,
    };
    html! {
        <div class="relative aspect-video overflow-hidden rounded-2xl bg-tile text-on-tile shadow-raised max-sm:aspect-[4/3]">
            <video ref={video} data-testid="preview" autoplay=true playsinline=true muted=true aria-label={text.lobby.preview}
                class={classes!("size-full", "-scale-x-100", "object-cover", (!visible).then_some("invisible"))} />
            if !visible {
                <p class="absolute inset-0 flex items-center justify-center px-8 pb-12 text-center text-[15px] text-on-tile/80" role="status">
                    { message }
                </p>
            }
            <div class="absolute inset-x-0 bottom-4 flex justify-center gap-3">{ props.children.clone() }</div>
        </div>
    }
}

#[derive(PartialEq, Properties)]
struct ChoicesProps {
    address: MeetingAddress,
    choice: DeviceChoice,
    /// Names of devices are known when this becomes false.
    pending: bool,
    onchoose: Callback<(DeviceKind, String)>,
    onjoin: Callback<()>,
    onsettings: Callback<()>,
}

#[component]
fn Choices(props: &ChoicesProps) -> Html {
    let text = use_text();
    let navigator = use_navigator();
    let devices = use_devices(props.pending);
    let choose = |kind| props.onchoose.reform(move |id| (kind, id));
    let change = {
        let path = invitation_path(&props.address.meeting);
        move |_: MouseEvent| navigator.go(path.clone())
    };
    html! {
        <section class="min-w-0 space-y-5">
            <div>
                <h1 class="text-2xl font-semibold tracking-tight text-balance break-words">
                    { (text.lobby.title)(props.address.meeting.as_str()) }
                </h1>
                <p class="mt-1.5 text-[15px] break-words text-soft">{ (text.lobby.joining_as)(props.address.user.as_str()) }</p>
            </div>
            <div class="space-y-4">
                <DeviceSelect kind={DeviceKind::Camera} devices={devices.cameras} chosen={props.choice.camera.clone()}
                    onchoose={choose(DeviceKind::Camera)} />
                <DeviceSelect kind={DeviceKind::Microphone} devices={devices.microphones}
                    chosen={props.choice.microphone.clone()} onchoose={choose(DeviceKind::Microphone)} />
            </div>
            <div class="space-y-3 text-center">
                <button type="button" class="button button-primary w-full" data-testid="join-button"
                    onclick={props.onjoin.reform(|_: MouseEvent| ())}>
                    { text.lobby.join }
                </button>
                <div class="flex flex-wrap justify-center gap-x-5 gap-y-2">
                    <button type="button" class="button-link" onclick={change}>{ text.lobby.change }</button>
                    <button type="button" class="button-link" data-testid="toggle-settings" title={text.settings.open}
                        onclick={props.onsettings.reform(|_: MouseEvent| ())}>
                        { text.settings.title }
                    </button>
                </div>
            </div>
        </section>
    }
}
