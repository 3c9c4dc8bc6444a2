//! The choice among devices of one kind.

use videocall_client::devices::Device;
use web_sys::HtmlSelectElement;
use yew::prelude::*;

use super::{Icon, Symbol};
use crate::hooks::use_text;

/// What is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceKind {
    Camera,
    Microphone,
}

#[derive(PartialEq, Properties)]
pub(crate) struct DeviceSelectProps {
    pub(crate) kind: DeviceKind,
    pub(crate) devices: Vec<Device>,
    pub(crate) chosen: Option<String>,
    pub(crate) onchoose: Callback<String>,
}

/// A labelled list; without a choice the browser's default, which comes first, is shown.
#[component]
pub(crate) fn DeviceSelect(props: &DeviceSelectProps) -> Html {
    let text = use_text();
    let (label, symbol, unnamed) = match props.kind {
        DeviceKind::Camera => (text.call.camera, Symbol::Camera, text.call.unnamed_camera),
        DeviceKind::Microphone => (
            text.call.microphone,
            Symbol::Microphone,
            text.call.unnamed_microphone,
        ),
    };
    let onchange = props
        .onchoose
        .reform(|event: Event| event.target_unchecked_into::<HtmlSelectElement>().value());
    // A device that was chosen another day may be gone.
    let chosen = props
        .devices
        .iter()
        .position(|device| props.chosen.as_ref() == Some(&device.id))
        .unwrap_or_default();
    let option = |(index, device): (usize, &Device)| {
        let selected = index == chosen;
        let name = if device.label.is_empty() {
            unnamed(index + 1)
        } else {
            device.label.clone()
        };
        html! { <option key={index} value={device.id.clone()} {selected}>{ name }</option> }
    };
    html! {
        <label class="block min-w-0">
            <span class="mb-1.5 block text-sm font-medium">{ label }</span>
            <span class="relative block">
                <span class="pointer-events-none absolute inset-y-0 left-3 flex items-center text-soft">
                    <Icon {symbol} class="size-[18px]" />
                </span>
                <select class="field appearance-none truncate pr-9 pl-10 text-[15px] disabled:opacity-60" {onchange}
                    disabled={props.devices.is_empty()}>
                    if props.devices.is_empty() {
                        <option>{ text.call.no_device }</option>
                    }
                    { for props.devices.iter().enumerate().map(option) }
                </select>
                <svg class="pointer-events-none absolute top-4 right-3 size-4 text-soft" viewBox="0 0 16 16" fill="none"
                    stroke="currentColor" stroke-width="1.75" stroke-linecap="round" aria-hidden="true">
                    <path d="M4 6.5l4 4 4-4" />
                </svg>
            </span>
        </label>
    }
}
