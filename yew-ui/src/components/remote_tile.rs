//! Tiles of somebody else: their face, and the screen they share.

use std::rc::Rc;

use videocall_client::Call;
use yew::prelude::*;

use super::remote_picture::RemotePicture;
use super::tile::{FRAME, SpeakingRing, StandIn, TileLabel, place};
use crate::hooks::use_text;
use crate::state::call::{Person, Picture, PictureState, Sound};
use crate::state::layout::Rect;

#[derive(PartialEq, Properties)]
pub(super) struct RemoteTileProps {
    pub(super) call: Call,
    pub(super) person: Rc<Person>,
    pub(super) rect: Rect,
}

/// A face, cut to the tile.
#[component]
pub(super) fn CameraTile(props: &RemoteTileProps) -> Html {
    let person = &props.person;
    let Picture { track, state } = person.camera;
    html! {
        <div data-testid="tile" data-name={person.name.clone()} data-session={person.session.to_string()}
            data-track="camera" data-state={state.as_str()} class={FRAME} style={place(props.rect)}
            role="group" aria-label={person.label.clone()}>
            <RemotePicture call={props.call.clone()} {track} class="object-cover" />
            <StandIn name={person.name.clone()} {state} />
            <TileLabel label={person.label.clone()} muted={person.microphone == Sound::Off} />
            <SpeakingRing speaking={person.speaking} />
        </div>
    }
}

/// A screen, always whole.
#[component]
pub(super) fn ScreenTile(props: &RemoteTileProps) -> Html {
    let text = use_text();
    let person = &props.person;
    let Picture { track, state } = person.screen.unwrap_or(Picture::NONE);
    let label = (text.call.screen_of)(&person.label);
    html! {
        <div data-testid="tile" data-name={person.name.clone()} data-session={person.session.to_string()}
            data-track="screen" data-state={state.as_str()} class={FRAME} style={place(props.rect)}
            role="group" aria-label={label.clone()}>
            <RemotePicture call={props.call.clone()} {track} class="object-contain" />
            if state != PictureState::Live {
                <p class="absolute inset-0 flex animate-breathe items-center justify-center bg-tile text-sm text-on-tile/70">
                    { text.call.waiting }
                </p>
            }
            <TileLabel {label} />
        </div>
    }
}
