//! A meeting's address, from the first look into the camera to the goodbye.

use videocall_client::devices::{AudioProcessing, DeviceChoice};
use yew::prelude::*;

use super::call::CallPage;
use super::lobby::LobbyPage;
use super::messages::{EndedPage, UnsupportedPage};
use crate::hooks::{CallStart, Stored, is_wanted, load, set_wanted, store, use_support, use_title};
use crate::state::call::Ending;
use crate::state::route::MeetingAddress;

#[derive(PartialEq, Properties)]
pub(super) struct MeetingPageProps {
    pub(super) address: MeetingAddress,
}

/// Where the person is on the way through the meeting.
#[derive(Clone, PartialEq)]
enum Stage {
    Lobby,
    Call(CallStart),
    Ended(Ending),
}

/// The page.
#[component]
pub(super) fn MeetingPage(props: &MeetingPageProps) -> Html {
    let address = &props.address;
    let stage = use_state_eq(|| match address.join_now {
        true => Stage::Call(CallStart::with_everything()),
        false => Stage::Lobby,
    });
    use_title(Some(address.meeting.as_str()));
    let support = use_support();
    use_effect_with(address.user.clone(), |user| store(Stored::Name, user.as_str()));
    if !support.lacking.is_empty() {
        return html! { <UnsupportedPage lacking={support.lacking.clone()} /> };
    }
    let to = |into: fn(CallStart) -> Stage| {
        let stage = stage.setter();
        Callback::from(move |start| stage.set(into(start)))
    };
    let onend = {
        let stage = stage.setter();
        Callback::from(move |ending| stage.set(Stage::Ended(ending)))
    };
    match &*stage {
        Stage::Lobby => html! { <LobbyPage address={address.clone()} onjoin={to(Stage::Call)} /> },
        Stage::Call(start) => html! {
            <CallPage address={address.clone()} start={start.clone()} can_share={support.screen_sharing} {onend} />
        },
        Stage::Ended(ending) => {
            let onrejoin = to(Stage::Call).reform(|()| CallStart::with_everything());
            html! {
                <EndedPage ending={ending.clone()} meeting={address.meeting.to_string()} {onrejoin} />
            }
        }
    }
}

impl CallStart {
    /// Camera and microphone on, the devices that were chosen last.
    fn with_everything() -> Self {
        Self {
            camera: true,
            microphone: true,
            choice: remembered_choice(),
            preview: None,
            engine: None,
        }
    }
}

/// The devices that were chosen last, and what is done to the microphone's sound.
pub(super) fn remembered_choice() -> DeviceChoice {
    DeviceChoice {
        camera: load(Stored::Camera),
        microphone: load(Stored::Microphone),
        processing: AudioProcessing {
            echo_cancellation: is_wanted(Stored::EchoCancellation),
            noise_suppression: is_wanted(Stored::NoiseSuppression),
            auto_gain_control: is_wanted(Stored::AutoGainControl),
        },
    }
}

/// Remembers what is done to the microphone's sound.
pub(super) fn remember_processing(processing: AudioProcessing) {
    set_wanted(Stored::EchoCancellation, processing.echo_cancellation);
    set_wanted(Stored::NoiseSuppression, processing.noise_suppression);
    set_wanted(Stored::AutoGainControl, processing.auto_gain_control);
}

/// Whether the operator learns how calls are, and what changes it; from the next call on.
#[hook]
pub(super) fn use_reports() -> (bool, Callback<bool>) {
    let reports = use_state_eq(|| is_wanted(Stored::Reports));
    let setter = reports.setter();
    let onchange = use_callback((), move |wanted: bool, ()| {
        set_wanted(Stored::Reports, wanted);
        setter.set(wanted);
    });
    (*reports, onchange)
}
