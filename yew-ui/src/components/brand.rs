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
            // Part of the page, not an image of its own: the sign is also shown when the server is gone.
            <svg class="size-7 shrink-0" viewBox="0 0 32 32" aria-hidden="true">
                <rect width="32" height="32" rx="9" fill="#0b6e75" />
                <rect x="6" y="10" width="13" height="12" rx="3.5" fill="#fff" />
                <path d="M21 14.6l4.1-2.6c.5-.3 1.1 0 1.1.6v6.8c0 .6-.6.9-1.1.6L21 17.4z" fill="#fff" />
            </svg>
            if props.named {
                <span class="text-[17px] font-semibold tracking-tight">{ text.product }</span>
            }
        </span>
    }
}
