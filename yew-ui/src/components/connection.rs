//! How the connection is.

use yew::prelude::*;

use crate::hooks::use_text;
use crate::state::call::{Connection, Phase};

#[derive(PartialEq, Properties)]
pub(crate) struct ConnectionBadgeProps {
    pub(crate) connection: Connection,
}

/// A dot and a word; details on hovering.
#[component]
pub(crate) fn ConnectionBadge(props: &ConnectionBadgeProps) -> Html {
    let text = use_text();
    let Connection {
        phase,
        transport,
        rtt_ms,
        ..
    } = props.connection;
    let dot = match phase {
        Phase::Connected => "bg-live",
        Phase::Failed => "bg-danger",
        Phase::Connecting | Phase::Reconnecting => "bg-warn animate-breathe",
    };
    html! {
        <span data-testid="connection" role="status" data-state={phase.as_str()}
            data-transport={transport.map(|kind| kind.as_str())}
            title={(text.call.connection_detail)(phase, transport, rtt_ms)}
            class="inline-flex items-center gap-2 rounded-full bg-raised px-3 py-1.5 text-[13px] font-medium text-soft">
            <span class={classes!("size-2", "rounded-full", dot)} aria-hidden="true" />
            { (text.call.connection)(phase) }
        </span>
    }
}
