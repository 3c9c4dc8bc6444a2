//! The controls below a call.

use yew::prelude::*;

use super::control::Look;
use super::{ControlButton, Icon, Symbol};
use crate::hooks::use_text;
use crate::state::call::Own;
use crate::state::shortcut::Shortcut;
use crate::text::{CallText, SettingsText};

#[derive(PartialEq, Properties)]
pub(crate) struct ControlsProps {
    pub(crate) own: Own,
    /// How many are in the call.
    pub(crate) count: usize,
    pub(crate) people_open: bool,
    pub(crate) settings_open: bool,
    pub(crate) can_share: bool,
    pub(crate) onpress: Callback<Shortcut>,
    pub(crate) onleave: Callback<()>,
}

/// Within reach of a thumb, in the order of how often they are needed.
#[component]
pub(crate) fn Controls(props: &ControlsProps) -> Html {
    let text = use_text();
    let leave = props.onleave.reform(|_: MouseEvent| ());
    html! {
        <footer class="flex shrink-0 items-center justify-center gap-2 px-3 max-[350px]:gap-1 pt-2 pb-[max(0.75rem,env(safe-area-inset-bottom))] sm:gap-3"
            role="toolbar" aria-label={text.call.controls}>
            { switches(props, &text.call, &text.settings) }
            <button type="button" data-testid="leave-button" onclick={leave} title={text.call.leave}
                aria-label={text.call.leave} class="control control-leave sm:w-auto sm:gap-2 sm:px-5">
                <Icon symbol={Symbol::Leave} />
                <span class="hidden text-[15px] font-semibold sm:inline">{ text.call.leave_short }</span>
            </button>
        </footer>
    }
}

fn switches(props: &ControlsProps, text: &CallText, settings: &SettingsText) -> Html {
    let press = |shortcut| props.onpress.reform(move |()| shortcut);
    let Own {
        microphone,
        camera,
        screen,
        ..
    } = props.own;
    let off = |on: bool| if on { Look::Plain } else { Look::Off };
    let active = |on: bool| if on { Look::Active } else { Look::Plain };
    let pick = |on: bool, symbols: [Symbol; 2]| symbols[usize::from(on)];
    let word = |on: bool, words: [&'static str; 2]| words[usize::from(on)];
    let share = if props.can_share {
        word(screen, [text.screen_start, text.screen_stop])
    } else {
        text.screen_unsupported
    };
    html! {
        <>
            <ControlButton testid="toggle-mic" label={text.microphone} look={off(microphone)} pressed={microphone}
                title={word(microphone, [text.unmute, text.mute])} onclick={press(Shortcut::Microphone)}
                symbol={pick(microphone, [Symbol::MicrophoneOff, Symbol::Microphone])} />
            <ControlButton testid="toggle-camera" label={text.camera} look={off(camera)} pressed={camera}
                title={word(camera, [text.camera_start, text.camera_stop])} onclick={press(Shortcut::Camera)}
                symbol={pick(camera, [Symbol::CameraOff, Symbol::Camera])} />
            <ControlButton testid="toggle-screen" label={text.screen} look={active(screen)} pressed={screen}
                title={share} disabled={!props.can_share} onclick={press(Shortcut::Screen)}
                symbol={pick(screen, [Symbol::Screen, Symbol::ScreenStop])} />
            <ControlButton testid="toggle-people" label={text.people} title={text.people} symbol={Symbol::People}
                expanded={props.people_open} look={active(props.people_open)} badge={props.count}
                onclick={press(Shortcut::People)} />
            <ControlButton testid="toggle-settings" label={settings.title} title={settings.open} symbol={Symbol::Settings}
                expanded={props.settings_open} look={active(props.settings_open)} onclick={press(Shortcut::Settings)} />
        </>
    }
}
