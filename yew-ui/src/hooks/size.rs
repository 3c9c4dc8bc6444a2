//! The size of an element, as long as it is on the page.

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, HtmlElement, ResizeObserver};
use yew::prelude::*;

use crate::state::layout::Size;

/// The size of the element behind `node`, inside its border.
#[hook]
pub(crate) fn use_size(node: &NodeRef) -> Size {
    let size = use_state_eq(Size::default);
    let setter = size.setter();
    use_effect_with(node.clone(), move |node| {
        let element = node.cast::<HtmlElement>();
        let observed = element.clone();
        let measure = move || {
            if let Some(element) = &observed {
                let (width, height) = (element.client_width().into(), element.client_height().into());
                setter.set(Size { width, height });
            }
        };
        measure();
        let changed = Closure::<dyn FnMut()>::new(measure);
        let observer = ResizeObserver::new(changed.as_ref().unchecked_ref()).ok();
        if let (Some(observer), Some(element)) = (&observer, &element) {
            observer.observe(element.unchecked_ref::<Element>());
        }
        move || {
            if let Some(observer) = observer {
                observer.disconnect();
            }
            drop(changed);
        }
    });
    *size
}
