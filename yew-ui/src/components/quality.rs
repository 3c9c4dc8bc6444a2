//! How good somebody's connection is, at a glance and in words.

use yew::prelude::*;

use crate::hooks::use_text;
use crate::state::quality::{Grade, Verdict};

#[derive(PartialEq, Properties)]
pub(crate) struct BarsProps {
    pub(crate) grade: Grade,
    #[prop_or("size-4")]
    pub(crate) class: &'static str,
}

/// Three bars, of which as many are full as the connection is good: the shape tells it, and the colour besides.
#[component]
pub(crate) fn Bars(props: &BarsProps) -> Html {
    let full = match props.grade {
        Grade::Good => 3,
        Grade::Fair => 2,
        Grade::Poor => 1,
    };
    let bar = |index: usize| {
        let height = 4 + 4 * index;
        let class = if index < full { "" } else { "opacity-30" };
        html! {
            <rect {class} x={(1 + 5 * index).to_string()} y={(15 - height).to_string()} width="4"
                height={height.to_string()} rx="1.2" fill="currentColor" />
        }
    };
    html! {
        <svg class={classes!("shrink-0", props.class)} viewBox="0 0 16 16" aria-hidden="true">{ for (0..3).map(bar) }</svg>
    }
}

#[derive(PartialEq, Properties)]
pub(super) struct QualityMarkProps {
    pub(super) verdict: Verdict,
    /// Whose; absent for oneself.
    #[prop_or_default]
    pub(super) name: Option<AttrValue>,
}

/// Upon a tile, when there is something to say: in words where there is room for them.
#[component]
pub(super) fn QualityMark(props: &QualityMarkProps) -> Html {
    let text = use_text();
    let Verdict { grade, reason } = props.verdict;
    let Some(reason) = reason else {
        return Html::default();
    };
    let said = match &props.name {
        Some(name) => (text.call.quality_of)(reason, name),
        None => (text.call.quality_own)(reason).to_owned(),
    };
    let colour = if grade == Grade::Poor {
        "text-poor"
    } else {
        "text-fair"
    };
    html! {
        <div data-testid="quality" role="img" aria-label={said.clone()} title={said.clone()}
            class="on-picture animate-appear absolute top-2 left-2 flex max-w-[calc(100%-4rem)] items-center gap-1.5 rounded-lg px-2 py-1 text-[13px] leading-4 font-medium @max-[140px]:top-1 @max-[140px]:left-1 @max-[240px]:px-1.5">
            <span class={colour}><Bars {grade} /></span>
            <span class="truncate @max-[240px]:hidden">{ said }</span>
        </div>
    }
}
