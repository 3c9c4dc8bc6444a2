//! Tiles of somebody else: their face, and the screen they share.

use std::rc::Rc;

use videocall_client::Call;
use videocall_client::call::Priority;
use yew::prelude::*;

use super::pin_button::PinButton;
use super::quality::QualityMark;
use super::remote_picture::RemotePicture;
use super::tile::{FRAME, SpeakingRing, StandIn, TileLabel, place};
use crate::hooks::use_text;
use crate::state::call::{Person, Picture, PictureState, Sound};
use crate::state::layout::Rect;
use crate::state::quality::Verdict;

#[derive(PartialEq, Properties)]
pub(super) struct CameraTileProps {
    pub(super) call: Call,
    pub(super) person: Rc<Person>,
    pub(super) rect: Rect,
    pub(super) pinned: bool,
    pub(super) verdict: Verdict,
    pub(super) priority: Priority,
    /// Absent where there is nobody else to look at.
    pub(super) onpin: Option<Callback<()>>,
}

/// A face, cut to the tile.
#[component]
pub(super) fn CameraTile(props: &CameraTileProps) -> Html {
    let person = &props.person;
    let Picture { track, state } = person.camera;
    html! {
        <div data-testid="tile" data-name={person.name.clone()} data-session={person.session.to_string()}
            data-track="camera" data-state={state.as_str()} data-pinned={props.pinned.to_string()}
            data-quality={props.verdict.grade.as_str()} class={FRAME} style={place(props.rect)} role="group" aria-label={person.label.clone()}>
            <RemotePicture call={props.call.clone()} {track} priority={props.priority} class="object-cover" />
            <StandIn name={person.name.clone()} {state} />
            <TileLabel label={person.label.clone()} muted={person.microphone == Sound::Off} />
            <QualityMark verdict={props.verdict} name={person.label.clone()} />
            <SpeakingRing speaking={person.speaking} />
            if let Some(onpin) = &props.onpin {
                <PinButton label={person.label.clone()} pinned={props.pinned} onclick={onpin.clone()}
                    class={classes!(PIN, (!props.pinned).then_some(PIN_AT_REST))} />
            }
        </div>
    }
}

/// In the upper corner, away from the name.
const PIN: &str = "absolute top-2 right-2 z-10 size-9 transition-opacity @max-[140px]:top-1 @max-[140px]:right-1 @max-[140px]:size-7";

/// Out of the way until it is wanted; there is no hovering on touch screens.
const PIN_AT_REST: &str = "on-picture hover:bg-black/70 opacity-0 group-hover:opacity-100 focus-visible:opacity-100 [@media(hover:none)]:opacity-100";

#[derive(PartialEq, Properties)]
pub(super) struct ScreenTileProps {
    pub(super) call: Call,
    pub(super) person: Rc<Person>,
    pub(super) rect: Rect,
}

/// A screen, always whole.
#[component]
pub(super) fn ScreenTile(props: &ScreenTileProps) -> Html {
    let text = use_text();
    let person = &props.person;
    let Picture { track, state } = person.screen.unwrap_or(Picture::NONE);
    let label = (text.call.screen_of)(&person.label);
    let undecodable = state == PictureState::Undecodable;
    html! {
        <div data-testid="tile" data-name={person.name.clone()} data-session={person.session.to_string()}
            data-track="screen" data-state={state.as_str()} class={FRAME} style={place(props.rect)}
            role="group" aria-label={label.clone()}>
            <RemotePicture call={props.call.clone()} {track} priority={Priority::Main} class="object-contain" />
            if state != PictureState::Live {
                <p class={classes!("absolute", "inset-0", "flex", "items-center", "justify-center", "bg-tile", "px-4",
                    "text-center", "text-sm", "text-on-tile/70", (!undecodable).then_some("animate-breathe"))}>
                    { if undecodable { text.call.undecodable } else { text.call.waiting } }
                </p>
            }
            <TileLabel {label} sounds={person.screen_sound.is_some()} />
        </div>
    }
}
