//! A small line chart of the last minutes.

use yew::prelude::*;

use crate::hooks::use_text;
use crate::state::chart::{Chart, HEIGHT, WIDTH, path, top};
use crate::state::history::{History, Line, Series, Subject};
use crate::text::StatisticsText;

/// Each line's look besides its colour: the second one is dashed.
const DASHES: [&str; 2] = ["none", "4 3"];
const COLOURS: [&str; 2] = ["text-accent", "text-warn"];

/// What a chart draws.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lines(Vec<(Line, Series)>);

impl Lines {
    /// Out of the history.
    pub(super) fn of(history: &History, subject: Subject, chart: Chart) -> Self {
        let series = |&line| Some((line, history.series(subject, line)?.clone()));
        Self(chart.lines().iter().filter_map(series).collect())
    }

    fn largest(&self) -> Option<f32> {
        let largest = self.0.iter().filter_map(|(_, series)| series.largest());
        largest.reduce(f32::max)
    }
}

#[derive(PartialEq, Properties)]
pub(super) struct LineChartProps {
    pub(super) chart: Chart,
    pub(super) lines: Lines,
}

/// Title, the newest values, and the lines; in words for those who cannot see them.
#[component]
pub(super) fn LineChart(props: &LineChartProps) -> Html {
    let text = &use_text().statistics;
    let title = (text.chart)(props.chart);
    let Some(largest) = props.lines.largest() else {
        return html! {
            <div class="flex items-baseline justify-between gap-3 text-[13px] leading-5">
                <span class="font-medium">{ title }</span>
                <span class="text-soft">{ text.no_values }</span>
            </div>
        };
    };
    let top = top(largest, props.chart.least_top());
    let described = describe(text, title, &props.lines);
    html! {
        <figure class="min-w-0">
            <figcaption class="mb-1 flex flex-wrap items-baseline justify-between gap-x-3 text-[13px] leading-5">
                <span class="font-medium">{ title }</span>
                <span class="flex gap-3 tabular-nums">{ for legend(text, &props.lines) }</span>
            </figcaption>
            <div class="relative">
                <svg viewBox={format!("0 -2 {WIDTH} {}", HEIGHT + 4.0)} preserveAspectRatio="none" role="img"
                    aria-label={described} class="h-14 w-full overflow-visible rounded bg-raised/60">
                    { for props.lines.0.iter().enumerate().map(|(index, (_, series))| html! {
                        <path class={COLOURS[index.min(1)]} d={path(series, top)} fill="none" stroke="currentColor"
                            stroke-width="1.75" stroke-linejoin="round" stroke-linecap="round"
                            stroke-dasharray={DASHES[index.min(1)]} vector-effect="non-scaling-stroke" />
                    }) }
                </svg>
                if let Some((line, _)) = props.lines.0.first() {
                    <span class="pointer-events-none absolute top-0.5 left-1 text-[10px] leading-3 text-soft" aria-hidden="true">
                        { (text.value)(*line, top) }
                    </span>
                }
            </div>
        </figure>
    }
}

/// The newest value of each line; with two, what each is.
fn legend<'a>(text: &'a StatisticsText, lines: &'a Lines) -> impl Iterator<Item = Html> + 'a {
    let several = lines.0.len() > 1;
    lines.0.iter().enumerate().map(move |(index, (line, series))| {
        let now = series.last().map_or("–".to_owned(), |value| (text.value)(*line, value));
        html! {
            <span class="inline-flex items-center gap-1.5 whitespace-nowrap">
                if several {
                    <svg viewBox="0 0 14 4" class={classes!("h-1", "w-3.5", COLOURS[index.min(1)])} aria-hidden="true">
                        <path d="M0 2h14" stroke="currentColor" stroke-width="2" stroke-dasharray={DASHES[index.min(1)]} />
                    </svg>
                    <span class="text-soft">{ (text.line)(*line) }</span>
                }
                { now }
            </span>
        }
    })
}

fn describe(text: &StatisticsText, title: &str, lines: &Lines) -> String {
    let several = lines.0.len() > 1;
    let described = lines.0.iter().map(|(line, series)| {
        let said =
            |value: Option<f32>| value.map_or(text.no_values.to_owned(), |value| (text.value)(*line, value));
        let title = if several {
            format!("{title}, {}", (text.line)(*line))
        } else {
            title.to_owned()
        };
        (text.described)(&title, &said(series.last()), &said(series.largest()))
    });
    described.collect::<Vec<_>>().join("; ")
}
