//! Pages: each composes components and hooks for one address or one stage of a meeting.

mod call;
mod home;
mod lobby;
mod meeting;
mod messages;

use yew::prelude::*;

use crate::hooks::{Navigator, browser_text, use_router};
use crate::state::route::Route;
use crate::text::Text;

/// The application: the page of the current address, with the language and the way to other pages.
#[component]
pub(crate) fn App() -> Html {
    let (route, navigator) = use_router();
    let text = *use_memo((), |()| browser_text());
    use_effect_with(text.language, |language| {
        if let Some(root) = gloo::utils::document().document_element() {
            root.set_attribute("lang", language).ok();
        }
    });
    let page = match route {
        Route::Home => html! { <home::HomePage /> },
        Route::Meeting(address) => {
            html! { <meeting::MeetingPage key={address.path()} address={address.clone()} /> }
        }
        Route::BadMeeting(error) => html! { <messages::BadAddressPage {error} /> },
        Route::NotFound => html! { <messages::NotFoundPage /> },
    };
    html! {
        <ContextProvider<&'static Text> context={text}>
            <ContextProvider<Navigator> context={navigator}>{ page }</ContextProvider<Navigator>>
        </ContextProvider<&'static Text>>
    }
}
