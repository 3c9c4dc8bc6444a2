//! Alone in a meeting: how others come.

use yew::prelude::*;

use super::{Icon, Symbol};
use crate::hooks::use_text;

#[derive(PartialEq, Properties)]
pub(crate) struct SolitudeProps {
    pub(crate) link_copied: bool,
    pub(crate) oncopy: Callback<()>,
}

/// A card upon one's own picture.
#[component]
pub(crate) fn Solitude(props: &SolitudeProps) -> Html {
    let text = use_text();
    let (symbol, label) = if props.link_copied {
        (Symbol::Check, text.call.link_copied)
    } else {
        (Symbol::Link, text.call.copy_link)
    };
    html! {
        <div class="card shadow-float animate-appear absolute inset-x-5 bottom-18 z-10 mx-auto max-w-sm p-4 text-center sm:p-5">
            <p class="text-[15px] font-semibold">{ text.call.alone }</p>
            <p class="mt-1 text-sm text-soft">{ text.call.alone_hint }</p>
            <button type="button" class="button button-primary mt-3.5 h-11 w-full"
                onclick={props.oncopy.reform(|_: MouseEvent| ())}>
                <Icon {symbol} class="size-[18px]" />
                { label }
            </button>
        </div>
    }
}
