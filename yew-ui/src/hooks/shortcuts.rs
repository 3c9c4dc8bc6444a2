//! Keys for the controls of a call.

use gloo::events::{EventListener, EventListenerOptions};
use gloo::utils::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent};
use yew::prelude::*;

use crate::state::shortcut::Shortcut;

/// Calls back for each key that is one of a call's shortcuts, unless somebody is typing.
#[hook]
pub(crate) fn use_shortcuts(pressed: Callback<Shortcut>) {
    use_effect_with(pressed, |pressed| {
        let pressed = pressed.clone();
        // Not passive: the browser's own meaning of Ctrl+D and Ctrl+E has to be kept away.
        let options = EventListenerOptions::enable_prevent_default();
        let listener = EventListener::new_with_options(&document(), "keydown", options, move |event| {
            let Some(event) = event.dyn_ref::<KeyboardEvent>() else {
                return;
            };
            let command = event.ctrl_key() || event.meta_key();
            if event.repeat() || event.alt_key() || (!command && is_typing(event)) {
                return;
            }
            if let Some(shortcut) = Shortcut::from_key(&event.key(), command) {
                if shortcut.scrolls() && is_in_list(event) {
                    return;
                }
                event.prevent_default();
                pressed.emit(shortcut);
            }
        });
        move || drop(listener)
    });
}

/// Whether the key goes into a field. A box to tick takes none but the space bar.
fn is_typing(event: &KeyboardEvent) -> bool {
    target(event).is_some_and(|element| match element.tag_name().as_str() {
        "INPUT" => element.get_attribute("type").as_deref() != Some("checkbox"),
        "SELECT" | "TEXTAREA" => true,
        _ => false,
    })
}

/// Whether the key was meant for a panel, in which it scrolls.
fn is_in_list(event: &KeyboardEvent) -> bool {
    target(event).is_some_and(|element| {
        element
            .closest("aside, [role=dialog]")
            .is_ok_and(|found| found.is_some())
    })
}

fn target(event: &KeyboardEvent) -> Option<Element> {
    event.target()?.dyn_into().ok()
}
