//! The product's sign.

use yew::prelude::*;

use crate::hooks::use_text;

#[derive(PartialEq, Properties)]
pub(crate) struct BrandProps {
    /// The sign with the name beside it.
    #[prop_or(true)]
    pub(crate) named: bool,
}

/// The sign, and the name if wanted.
#[component]
pub(crate) fn Brand(props: &BrandProps) -> Html {
    let text = use_text();
    html! {
        <span class="inline-flex items-center gap-2.5">
            <img src="/static/favicon.svg" alt="" width="28" height="28" class="size-7 shrink-0" />
            if props.named {
                <span class="text-[17px] font-semibold tracking-tight">{ text.product }</span>
            }
        </span>
    }
}
