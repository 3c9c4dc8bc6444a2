//! The switches upon the preview.

use yew::prelude::*;

use super::control::Look;
use super::{ControlButton, Symbol};
use crate::hooks::use_text;
use crate::state::shortcut::Shortcut;

#[derive(PartialEq, Properties)]
pub(crate) struct PreviewControlsProps {
    pub(crate) microphone: bool,
    pub(crate) camera: bool,
    pub(crate) ontoggle: Callback<Shortcut>,
}

/// Microphone and camera.
#[component]
pub(crate) fn PreviewControls(props: &PreviewControlsProps) -> Html {
    let text = &use_text().call;
    let (microphone, camera) = (props.microphone, props.camera);
    let look = |on| if on { Look::OnPicture } else { Look::Refused };
    html! {
        <>
            <ControlButton testid="toggle-mic" label={text.microphone} pressed={microphone} look={look(microphone)}
                title={if microphone { text.mute } else { text.unmute }}
                symbol={if microphone { Symbol::Microphone } else { Symbol::MicrophoneOff }}
                onclick={props.ontoggle.reform(|()| Shortcut::Microphone)} />
            <ControlButton testid="toggle-camera" label={text.camera} pressed={camera} look={look(camera)}
                title={if camera { text.camera_stop } else { text.camera_start }}
                symbol={if camera { Symbol::Camera } else { Symbol::CameraOff }}
                onclick={props.ontoggle.reform(|()| Shortcut::Camera)} />
        </>
    }
}
