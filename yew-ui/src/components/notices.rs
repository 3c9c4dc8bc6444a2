//! What has to be told, above the pictures.

use yew::prelude::*;

use super::{Icon, Symbol};
use crate::hooks::use_text;
use crate::state::notice::{Notice, Severity};

#[derive(PartialEq, Properties)]
pub(crate) struct NoticeListProps {
    pub(crate) notices: Vec<Notice>,
    pub(crate) ondismiss: Callback<Notice>,
    /// The button in a notice was pressed.
    pub(crate) onaction: Callback<Notice>,
}

/// All notices, newest last. What is not urgent is read out at the next pause.
#[component]
pub(crate) fn NoticeList(props: &NoticeListProps) -> Html {
    let bar = |notice: &Notice| {
        let ondismiss = notice.is_dismissible().then(|| {
            let notice = notice.clone();
            props.ondismiss.reform(move |()| notice.clone())
        });
        let onaction = {
            let notice = notice.clone();
            props.onaction.reform(move |()| notice.clone())
        };
        html! {
            <NoticeBar key={format!("{notice:?}")} notice={notice.clone()} {ondismiss} {onaction} floating=true />
        }
    };
    html! {
        <div class="pointer-events-none absolute inset-x-3 top-2 z-20 flex flex-col items-center gap-2"
            aria-live="polite" aria-relevant="additions">
            { for props.notices.iter().map(bar) }
        </div>
    }
}

#[derive(PartialEq, Properties)]
pub(crate) struct NoticeBarProps {
    pub(crate) notice: Notice,
    #[prop_or_default]
    pub(crate) ondismiss: Option<Callback<()>>,
    /// What the notice asks for is done.
    #[prop_or_default]
    pub(crate) onaction: Callback<()>,
    /// Above other content.
    #[prop_or_default]
    pub(crate) floating: bool,
}

/// One notice.
#[component]
pub(crate) fn NoticeBar(props: &NoticeBarProps) -> Html {
    let text = use_text();
    let (symbol, colour) = match props.notice.severity() {
        Severity::Info => (Symbol::Info, "border-line bg-surface text-ink"),
        Severity::Warning => (Symbol::Warning, "border-warn/25 bg-warn-soft text-warn"),
    };
    let floating = props.floating.then_some("shadow-float animate-appear max-w-xl");
    html! {
        <div data-testid="notice" role={props.notice.is_urgent().then_some("alert")}
            class={classes!("pointer-events-auto", "flex", "items-start", "gap-2.5", "rounded-xl", "border", "py-2.5",
                "pr-2", "pl-3", "text-sm", "leading-5", colour, floating)}>
            <Icon {symbol} class="mt-px size-[18px]" />
            <p class="min-w-0 flex-1 pr-1 text-pretty">{ (text.notice)(&props.notice) }</p>
            if let Some(action) = (text.notice_action)(&props.notice) {
                <button type="button" class="button-link -my-0.5 shrink-0 px-1.5 py-0.5" data-testid="notice-action"
                    onclick={props.onaction.reform(|_: MouseEvent| ())}>
                    { action }
                </button>
            }
            if let Some(ondismiss) = &props.ondismiss {
                <button type="button" class="-my-1.5 inline-flex size-8 shrink-0 items-center justify-center rounded-full opacity-70 hover:opacity-100"
                    aria-label={text.call.close} title={text.call.close} onclick={ondismiss.reform(|_: MouseEvent| ())}>
                    <Icon symbol={Symbol::Close} class="size-4" />
                </button>
            }
        </div>
    }
}
