//! The catalogue of the person's language.

use yew::prelude::*;

use crate::text::Text;

/// The catalogue that the browser's languages ask for.
pub(crate) fn browser_text() -> &'static Text {
    let languages: Vec<String> = gloo::utils::window()
        .navigator()
        .languages()
        .iter()
        .filter_map(|language| language.as_string())
        .collect();
    Text::for_languages(languages.iter().map(String::as_str))
}

/// The catalogue in use.
#[hook]
pub(crate) fn use_text() -> &'static Text {
    use_context::<&'static Text>().unwrap_or_else(browser_text)
}
