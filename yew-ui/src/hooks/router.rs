//! The page's address as state, and moving to another one without a reload.

use gloo::events::EventListener;
use gloo::utils::window;
use wasm_bindgen::JsValue;
use yew::prelude::*;

use crate::state::route::Route;

/// Goes to a path of this application.
#[derive(Clone, PartialEq)]
pub(crate) struct Navigator(Callback<String>);

impl Navigator {
    /// Goes there.
    pub(crate) fn go(&self, path: String) {
        self.0.emit(path);
    }
}

/// Follows the address. For the application alone; pages use [`use_navigator`].
#[hook]
pub(crate) fn use_router() -> (Route, Navigator) {
    let route = use_state_eq(current_route);
    {
        let route = route.setter();
        use_effect_with((), move |()| {
            let listener = EventListener::new(&window(), "popstate", move |_| route.set(current_route()));
            move || drop(listener)
        });
    }
    let go = {
        let route = route.setter();
        use_callback((), move |path: String, ()| {
            let history = window().history();
            let moved =
                history.and_then(|history| history.push_state_with_url(&JsValue::NULL, "", Some(&path)));
            if moved.is_ok() {
                route.set(current_route());
                window().scroll_to_with_x_and_y(0.0, 0.0);
            }
        })
    };
    ((*route).clone(), Navigator(go))
}

/// The way to other pages.
#[hook]
pub(crate) fn use_navigator() -> Navigator {
    use_context::<Navigator>().unwrap_or_else(|| Navigator(Callback::noop()))
}

fn current_route() -> Route {
    let location = window().location();
    let path = location.pathname().unwrap_or_default();
    let query = location.search().unwrap_or_default();
    Route::parse(&path, &query)
}
