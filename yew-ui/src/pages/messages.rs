//! Pages that say one thing and offer a way on.

use yew::prelude::*;

use crate::components::Placard;
use crate::hooks::{use_navigator, use_text, use_title};
use crate::state::call::Ending;
use crate::state::lacking::Lacking;
use crate::state::route::AddressError;

/// An address that nothing is behind.
#[component]
pub(super) fn NotFoundPage() -> Html {
    let text = use_text();
    use_title(None);
    html! {
        <Placard title={text.page.not_found_title} lead={text.page.not_found_lead}>
            <HomeButton primary=true />
        </Placard>
    }
}

#[derive(PartialEq, Properties)]
pub(super) struct BadAddressProps {
    pub(super) error: AddressError,
}

/// A meeting's address with a name or an id that is not allowed.
#[component]
pub(super) fn BadAddressPage(props: &BadAddressProps) -> Html {
    let text = use_text();
    use_title(None);
    html! {
        <Placard title={text.page.bad_address_title} lead={(text.address_error)(props.error)} alarming=true>
            <HomeButton primary=true />
        </Placard>
    }
}

#[derive(PartialEq, Properties)]
pub(super) struct UnsupportedProps {
    pub(super) lacking: Vec<Lacking>,
}

/// A browser without what a call needs.
#[component]
pub(super) fn UnsupportedPage(props: &UnsupportedProps) -> Html {
    let text = use_text();
    html! {
        <Placard title={text.page.unsupported_title} lead={text.page.unsupported_lead} alarming=true>
            <ul class="mt-4 space-y-2 text-left text-sm leading-5">
                { for props.lacking.iter().map(|&what| html! {
                    <li class="rounded-xl bg-raised px-3.5 py-2.5">{ (text.page.lacking)(what) }</li>
                }) }
            </ul>
            if !props.lacking.contains(&Lacking::SecureContext) {
                <p class="mt-4 text-sm text-soft">{ text.page.unsupported_hint }</p>
            }
            <HomeButton />
        </Placard>
    }
}

#[derive(PartialEq, Properties)]
pub(super) struct EndedProps {
    pub(super) ending: Ending,
    pub(super) meeting: AttrValue,
    pub(super) onrejoin: Callback<()>,
}

/// After a call.
#[component]
pub(super) fn EndedPage(props: &EndedProps) -> Html {
    let text = use_text();
    let (title, lead, again) = match &props.ending {
        Ending::Left => (
            text.page.left_title,
            (text.page.left_lead)(&props.meeting),
            text.page.rejoin,
        ),
        Ending::Refused(reason) => (text.page.refused_title, reason.clone(), text.page.retry),
        Ending::Closed(reason) => (text.page.closed_title, reason.clone(), text.page.retry),
    };
    let rejoin = props.onrejoin.reform(|_: MouseEvent| ());
    html! {
        <Placard {title} {lead} alarming={props.ending != Ending::Left}>
            <div class="mt-6 flex flex-col gap-2.5">
                <button type="button" class="button button-primary w-full" data-testid="rejoin-button" onclick={rejoin}>
                    { again }
                </button>
            </div>
            <HomeButton tight=true />
        </Placard>
    }
}

#[derive(PartialEq, Properties)]
struct HomeButtonProps {
    #[prop_or_default]
    primary: bool,
    /// Right below another button.
    #[prop_or_default]
    tight: bool,
}

#[component]
fn HomeButton(props: &HomeButtonProps) -> Html {
    let text = use_text();
    let navigator = use_navigator();
    let onclick = move |_: MouseEvent| navigator.go("/".to_owned());
    let look = if props.primary {
        "button-primary"
    } else {
        "button-quiet"
    };
    let space = if props.tight { "mt-2.5" } else { "mt-6" };
    html! {
        <button type="button" class={classes!("button", "w-full", look, space)} data-testid="home-button" {onclick}>
            { text.page.home }
        </button>
    }
}
