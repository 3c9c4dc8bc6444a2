//! Who is here.

use std::rc::Rc;

use videocall_types::SessionId;
use yew::prelude::*;

use super::avatar::Avatar;
use super::pin_button::PinButton;
use super::{Icon, Symbol};
use crate::hooks::use_text;
use crate::state::call::{Own, Person, PictureState, Sound};

#[derive(PartialEq, Properties)]
pub(crate) struct PeoplePanelProps {
    pub(crate) own_name: AttrValue,
    pub(crate) own: Own,
    pub(crate) people: Vec<Rc<Person>>,
    pub(crate) pinned: Option<SessionId>,
    pub(crate) onpin: Callback<SessionId>,
    pub(crate) onclose: Callback<()>,
}

/// Beside the pictures where there is room, above them where there is not.
#[component]
pub(crate) fn PeoplePanel(props: &PeoplePanelProps) -> Html {
    let text = use_text();
    let close = props.onclose.reform(|_: MouseEvent| ());
    html! {
        <aside aria-label={text.call.people} class="card shadow-float animate-appear absolute inset-3 top-auto z-30 flex max-h-[75%] flex-col overflow-hidden md:static md:mr-3 md:mb-1 md:max-h-none md:w-72 md:shrink-0 md:shadow-none">
            <header class="flex items-center justify-between py-2 pr-2 pl-4">
                <h2 class="text-[15px] font-semibold">{ (text.call.people_title)(props.people.len() + 1) }</h2>
                <button type="button" class="control size-9 bg-transparent" aria-label={text.call.close}
                    title={text.call.close} onclick={close}>
                    <Icon symbol={Symbol::Close} class="size-[18px]" />
                </button>
            </header>
            <ul class="min-h-0 flex-1 overflow-y-auto px-2 pb-3">
                <PersonRow key="own" name={props.own_name.clone()} label={props.own_name.clone()} note={text.call.you}
                    microphone={props.own.microphone} camera={props.own.camera} speaking={props.own.speaking} />
                { for props.people.iter().map(|person| html! {
                    <PersonRow key={person.session.get()} name={person.name.clone()} label={person.label.clone()}
                        microphone={person.microphone == Sound::On} camera={person.camera.state != PictureState::Off}
                        speaking={person.speaking} pin={pin(props, person)} />
                }) }
            </ul>
        </aside>
    }
}

/// The button that pins somebody. With one other person there is nothing to choose.
fn pin(props: &PeoplePanelProps, person: &Person) -> Option<Html> {
    let session = person.session;
    let pinned = props.pinned == Some(session);
    (pinned || props.people.len() > 1).then(|| {
        html! {
            <PinButton label={person.label.clone()} {pinned} class="size-9 bg-transparent text-soft"
                onclick={props.onpin.reform(move |()| session)} />
        }
    })
}

#[derive(PartialEq, Properties)]
struct PersonRowProps {
    name: AttrValue,
    label: AttrValue,
    #[prop_or_default]
    note: &'static str,
    microphone: bool,
    camera: bool,
    speaking: bool,
    #[prop_or_default]
    pin: Option<Html>,
}

#[component]
fn PersonRow(props: &PersonRowProps) -> Html {
    let text = use_text();
    let state = |on: bool, symbols: [Symbol; 2], labels: [&'static str; 2]| {
        let index = usize::from(on);
        let colour = if on { "text-soft" } else { "text-danger" };
        html! {
            <span class={colour} role="img" aria-label={labels[index]} title={labels[index]}>
                <Icon symbol={symbols[index]} class="size-[18px]" />
            </span>
        }
    };
    let ring = props.speaking.then_some("ring-2 ring-live");
    html! {
        <li class="flex items-center gap-3 rounded-xl px-2 py-2">
            <span class={classes!("rounded-full", "transition-shadow", ring)}>
                <Avatar name={props.name.clone()} class="size-9 text-[13px]" />
            </span>
            <span class="min-w-0 flex-1 truncate text-[15px]">
                { props.label.clone() }
                if !props.note.is_empty() { <span class="text-soft">{ format!(" · {}", props.note) }</span> }
            </span>
            { props.pin.clone() }
            { state(props.microphone, [Symbol::MicrophoneOff, Symbol::Microphone], [text.call.muted, text.call.unmuted]) }
            { state(props.camera, [Symbol::CameraOff, Symbol::Camera], [text.call.camera_is_off, text.call.camera_is_on]) }
        </li>
    }
}
