//! Where the keyboard is while something is open: in it, and afterwards where it was.

use gloo::utils::document;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use yew::prelude::*;

/// Gives the element the focus while the component is there, and then back to whatever had it.
#[hook]
pub(crate) fn use_focus(node: &NodeRef) {
    use_effect_with(node.clone(), |node| {
        let before = document().active_element();
        if let Some(element) = node.cast::<HtmlElement>() {
            // An element that cannot have it leaves it where it is.
            element.focus().ok();
        }
        let node = node.clone();
        move || {
            // Whoever has moved on to something else stays there.
            let active = document().active_element();
            let is_body = active.as_ref().is_none_or(|active| active.tag_name() == "BODY");
            let inside = node
                .cast::<HtmlElement>()
                .zip(active.as_ref())
                .is_some_and(|(element, active)| element.contains(Some(active)));
            let before = before.and_then(|before| before.dyn_into::<HtmlElement>().ok());
            if let Some(before) = before.filter(|before| (is_body || inside) && before.is_connected()) {
                before.focus().ok();
            }
        }
    });
}
