//! Who is here.

use std::rc::Rc;

use videocall_types::SessionId;
use yew::prelude::*;

use super::avatar::Avatar;
use super::panel::Panel;
use super::pin_button::PinButton;
use super::quality::Bars;
use super::{Icon, Symbol};
use crate::hooks::use_text;
use crate::state::call::{Own, Person, PictureState, Sound};
use crate::state::quality::{Standing, Verdict};
use crate::text::Text;

#[derive(PartialEq, Properties)]
pub(crate) struct PeoplePanelProps {
    pub(crate) own_name: AttrValue,
    pub(crate) own: Own,
    pub(crate) people: Vec<Rc<Person>>,
    pub(crate) pinned: Option<SessionId>,
    pub(crate) standing: Rc<Standing>,
    pub(crate) onpin: Callback<SessionId>,
    pub(crate) onclose: Callback<()>,
}

/// Beside the pictures where there is room, above them where there is not.
#[component]
pub(crate) fn PeoplePanel(props: &PeoplePanelProps) -> Html {
    let text = use_text();
    html! {
        <Panel label={text.call.people} title={(text.call.people_title)(props.people.len() + 1)}
            class="md:w-80" onclose={props.onclose.clone()}>
            <ul class="relative min-h-0 flex-1 overflow-y-auto px-2 pb-3">
                <PersonRow key="own" name={props.own_name.clone()} label={props.own_name.clone()} note={text.call.you}
                    microphone={props.own.microphone} camera={props.own.camera} speaking={props.own.speaking}
                    verdict={props.standing.own} quality={props.standing.own.reason.map(text.call.quality_own)} />
                { for props.people.iter().map(|person| html! {
                    <PersonRow key={person.session.get()} name={person.name.clone()} label={person.label.clone()}
                        microphone={person.microphone == Sound::On} camera={person.camera.state != PictureState::Off}
                        speaking={person.speaking} verdict={props.standing.of(person.session)}
                        quality={quality(props, person, text)} pin={pin(props, person)} />
                }) }
            </ul>
        </Panel>
    }
}

/// Why somebody is not seen and heard better.
fn quality(props: &PeoplePanelProps, person: &Person, text: &Text) -> Option<AttrValue> {
    let reason = props.standing.of(person.session).reason?;
    Some((text.call.quality_of)(reason, &person.label).into())
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
    verdict: Verdict,
    /// The verdict in words.
    #[prop_or_default]
    quality: Option<AttrValue>,
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
            <span class="min-w-0 flex-1 truncate text-[15px]" title={props.label.clone()}>
                { props.label.clone() }
                if !props.note.is_empty() { <span class="text-soft">{ format!(" · {}", props.note) }</span> }
            </span>
            if let Some(quality) = &props.quality {
                <span class="text-warn" role="img" aria-label={quality.clone()} title={quality.clone()}>
                    <Bars grade={props.verdict.grade} />
                </span>
            }
            { props.pin.clone() }
            { state(props.microphone, [Symbol::MicrophoneOff, Symbol::Microphone], [text.call.muted, text.call.unmuted]) }
            { state(props.camera, [Symbol::CameraOff, Symbol::Camera], [text.call.camera_is_off, text.call.camera_is_on]) }
        </li>
    }
}
