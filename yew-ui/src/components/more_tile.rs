//! The tile that stands for all those who are not on the page.

use yew::prelude::*;

use super::tile::{FRAME, place};
use super::{Icon, Symbol};
use crate::hooks::use_text;
use crate::state::layout::Rect;

#[derive(PartialEq, Properties)]
pub(super) struct MoreTileProps {
    /// How many they are.
    pub(super) count: usize,
    pub(super) rect: Rect,
    pub(super) onclick: Callback<()>,
}

/// Says how many, and leads to their names.
#[component]
pub(super) fn MoreTile(props: &MoreTileProps) -> Html {
    let text = use_text();
    let onclick = props.onclick.reform(|_: MouseEvent| ());
    html! {
        <button type="button" data-testid="more-tile" class={FRAME} style={place(props.rect)} {onclick}
            title={text.call.more_hint}>
            <span class="flex size-full flex-col items-center justify-center gap-1.5 px-2 text-[13px] leading-4 font-medium @max-[140px]:text-[11px]">
                <Icon symbol={Symbol::People} class="size-6" />
                { (text.call.more)(props.count) }
            </span>
        </button>
    }
}
