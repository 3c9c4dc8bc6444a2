//! One's own picture.

use videocall_client::Call;
use web_sys::HtmlVideoElement;
use yew::prelude::*;

use super::quality::QualityMark;
use super::tile::{FRAME, SpeakingRing, StandIn, TileLabel, place};
use crate::hooks::use_text;
use crate::state::call::{Own, PictureState};
use crate::state::layout::Rect;
use crate::state::quality::Verdict;

#[derive(PartialEq, Properties)]
pub(super) struct SelfTileProps {
    pub(super) call: Call,
    pub(super) name: AttrValue,
    pub(super) own: Own,
    pub(super) verdict: Verdict,
    pub(super) rect: Rect,
    /// It lies upon another tile.
    pub(super) floats: bool,
}

/// Mirrored, as everybody knows their own face.
#[component]
pub(super) fn SelfTile(props: &SelfTileProps) -> Html {
    let text = use_text();
    let video = use_node_ref();
    {
        let video = video.clone();
        use_effect_with(props.call.clone(), move |call| {
            if let Some(video) = video.cast::<HtmlVideoElement>() {
                // Yew sets attributes, and a `muted` attribute on an element made by a script mutes nothing.
                video.set_muted(true);
                call.attach_self(video);
            }
        });
    }
    let state = if props.own.camera {
        PictureState::Live
    } else {
        PictureState::Off
    };
    let floating = props.floats.then_some("z-10 shadow-float");
    let label = format!("{} · {}", props.name, text.call.you);
    html! {
        <div data-testid="self-tile" data-name={props.name.clone()} data-state={state.as_str()}
            data-quality={props.verdict.grade.as_str()} class={classes!(FRAME, floating)} style={place(props.rect)} role="group" aria-label={label.clone()}>
            <video ref={video} class="size-full -scale-x-100 object-cover" autoplay=true playsinline=true muted=true
                aria-label={text.lobby.preview} />
            <StandIn name={props.name.clone()} {state} />
            <TileLabel label={if props.floats { AttrValue::Static(text.call.you) } else { label.into() }}
                muted={!props.own.microphone} />
            <QualityMark verdict={props.verdict} />
            <SpeakingRing speaking={props.own.speaking} />
        </div>
    }
}
