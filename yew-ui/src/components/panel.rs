//! What opens beside the pictures where there is room, and above them where there is not.

use yew::prelude::*;

use super::{Icon, Symbol};
use crate::hooks::{use_focus, use_text};

#[derive(PartialEq, Properties)]
pub(super) struct PanelProps {
    /// What it is called.
    pub(super) label: AttrValue,
    /// Its heading.
    pub(super) title: AttrValue,
    /// Classes for its width beside the pictures.
    pub(super) class: &'static str,
    #[prop_or_default]
    pub(super) testid: Option<&'static str>,
    /// Buttons beside the heading.
    #[prop_or_default]
    pub(super) actions: Html,
    pub(super) onclose: Callback<()>,
    pub(super) children: Html,
}

/// A heading that stays, a button that closes, and below them what scrolls.
#[component]
pub(super) fn Panel(props: &PanelProps) -> Html {
    let text = use_text();
    let node = use_node_ref();
    use_focus(&node);
    html! {
        <aside ref={node} tabindex="-1" aria-label={props.label.clone()} data-testid={props.testid}
            class={classes!("card", "shadow-float", "animate-appear", "absolute", "inset-3", "top-auto", "z-30", "flex",
                "max-h-[75%]", "flex-col", "overflow-hidden", "outline-none", "md:static", "md:mr-3", "md:mb-1",
                "md:max-h-none", "md:shrink-0", "md:shadow-none", props.class)}>
            <header class="flex items-center gap-1 py-2 pr-2 pl-4">
                <h2 class="min-w-0 flex-1 truncate text-[15px] font-semibold">{ props.title.clone() }</h2>
                { props.actions.clone() }
                <button type="button" class="control size-9 bg-transparent" aria-label={text.call.close}
                    title={text.call.close} onclick={props.onclose.reform(|_: MouseEvent| ())}>
                    <Icon symbol={Symbol::Close} class="size-[18px]" />
                </button>
            </header>
            { props.children.clone() }
        </aside>
    }
}
