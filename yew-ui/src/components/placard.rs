//! A page that says one thing.

use yew::prelude::*;

use super::Brand;

#[derive(PartialEq, Properties)]
pub(crate) struct PlacardProps {
    pub(crate) title: AttrValue,
    /// Below the title.
    #[prop_or_default]
    pub(crate) lead: AttrValue,
    /// It is about something that went wrong.
    #[prop_or_default]
    pub(crate) alarming: bool,
    /// More, and the buttons.
    pub(crate) children: Html,
}

/// The sign, a title, a sentence, and what can be done.
#[component]
pub(crate) fn Placard(props: &PlacardProps) -> Html {
    html! {
        <main class="flex min-h-dvh flex-col items-center justify-center px-5 py-10">
            <div class="w-full max-w-md">
                <div class="mb-8 flex justify-center"><Brand /></div>
                <div class="card animate-appear p-6 text-center sm:p-8"
                    data-testid={props.alarming.then_some("notice")} role={props.alarming.then_some("alert")}>
                    <h1 class="text-xl font-semibold tracking-tight text-balance">{ props.title.clone() }</h1>
                    if !props.lead.is_empty() {
                        <p class="mt-2 text-[15px] leading-6 text-pretty break-words text-soft">{ props.lead.clone() }</p>
                    }
                    { props.children.clone() }
                </div>
            </div>
        </main>
    }
}
