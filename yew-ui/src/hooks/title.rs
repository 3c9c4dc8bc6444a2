//! The title of the page, as tabs and bookmarks show it.

use gloo::utils::document;
use yew::prelude::*;

use super::use_text;

/// Puts what the page is about before the product's name.
#[hook]
pub(crate) fn use_title(about: Option<&str>) {
    let product = use_text().product;
    let title = about.map_or_else(|| product.to_owned(), |about| format!("{about} · {product}"));
    use_effect_with(title, |title| document().set_title(title));
}
