//! A labelled line of text with a hint or what is wrong with it.

use web_sys::HtmlInputElement;
use yew::prelude::*;

#[derive(PartialEq, Properties)]
pub(crate) struct FieldProps {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) value: AttrValue,
    #[prop_or_default]
    pub(crate) error: Option<AttrValue>,
    #[prop_or("off")]
    pub(crate) autocomplete: &'static str,
    #[prop_or_default]
    pub(crate) autofocus: bool,
    pub(crate) onchange: Callback<String>,
    /// Beside the label.
    #[prop_or_default]
    pub(crate) children: Html,
}

/// The field; its `data-testid` is its id.
#[component]
pub(crate) fn Field(props: &FieldProps) -> Html {
    let note = format!("{}-note", props.id);
    let oninput = props
        .onchange
        .reform(|event: InputEvent| event.target_unchecked_into::<HtmlInputElement>().value());
    let bad = props.error.is_some();
    html! {
        <div>
            <div class="mb-1.5 flex items-baseline justify-between gap-3">
                <label for={props.id} class="text-sm font-medium">{ props.label }</label>
                { props.children.clone() }
            </div>
            <input id={props.id} data-testid={props.id} class={classes!("field", bad.then_some("field-bad"))}
                type="text" value={props.value.clone()} autocomplete={props.autocomplete}
                autocapitalize="none" autocorrect="off" spellcheck="false" enterkeyhint="go"
                autofocus={props.autofocus} aria-invalid={bad.to_string()}
                aria-describedby={note.clone()} {oninput} />
            <p id={note} aria-live="polite"
                class={classes!("mt-1.5", "text-[13px]", if bad { "text-danger" } else { "text-soft" })}>
                { props.error.clone().unwrap_or(AttrValue::Static(props.hint)) }
            </p>
        </div>
    }
}
