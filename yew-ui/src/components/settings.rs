//! What can be set: devices, what is done to the microphone's sound, what the operator learns.

use videocall_client::devices::{AudioProcessing, DeviceChoice, DeviceList};
use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::{DeviceKind, DeviceSelect, Icon, Symbol};
use crate::hooks::{use_focus, use_text};

#[derive(PartialEq, Properties)]
pub(crate) struct SettingsProps {
    /// Classes for its place.
    pub(crate) class: &'static str,
    pub(crate) processing: AudioProcessing,
    pub(crate) onprocessing: Callback<AudioProcessing>,
    /// The operator learns how calls are.
    pub(crate) reports: bool,
    pub(crate) onreports: Callback<bool>,
    pub(crate) onclose: Callback<()>,
    /// Opens the statistics, where there are any.
    #[prop_or_default]
    pub(crate) onstatistics: Option<Callback<()>>,
    /// The choice of devices, where it is not on the page anyway.
    #[prop_or_default]
    pub(crate) children: Html,
}

/// A sheet.
#[component]
pub(crate) fn Settings(props: &SettingsProps) -> Html {
    let text = use_text();
    let node = use_node_ref();
    use_focus(&node);
    let close = props.onclose.reform(|_: MouseEvent| ());
    html! {
        <section ref={node} tabindex="-1" role="dialog" aria-label={text.settings.title} data-testid="settings"
            class={classes!("card", "shadow-float", "animate-appear", "z-30", "flex", "max-w-sm", "flex-col",
                "overflow-hidden", "outline-none", props.class)}>
            <header class="flex items-center justify-between py-2 pr-2 pl-4">
                <h2 class="text-[15px] font-semibold">{ text.settings.title }</h2>
                <button type="button" class="control size-9 bg-transparent" aria-label={text.call.close}
                    title={text.call.close} onclick={close}>
                    <Icon symbol={Symbol::Close} class="size-[18px]" />
                </button>
            </header>
            <div class="relative min-h-0 space-y-4 overflow-y-auto px-4 pt-1 pb-4">
                { props.children.clone() }
                <SoundSettings processing={props.processing} onchange={props.onprocessing.clone()} />
                <div class="border-t border-line pt-4">
                    <Choice testid="reports" label={text.settings.reports} hint={text.settings.reports_hint}
                        checked={props.reports} onchange={props.onreports.clone()} />
                </div>
                if let Some(onstatistics) = &props.onstatistics {
                    <div class="border-t border-line pt-4">
                        <button type="button" class="button button-quiet h-11 w-full" data-testid="open-statistics"
                            onclick={onstatistics.reform(|_: MouseEvent| ())}>
                            <Icon symbol={Symbol::Statistics} class="size-[18px]" />
                            { text.statistics.open }
                        </button>
                    </div>
                }
            </div>
        </section>
    }
}

#[derive(PartialEq, Properties)]
pub(crate) struct DeviceSettingsProps {
    pub(crate) devices: DeviceList,
    pub(crate) choice: DeviceChoice,
    pub(crate) onchoose: Callback<(DeviceKind, String)>,
}

/// The choice of devices.
#[component]
pub(crate) fn DeviceSettings(props: &DeviceSettingsProps) -> Html {
    let choose = |kind| props.onchoose.reform(move |id| (kind, id));
    html! {
        <>
            <DeviceSelect kind={DeviceKind::Camera} devices={props.devices.cameras.clone()}
                chosen={props.choice.camera.clone()} onchoose={choose(DeviceKind::Camera)} />
            <DeviceSelect kind={DeviceKind::Microphone} devices={props.devices.microphones.clone()}
                chosen={props.choice.microphone.clone()} onchoose={choose(DeviceKind::Microphone)} />
        </>
    }
}

#[derive(PartialEq, Properties)]
struct SoundSettingsProps {
    processing: AudioProcessing,
    onchange: Callback<AudioProcessing>,
}

#[component]
fn SoundSettings(props: &SoundSettingsProps) -> Html {
    let text = &use_text().settings;
    let before = props.processing;
    let change = |with: fn(&mut AudioProcessing, bool)| {
        props.onchange.reform(move |on| {
            let mut processing = before;
            with(&mut processing, on);
            processing
        })
    };
    html! {
        <fieldset class="space-y-2.5">
            <legend class="mb-2 text-sm font-medium">{ text.sound }</legend>
            <Choice testid="echo-cancellation" label={text.echo_cancellation} checked={before.echo_cancellation}
                onchange={change(|processing, on| processing.echo_cancellation = on)} />
            <Choice testid="noise-suppression" label={text.noise_suppression} checked={before.noise_suppression}
                onchange={change(|processing, on| processing.noise_suppression = on)} />
            <Choice testid="auto-gain-control" label={text.auto_gain_control} hint={text.sound_hint}
                checked={before.auto_gain_control} onchange={change(|processing, on| processing.auto_gain_control = on)} />
        </fieldset>
    }
}

#[derive(PartialEq, Properties)]
struct ChoiceProps {
    label: &'static str,
    #[prop_or_default]
    hint: Option<&'static str>,
    checked: bool,
    onchange: Callback<bool>,
    testid: &'static str,
}

/// A box to tick.
#[component]
fn Choice(props: &ChoiceProps) -> Html {
    let onchange = props.onchange.reform(|event: Event| {
        let input = event.target_dyn_into::<HtmlInputElement>();
        input.is_some_and(|input| input.checked())
    });
    html! {
        <label class="flex items-start gap-3">
            <input type="checkbox" data-testid={props.testid} class="mt-0.5 size-[18px] shrink-0 accent-accent"
                checked={props.checked} {onchange} />
            <span class="text-[15px] leading-5.5">
                { props.label }
                if let Some(hint) = props.hint {
                    <span class="mt-0.5 block text-[13px] leading-4.5 text-pretty text-soft">{ hint }</span>
                }
            </span>
        </label>
    }
}
