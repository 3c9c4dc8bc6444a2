//! Makes somebody's picture large, and as large as the others again.

use yew::prelude::*;

use super::{Icon, Symbol};
use crate::hooks::use_text;

#[derive(PartialEq, Properties)]
pub(super) struct PinButtonProps {
    /// Whose picture.
    pub(super) label: AttrValue,
    pub(super) pinned: bool,
    pub(super) class: Classes,
    pub(super) onclick: Callback<()>,
}

/// The button.
#[component]
pub(super) fn PinButton(props: &PinButtonProps) -> Html {
    let text = use_text();
    let onclick = props.onclick.reform(|_: MouseEvent| ());
    let title = if props.pinned {
        (text.call.unpin)(&props.label)
    } else {
        (text.call.pin)(&props.label)
    };
    let colour = if props.pinned { "control-active" } else { "" };
    html! {
        <button type="button" data-testid="pin" class={classes!("control", props.class.clone(), colour)}
            aria-label={(text.call.pin)(&props.label)} aria-pressed={props.pinned.to_string()} {title} {onclick}>
            <Icon symbol={Symbol::Pin} class="size-[18px]" />
        </button>
    }
}
