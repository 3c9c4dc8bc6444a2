//! The figures of a call over the last minutes.

use std::rc::Rc;

use gloo::timers::callback::Interval;
use videocall_client::Call;
use yew::prelude::*;

use super::chart::{LineChart, Lines};
use super::panel::Panel;
use super::quality::Bars;
use super::{Icon, Symbol};
use crate::hooks::{Record, as_json, use_copy, use_text};
use crate::state::call::{Connection, Person};
use crate::state::chart::Chart;
use crate::state::figures::PictureFigures;
use crate::state::history::{History, Line, Subject};
use crate::state::quality::{Standing, Verdict};

/// As often as there are new values.
const REFRESH_MS: u32 = 1000;

#[derive(PartialEq, Properties)]
pub(crate) struct StatisticsPanelProps {
    pub(crate) call: Call,
    pub(crate) record: Record,
    pub(crate) standing: Rc<Standing>,
    pub(crate) connection: Connection,
    pub(crate) people: Vec<Rc<Person>>,
    pub(crate) onclose: Callback<()>,
}

/// Of the connection, of what is sent, and of everybody else; the latter folded up until somebody wants to know.
#[component]
pub(crate) fn StatisticsPanel(props: &StatisticsPanelProps) -> Html {
    let text = use_text();
    let tick = use_ticks();
    let (copied, copy) = use_copy();
    let (symbol, label) = if copied {
        (Symbol::Check, text.statistics.copied)
    } else {
        (Symbol::Copy, text.statistics.copy)
    };
    let call = props.call.clone();
    let onclick = copy.reform(move |_: MouseEvent| as_json(&call));
    let actions = html! {
        <button type="button" data-testid="copy-statistics" {onclick}
            class="inline-flex h-9 items-center gap-1.5 rounded-full px-2.5 text-[13px] font-medium whitespace-nowrap text-soft transition-colors hover:bg-raised hover:text-ink">
            <Icon {symbol} class="size-[18px]" />
            <span aria-live="polite">{ label }</span>
        </button>
    };
    let Connection {
        phase,
        transport,
        rtt_ms,
        ..
    } = props.connection;
    html! {
        <Panel label={text.statistics.title} title={text.statistics.title} testid="statistics" class="md:w-[22rem]"
            {actions} onclose={props.onclose.clone()}>
            <div class="relative min-h-0 flex-1 space-y-5 overflow-y-auto px-4 pb-4">
                <section class="space-y-3" aria-label={text.statistics.connection}>
                    <p class="text-[13px] leading-5 text-soft">
                        { (text.call.connection_detail)(phase, transport, rtt_ms) }
                        <br />
                        { text.statistics.span }
                    </p>
                    { props.record.with(|history| charts(history, Subject::Connection, &Chart::CONNECTION)) }
                </section>
                <section class="space-y-3">
                    <h3 class="text-sm font-semibold">{ text.statistics.own }</h3>
                    { props.record.with(|history| sent(history, text.statistics.source, text.statistics.nothing_sent)) }
                </section>
                <section class="space-y-1">
                    <h3 class="text-sm font-semibold">{ text.statistics.people }</h3>
                    if props.people.is_empty() {
                        <p class="text-[13px] leading-5 text-soft">{ text.statistics.nobody }</p>
                    }
                    { for props.people.iter().map(|person| html! {
                        <PersonFigures key={person.session.get()} person={person.clone()}
                            verdict={props.standing.of(person.session)} record={props.record.clone()} {tick} />
                    }) }
                </section>
            </div>
        </Panel>
    }
}

/// Draws the component anew whenever there may be new values; they are many and no part of the properties.
#[hook]
fn use_ticks() -> u32 {
    let ticks = use_state_eq(|| 0);
    let setter = ticks.setter();
    use_effect_with((), move |()| {
        let mut count = 0_u32;
        let interval = Interval::new(REFRESH_MS, move || {
            count = count.wrapping_add(1);
            setter.set(count);
        });
        move || drop(interval)
    });
    *ticks
}

fn charts(history: &History, subject: Subject, charts: &[Chart]) -> Html {
    let chart = |&chart: &Chart| {
        html! { <LineChart key={format!("{chart:?}")} {chart} lines={Lines::of(history, subject, chart)} /> }
    };
    html! { <>{ for charts.iter().map(chart) }</> }
}

fn sent(history: &History, source: fn(bool) -> &'static str, nothing: &'static str) -> Html {
    let pictures = history
        .latest()
        .map(|figures| figures.sent.as_slice())
        .unwrap_or_default();
    if pictures.is_empty() {
        return html! { <p class="text-[13px] leading-5 text-soft">{ nothing }</p> };
    }
    let of = |screen| {
        let subject = if screen { Subject::Screen } else { Subject::Camera };
        html! {
            <div class="space-y-3">
                if pictures.len() > 1 { <h4 class="text-[13px] font-medium text-soft">{ source(screen) }</h4> }
                { charts(history, subject, &Chart::SENT) }
            </div>
        }
    };
    html! { <>{ for pictures.iter().map(|picture| of(picture.screen)) }</> }
}

#[derive(PartialEq, Properties)]
struct PersonFiguresProps {
    person: Rc<Person>,
    verdict: Verdict,
    record: Record,
    /// Another one whenever there may be new values.
    tick: u32,
}

/// One line, and the charts below it once they are wanted.
#[component]
fn PersonFigures(props: &PersonFiguresProps) -> Html {
    let text = use_text();
    let open = use_state_eq(|| false);
    let toggle = {
        let open = open.clone();
        move |_: MouseEvent| open.set(!*open)
    };
    let person = &props.person;
    let subject = Subject::Person(person.session);
    let said = props
        .verdict
        .reason
        .map_or(text.call.quality_good.to_owned(), |reason| {
            (text.call.quality_of)(reason, &person.label)
        });
    let bitrate = props.record.with(|history| {
        history
            .series(subject, Line::Bitrate)
            .and_then(|series| series.last())
    });
    html! {
        <div class="border-b border-line last:border-0">
            <button type="button" aria-expanded={open.to_string()} onclick={toggle} title={said.clone()}
                class="flex w-full items-center gap-2 rounded-lg py-2 text-left text-[13px] leading-5">
                <Icon symbol={if *open { Symbol::Down } else { Symbol::Next }} class="size-4 text-soft" />
                <span class="min-w-0 flex-1 truncate font-medium">{ person.label.clone() }</span>
                if let Some(bitrate) = bitrate {
                    <span class="tabular-nums text-soft">{ (text.statistics.value)(Line::Bitrate, bitrate) }</span>
                }
                <Bars grade={props.verdict.grade} />
                <span class="sr-only">{ said.clone() }</span>
            </button>
            if *open {
                <div class="space-y-3 pt-1 pb-4">
                    if props.verdict.reason.is_some() { <p class="text-[13px] leading-5 text-soft">{ said }</p> }
                    { props.record.with(|history| picture(history, person)).map(|picture| details(&picture, &text.statistics)) }
                    { props.record.with(|history| charts(history, subject, &Chart::RECEIVED)) }
                </div>
            }
        </div>
    }
}

fn picture(history: &History, person: &Person) -> Option<PictureFigures> {
    let mut people = history.latest()?.people.iter();
    people.find(|known| known.session == person.session)?.picture
}

fn details(picture: &PictureFigures, text: &crate::text::StatisticsText) -> Html {
    let layer = picture.lines.map(|lines| (text.layer)(lines, picture.layer));
    let said = layer
        .into_iter()
        .chain(picture.behind_sound_ms.map(text.behind_sound));
    html! { <p class="text-[13px] leading-5 text-soft">{ said.collect::<Vec<_>>().join(" · ") }</p> }
}
