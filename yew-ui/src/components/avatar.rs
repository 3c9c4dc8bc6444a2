//! Initials in place of a picture.

use yew::prelude::*;

use crate::state::name::{hue, initials};

#[derive(PartialEq, Properties)]
pub(crate) struct AvatarProps {
    pub(crate) name: AttrValue,
    /// Classes for size.
    pub(crate) class: &'static str,
}

/// A disc in the name's colour with the name's initials; the name itself stands beside it.
#[component]
pub(crate) fn Avatar(props: &AvatarProps) -> Html {
    let style = format!("background-color: oklch(0.5 0.08 {})", hue(&props.name));
    html! {
        <span class={classes!("inline-flex", "shrink-0", "items-center", "justify-center", "rounded-full",
                "font-semibold", "text-white", "select-none", props.class)}
            {style} aria-hidden="true">
            { initials(&props.name) }
        </span>
    }
}
