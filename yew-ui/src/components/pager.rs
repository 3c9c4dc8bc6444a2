//! Turns the pages of tiles.

use yew::prelude::*;

use super::{Icon, Symbol};
use crate::hooks::use_text;
use crate::state::gallery::{Page, Turn};

#[derive(PartialEq, Properties)]
pub(super) struct PagerProps {
    pub(super) page: Page,
    pub(super) onturn: Callback<Turn>,
}

/// A button on either side, upon the tiles; nothing where there is one page.
#[component]
pub(super) fn Pager(props: &PagerProps) -> Html {
    let text = use_text();
    let Page { index, count } = props.page;
    if count < 2 {
        return Html::default();
    }
    let button = |turn, symbol, title: &'static str, testid: &'static str, side, possible: bool| {
        html! {
            <button type="button" data-testid={testid} {title} aria-label={title} disabled={!possible}
                onclick={props.onturn.reform(move |_: MouseEvent| turn)}
                class={classes!("on-picture", "absolute", "top-1/2", "z-20", "inline-flex", "w-10", "-translate-y-1/2",
                    "flex-col", "items-center", "gap-0.5", "rounded-full", "py-3", "shadow-float", "transition-opacity",
                    "hover:bg-black/75", "disabled:opacity-35", side)}>
                <Icon {symbol} />
                <span class="text-[11px] leading-3 font-medium tabular-nums" aria-hidden="true">
                    { format!("{}/{count}", index + 1) }
                </span>
            </button>
        }
    };
    html! {
        <nav aria-label={text.call.pages}>
            { button(Turn::Previous, Symbol::Previous, text.call.page_before, "page-before", "left-1", index > 0) }
            { button(Turn::Next, Symbol::Next, text.call.page_after, "page-after", "right-1", index + 1 < count) }
            <p class="sr-only" role="status" data-testid="page">{ (text.call.page_of)(index + 1, count) }</p>
        </nav>
    }
}
