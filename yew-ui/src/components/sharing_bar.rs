//! A reminder that the screen is seen by others.

use yew::prelude::*;

use super::{Icon, Symbol};
use crate::hooks::use_text;

#[derive(PartialEq, Properties)]
pub(crate) struct SharingBarProps {
    pub(crate) onstop: Callback<()>,
}

/// With a button that ends it.
#[component]
pub(crate) fn SharingBar(props: &SharingBarProps) -> Html {
    let text = use_text();
    html! {
        <div class="shadow-float animate-appear absolute bottom-4 left-1/2 z-10 flex -translate-x-1/2 items-center gap-3 rounded-full bg-accent py-1.5 pr-1.5 pl-4 text-sm font-medium whitespace-nowrap text-on-accent">
            <Icon symbol={Symbol::Screen} class="size-[18px]" />
            <span role="status">{ text.call.sharing }</span>
            <button type="button" title={text.call.screen_stop} onclick={props.onstop.reform(|_: MouseEvent| ())}
                class="rounded-full bg-black/20 px-3.5 py-1.5 font-semibold transition-colors hover:bg-black/30">
                { text.call.stop }
            </button>
        </div>
    }
}
