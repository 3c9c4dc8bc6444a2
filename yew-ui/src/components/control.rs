//! A round button of the call.

use yew::prelude::*;

use super::{Icon, Symbol};

/// How a button looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    /// As usual.
    #[default]
    Plain,
    /// What it switches is off although it is mostly on.
    Off,
    /// What it switches is on although it is mostly off.
    Active,
    /// Upon a picture.
    OnPicture,
    /// Upon a picture, and what it switches is off.
    Refused,
}

#[derive(PartialEq, Properties)]
pub(crate) struct ControlButtonProps {
    pub(crate) symbol: Symbol,
    /// What it is, whatever its state.
    pub(crate) label: &'static str,
    /// What pressing it does, with its key.
    pub(crate) title: &'static str,
    #[prop_or_default]
    pub(crate) look: Look,
    /// Whether what it switches is on; absent for buttons that switch nothing.
    #[prop_or_default]
    pub(crate) pressed: Option<bool>,
    /// Whether what it opens is open.
    #[prop_or_default]
    pub(crate) expanded: Option<bool>,
    #[prop_or_default]
    pub(crate) disabled: bool,
    #[prop_or_default]
    pub(crate) testid: Option<&'static str>,
    #[prop_or_default]
    pub(crate) class: Classes,
    /// A number on its edge.
    #[prop_or_default]
    pub(crate) badge: Option<usize>,
    pub(crate) onclick: Callback<()>,
}

/// The button.
#[component]
pub(crate) fn ControlButton(props: &ControlButtonProps) -> Html {
    let look = match props.look {
        Look::Plain => None,
        Look::Off => Some("control-off"),
        Look::Active => Some("control-active"),
        Look::OnPicture => Some("on-picture hover:bg-black/70"),
        Look::Refused => Some("control-leave"),
    };
    let onclick = props.onclick.reform(|_: MouseEvent| ());
    html! {
        <button type="button" class={classes!("control", "relative", look, props.class.clone())}
            data-testid={props.testid} aria-label={props.label} title={props.title}
            aria-pressed={props.pressed.map(|on| on.to_string())}
            aria-expanded={props.expanded.map(|open| open.to_string())}
            disabled={props.disabled} {onclick}>
            <Icon symbol={props.symbol} />
            if let Some(badge) = props.badge {
                <span class="absolute -top-0.5 -right-0.5 min-w-5 rounded-full border-2 border-surface bg-accent px-1 text-center text-[11px] leading-4 font-semibold text-on-accent">
                    { badge }
                </span>
            }
        </button>
    }
}
