//! The choice of devices during a call.

use videocall_client::devices::{DeviceChoice, DeviceList};
use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::{DeviceKind, DeviceSelect, Icon, Symbol};
use crate::hooks::use_text;

#[derive(PartialEq, Properties)]
pub(crate) struct DeviceMenuProps {
    pub(crate) devices: DeviceList,
    pub(crate) choice: DeviceChoice,
    pub(crate) onchoose: Callback<(DeviceKind, String)>,
    /// The operator learns how long joining takes.
    pub(crate) reports: bool,
    pub(crate) onreports: Callback<bool>,
    pub(crate) onclose: Callback<()>,
}

/// A sheet above the controls.
#[component]
pub(crate) fn DeviceMenu(props: &DeviceMenuProps) -> Html {
    let text = use_text();
    let close = props.onclose.reform(|_: MouseEvent| ());
    let reports = props.onreports.reform(|event: Event| {
        let input = event.target_dyn_into::<HtmlInputElement>();
        input.is_some_and(|input| input.checked())
    });
    let choose = |kind| props.onchoose.reform(move |id| (kind, id));
    html! {
        <section aria-label={text.call.devices}
            class="card shadow-float animate-appear absolute inset-x-3 bottom-3 z-30 mx-auto max-w-sm space-y-4 p-4 pt-3">
            <header class="flex items-center justify-between">
                <h2 class="text-[15px] font-semibold">{ text.call.devices_title }</h2>
                <button type="button" class="control size-9 bg-transparent" aria-label={text.call.close}
                    title={text.call.close} onclick={close}>
                    <Icon symbol={Symbol::Close} class="size-[18px]" />
                </button>
            </header>
            <DeviceSelect kind={DeviceKind::Camera} devices={props.devices.cameras.clone()}
                chosen={props.choice.camera.clone()} onchoose={choose(DeviceKind::Camera)} />
            <DeviceSelect kind={DeviceKind::Microphone} devices={props.devices.microphones.clone()}
                chosen={props.choice.microphone.clone()} onchoose={choose(DeviceKind::Microphone)} />
            <label class="flex items-start gap-3 border-t border-line pt-4">
                <input type="checkbox" data-testid="report-timing" class="mt-0.5 size-[18px] shrink-0 accent-accent"
                    checked={props.reports} onchange={reports} />
                <span class="text-[15px] leading-5">
                    { text.call.report_timing }
                    <span class="mt-0.5 block text-[13px] leading-4.5 text-pretty text-soft">{ text.call.report_timing_hint }</span>
                </span>
            </label>
        </section>
    }
}
