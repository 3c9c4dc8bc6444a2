//! The line above a call.

use yew::prelude::*;

use super::connection::ConnectionBadge;
use super::{Brand, Icon, Symbol};
use crate::hooks::use_text;
use crate::state::call::Connection;
use crate::state::quality::Verdict;

#[derive(PartialEq, Properties)]
pub(crate) struct CallHeaderProps {
    pub(crate) meeting: AttrValue,
    pub(crate) connection: Connection,
    pub(crate) link_copied: bool,
    pub(crate) oncopy: Callback<()>,
    /// How the call is for the person.
    pub(crate) verdict: Verdict,
    pub(crate) onstatistics: Callback<()>,
}

/// Which meeting, how to invite others, and how the connection is.
#[component]
pub(crate) fn CallHeader(props: &CallHeaderProps) -> Html {
    let text = use_text();
    let (symbol, label) = if props.link_copied {
        (Symbol::Check, text.call.link_copied)
    } else {
        (Symbol::Link, text.call.copy_link)
    };
    let onclick = props.oncopy.reform(|_: MouseEvent| ());
    html! {
        <header class="flex h-14 shrink-0 items-center gap-3 pr-[max(0.75rem,env(safe-area-inset-right))] pl-[max(1rem,env(safe-area-inset-left))] pt-[env(safe-area-inset-top)] box-content">
            <Brand named=false />
            <h1 class="min-w-0 truncate text-[15px] font-semibold">{ props.meeting.clone() }</h1>
            <button type="button" {onclick} title={text.call.copy_link} aria-label={text.call.copy_link}
                class="inline-flex h-9 shrink-0 items-center gap-1.5 rounded-full px-2.5 text-[13px] font-medium text-soft transition-colors hover:bg-raised hover:text-ink">
                <Icon {symbol} class="size-[18px]" />
                <span class="hidden sm:inline" aria-live="polite">{ label }</span>
            </button>
            <span class="flex-1" />
            <ConnectionBadge connection={props.connection.clone()} verdict={props.verdict}
                onclick={props.onstatistics.clone()} />
        </header>
    }
}
