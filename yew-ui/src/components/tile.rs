//! What all tiles have in common: their place, their frame, their label.

use yew::prelude::*;

use super::avatar::Avatar;
use super::{Icon, Symbol};
use crate::hooks::use_text;
use crate::state::call::PictureState;
use crate::state::layout::Rect;

/// The inline style that puts a tile in its place.
pub(super) fn place(rect: Rect) -> String {
    let Rect {
        left,
        top,
        width,
        height,
    } = rect;
    format!("transform: translate({left:.1}px, {top:.1}px); width: {width:.1}px; height: {height:.1}px")
}

/// The classes of a tile's outermost element.
pub(super) const FRAME: &str = "group absolute top-0 left-0 overflow-hidden rounded-xl bg-tile text-on-tile [container-type:size] transition-[transform,width,height] duration-200 ease-swift";

#[derive(PartialEq, Properties)]
pub(super) struct TileLabelProps {
    pub(super) label: AttrValue,
    #[prop_or_default]
    pub(super) muted: bool,
    /// What is shown is heard, too.
    #[prop_or_default]
    pub(super) sounds: bool,
}

/// The name in the lower left corner.
#[component]
pub(super) fn TileLabel(props: &TileLabelProps) -> Html {
    let text = use_text();
    html! {
        <div class="on-picture absolute bottom-2 left-2 flex max-w-[calc(100%-1rem)] items-center gap-1.5 rounded-lg px-2 py-1 text-[13px] leading-4 font-medium @max-[140px]:bottom-1 @max-[140px]:left-1 @max-[140px]:text-[11px]">
            if props.muted {
                <span role="img" aria-label={text.call.muted} title={text.call.muted}>
                    <Icon symbol={Symbol::MicrophoneOff} class="size-3.5" />
                </span>
            }
            if props.sounds {
                <span role="img" data-testid="screen-sound" aria-label={text.call.screen_sound} title={text.call.screen_sound}>
                    <Icon symbol={Symbol::Sound} class="size-3.5" />
                </span>
            }
            <span class="truncate" title={props.label.clone()}>{ props.label.clone() }</span>
        </div>
    }
}

#[derive(PartialEq, Properties)]
pub(super) struct StandInProps {
    pub(super) name: AttrValue,
    pub(super) state: PictureState,
}

/// Covers a picture that is not live.
#[component]
pub(super) fn StandIn(props: &StandInProps) -> Html {
    let text = use_text();
    if props.state == PictureState::Live {
        return Html::default();
    }
    let waiting = props.state == PictureState::Waiting;
    let note = match props.state {
        PictureState::Waiting => Some(text.call.waiting),
        PictureState::Undecodable => Some(text.call.undecodable),
        PictureState::Live | PictureState::Off => None,
    };
    html! {
        <div class="absolute inset-0 flex flex-col items-center justify-center gap-3 bg-tile [@container(max-height:110px)]:pb-5">
            <span class={classes!(waiting.then_some("animate-breathe"))}>
                <Avatar name={props.name.clone()} class="size-[clamp(2.25rem,32cqmin,7rem)] text-[clamp(0.875rem,12cqmin,2.5rem)]" />
            </span>
            if let Some(note) = note {
                <span class="px-4 text-center text-[13px] text-on-tile/70 @max-[240px]:sr-only">{ note }</span>
            }
        </div>
    }
}

#[derive(PartialEq, Properties)]
pub(super) struct SpeakingRingProps {
    pub(super) speaking: bool,
}

/// A ring around somebody who is heard.
#[component]
pub(super) fn SpeakingRing(props: &SpeakingRingProps) -> Html {
    let visible = if props.speaking {
        "opacity-100"
    } else {
        // What is merely transparent is composited with every picture.
        "opacity-0 invisible"
    };
    html! {
        <div class={classes!("pointer-events-none", "absolute", "inset-0", "rounded-xl", "ring-3", "ring-live", "ring-inset",
            "transition-[opacity,visibility]", "duration-150", visible)} aria-hidden="true" />
    }
}
