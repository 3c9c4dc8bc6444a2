//! How the connection is.

use yew::prelude::*;

use super::quality::Bars;
use crate::hooks::use_text;
use crate::state::call::{Connection, Phase};
use crate::state::quality::{Grade, Verdict};

#[derive(PartialEq, Properties)]
pub(crate) struct ConnectionBadgeProps {
    pub(crate) connection: Connection,
    /// How the call is for the person.
    pub(crate) verdict: Verdict,
    pub(crate) onclick: Callback<()>,
}

/// A sign and a few words, which say what is wrong when something is; details on hovering, all figures on pressing it.
#[component]
pub(crate) fn ConnectionBadge(props: &ConnectionBadgeProps) -> Html {
    let text = use_text();
    let Connection {
        phase,
        transport,
        rtt_ms,
        ..
    } = props.connection;
    let Verdict { grade, reason } = props.verdict;
    let (sign, said) = match (phase, reason) {
        (Phase::Connected, Some(reason)) => {
            let colour = if grade == Grade::Poor {
                "text-danger"
            } else {
                "text-warn"
            };
            let bars = html! { <span class={colour}><Bars {grade} /></span> };
            (bars, (text.call.quality_own)(reason))
        }
        _ => (dot(phase), (text.call.connection)(phase)),
    };
    html! {
        <span data-testid="connection" role="status" data-state={phase.as_str()} data-quality={grade.as_str()}
            data-transport={transport.map(|kind| kind.as_str())} class="min-w-0 max-w-[60%] shrink-0">
            <button type="button" data-testid="connection-button" onclick={props.onclick.reform(|_: MouseEvent| ())}
                title={format!("{}. {}", (text.call.connection_detail)(phase, transport, rtt_ms), text.statistics.open)}
                class="inline-flex max-w-full items-center gap-2 rounded-full bg-raised px-3 py-1.5 text-[13px] font-medium text-soft transition-colors hover:bg-raised-strong">
                { sign }
                <span class="truncate">{ said }</span>
            </button>
        </span>
    }
}

fn dot(phase: Phase) -> Html {
    let colour = match phase {
        Phase::Connected => "bg-live",
        Phase::Failed => "bg-danger",
        Phase::Connecting | Phase::Reconnecting => "bg-warn animate-breathe",
    };
    html! { <span class={classes!("size-2", "shrink-0", "rounded-full", colour)} aria-hidden="true" /> }
}
