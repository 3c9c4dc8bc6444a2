//! English.

use videocall_types::api::TransportKind;
use videocall_types::{IdError, MAX_ID_LENGTH};

use super::{CallText, HomeText, LobbyText, PageText, SettingsText, StatisticsText, Text};
use crate::state::call::{Phase, Refusal};
use crate::state::chart::Chart;
use crate::state::history::Line;
use crate::state::lacking::Lacking;
use crate::state::notice::{Device, DeviceFault, Notice};
use crate::state::quality::Reason;
use crate::state::route::AddressError;

pub(super) static TEXT: Text = Text {
    language: "en",
    product: "videocall",
    home: HomeText {
        title: "Meet face to face",
        lead: "Choose a name and a meeting. Whoever opens the same meeting is in the same room.",
        name: "Your name",
        name_hint: "Letters, digits, dots, hyphens, underscores",
        meeting: "Meeting",
        meeting_hint: "Letters, digits, hyphens, underscores",
        suggest: "New meeting",
        join: "Join",
        footnote: "No account and nothing to install.",
    },
    lobby: LobbyText {
        title: |meeting| format!("Ready to join {meeting}?"),
        joining_as: |name| format!("You appear as {name}."),
        join: "Join now",
        asking: "Allow the camera and the microphone in your browser",
        camera_off: "Your camera is off",
        no_picture: "No picture from your camera",
        change: "Change name or meeting",
        preview: "Preview of your camera",
    },
    call: CallText {
        camera: "Camera",
        microphone: "Microphone",
        screen: "Share screen",
        leave_short: "Leave",
        unnamed_camera: |number| format!("Camera {number}"),
        unnamed_microphone: |number| format!("Microphone {number}"),
        no_device: "None found",
        mute: "Mute (M)",
        unmute: "Unmute (M)",
        camera_stop: "Turn camera off (V)",
        camera_start: "Turn camera on (V)",
        screen_start: "Share your screen (S)",
        screen_stop: "Stop sharing (S)",
        screen_unsupported: "This browser cannot share a screen",
        people: "Who is here (P)",
        copy_link: "Copy invitation link",
        link_copied: "Link copied",
        leave: "Leave the meeting",
        close: "Close",
        controls: "Call controls",
        stage: "Participants",
        people_title: |count| format!("In this meeting ({count})"),
        you: "You",
        alone: "You are the only one here",
        alone_hint: "Send the link to whoever should join.",
        waiting: "Waiting for the picture",
        undecodable: "This browser cannot decode this picture",
        muted: "Muted",
        unmuted: "Microphone on",
        camera_is_off: "Camera off",
        camera_is_on: "Camera on",
        speaking: "Speaking",
        screen_of: |name| format!("{name}’s screen"),
        pin: |name| format!("Pin {name}"),
        unpin: |name| format!("Unpin {name}"),
        more: |count| match count {
            1 => "1 more person".into(),
            _ => format!("{count} more people"),
        },
        more_hint: "Show who is here",
        pages: "Pages of people",
        page_after: "Next people (→)",
        page_before: "Previous people (←)",
        page_of: |page, count| format!("Page {page} of {count}"),
        quality_good: "Good connection",
        quality_own,
        quality_of,
        screen_sound: "With sound",
        sharing: "You are sharing your screen",
        stop: "Stop",
        connection,
        connection_detail,
        joined: |name| format!("{name} joined"),
        left: |name| format!("{name} left"),
    },
    statistics: StatisticsText {
        title: "Statistics",
        open: "Statistics (I)",
        copy: "Copy as JSON",
        copied: "Copied",
        connection: "Connection",
        own: "What you send",
        nothing_sent: "No picture is sent.",
        people: "What you receive",
        nobody: "Nobody else is here.",
        no_values: "No values yet",
        span: "The last 3 minutes",
        chart,
        line,
        value,
        described: |title, now, most| format!("{title}: {now} now, {most} at most"),
        source: |screen| if screen { "Screen" } else { "Camera" },
        layer: |lines, layer| match layer {
            Some((spatial, temporal)) => format!("{lines}p, layer {spatial}.{temporal}"),
            None => format!("{lines}p"),
        },
        behind_sound: |ms| match ms.round() as i64 {
            0 => "Picture and sound together".into(),
            late @ 1.. => format!("Picture {late} ms after its sound"),
            early => format!("Picture {} ms before its sound", -early),
        },
    },
    settings: SettingsText {
        title: "Settings",
        open: "Settings (D)",
        sound: "Sound of your microphone",
        echo_cancellation: "Remove echo",
        noise_suppression: "Suppress noise",
        auto_gain_control: "Adjust the volume",
        sound_hint: "Switch these off for music.",
        reports: "Help the operator find bad calls",
        reports_hint: "Reports how long joining took and how well pictures and sound came, and nothing about you. Counts from the next call on.",
    },
    page: PageText {
        left_title: "You left the meeting",
        left_lead: |meeting| format!("{meeting} goes on as long as somebody is there."),
        closed_title: "The call has ended",
        refused_title: "You could not join",
        rejoin: "Join again",
        retry: "Try again",
        home: "Home page",
        not_found_title: "There is nothing here",
        not_found_lead: "A meeting’s address looks like /meeting/your-name/meeting-id.",
        bad_address_title: "This address is not a meeting",
        unsupported_title: "Calls do not work here",
        unsupported_lead: "What is missing:",
        unsupported_hint: "Chrome and Edge have it, Firefox on a computer (version 130 or later), and Safari (26 or later).",
        lacking,
    },
    notice,
    notice_action: |notice| match notice {
        Notice::SpeakingWhileMuted => Some("Unmute"),
        _ => None,
    },
    address_error,
};

fn quality_own(reason: Reason) -> &'static str {
    match reason {
        Reason::Reconnecting => "Reconnecting",
        Reason::SlowUpload => "Your upload is slow",
        Reason::WeakDownload => "Your download is slow",
        Reason::LongWay => "Your connection is slow",
        Reason::BusyComputer => "Your computer is busy",
        Reason::TheirConnection => "Weak connection",
    }
}

fn quality_of(reason: Reason, name: &str) -> String {
    match reason {
        Reason::TheirConnection => format!("{name}’s connection is weak"),
        _ => quality_own(reason).to_owned(),
    }
}

fn chart(chart: Chart) -> &'static str {
    match chart {
        Chart::Upload => "Upload",
        Chart::Download => "Download",
        Chart::RoundTrip => "Round trip",
        Chart::Bitrate => "Bitrate",
        Chart::FrameRate => "Pictures per second",
        Chart::Resolution => "Resolution",
        Chart::Stalls => "Standing still and filled in",
        Chart::Loss => "Lost sound",
        Chart::Buffer => "Jitter buffer",
        Chart::Delay => "Delay from camera to display",
    }
}

fn line(line: Line) -> &'static str {
    match line {
        Line::Sent => "sent",
        Line::Carries => "the path carries",
        Line::Frozen => "picture",
        Line::Concealed => "sound",
        Line::Buffer => "held",
        Line::Target => "wanted",
        _ => "",
    }
}

fn value(line: Line, value: f32) -> String {
    match line {
        Line::Sent | Line::Received | Line::Carries | Line::Bitrate => bits(value),
        Line::RoundTrip | Line::Delay | Line::Buffer | Line::Target => format!("{value:.0} ms"),
        Line::Frozen | Line::Concealed => format!("{value:.0} ms/s"),
        Line::FrameRate => format!("{value:.0}"),
        Line::Lines => format!("{value:.0}p"),
        Line::Loss => format!("{value:.1} %"),
        Line::Dropped => format!("{value:.0}/s"),
    }
}

fn bits(bits_per_second: f32) -> String {
    if bits_per_second < 999_500.0 {
        format!("{:.0} kbit/s", bits_per_second / 1e3)
    } else {
        format!("{:.1} Mbit/s", bits_per_second / 1e6)
    }
}

fn connection(phase: Phase) -> &'static str {
    match phase {
        Phase::Connecting => "Connecting",
        Phase::Connected => "Connected",
        Phase::Reconnecting => "Reconnecting",
        Phase::Failed => "Not connected",
    }
}

fn connection_detail(phase: Phase, transport: Option<TransportKind>, rtt_ms: Option<u32>) -> String {
    let mut text = connection(phase).to_owned();
    match transport {
        Some(TransportKind::WebTransport) => text.push_str(" over WebTransport"),
        Some(TransportKind::WebSocket) => text.push_str(" over WebSocket"),
        None => {}
    }
    if let Some(rtt) = rtt_ms {
        text.push_str(&format!(", round trip {rtt} ms"));
    }
    text
}

fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Device(device, fault) => device_fault(*device, *fault),
        Notice::Reconnecting => "The connection was lost. Reconnecting…".into(),
        Notice::ServerSilent => "The server does not answer yet. Trying again…".into(),
        Notice::FellBack => {
            "WebTransport is not available on this network. The call runs over WebSocket.".into()
        }
        Notice::ServerRefuses(Refusal::Full) => "All servers are full at the moment. Trying again…".into(),
        Notice::ServerRefuses(Refusal::Busy) => "All servers are busy at the moment. Trying again…".into(),
        Notice::ServerRefuses(Refusal::TooManyFromHere) => {
            "Too many connections come from this network. Trying again…".into()
        }
        Notice::RelaysUnreachable => {
            "People on other servers can’t be reached right now. Everybody on this one still can.".into()
        }
        Notice::RelaysReachable => "Everybody can be reached again.".into(),
        Notice::PlaybackBlocked => "Click anywhere to hear the others.".into(),
        Notice::PlaybackFailed => "You cannot hear the others. Reload the page to try again.".into(),
        Notice::EncodingFailed(device, reason) => {
            format!("{} cannot be sent: {reason}", capital(the_device(*device)))
        }
        Notice::SpeakingWhileMuted => "You are muted. Nobody hears what you say.".into(),
        Notice::Said(sentence) => sentence.clone(),
    }
}

fn device_fault(device: Device, fault: DeviceFault) -> String {
    let the = the_device(device);
    match fault {
        DeviceFault::NoPermission if device == Device::Screen => {
            "Sharing was not allowed. Choose what to share, and allow it in your system’s settings.".into()
        }
        DeviceFault::NoPermission => {
            format!("This page may not use {the}. Allow it beside the address, then switch on again.")
        }
        DeviceFault::NoDevice if device == Device::CameraAndMicrophone => {
            "No camera and no microphone were found. You can join without, or connect them and switch on again.".into()
        }
        DeviceFault::NoDevice => {
            format!("{} was not found. You can go on without, or connect one and switch on again.", capital(the))
        }
        DeviceFault::InUse => format!("Another program uses {the}. Close it there, then switch on again."),
        DeviceFault::Unsupported => format!("This browser gives no access to {the}."),
        DeviceFault::Failed => format!("There is a problem with {the}. Switch it off and on again."),
    }
}

const fn the_device(device: Device) -> &'static str {
    match device {
        Device::Camera => "the camera",
        Device::Microphone => "the microphone",
        Device::CameraAndMicrophone => "the camera and the microphone",
        Device::Screen => "the screen",
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn lacking(what: Lacking) -> &'static str {
    match what {
        Lacking::SecureContext => "A secure address: open this page over https, or on localhost.",
        Lacking::Network => "Connections over WebTransport or WebSocket.",
        Lacking::Devices => "Access to cameras and microphones.",
        Lacking::Capture => "Access to the camera’s pictures (VideoFrame).",
        Lacking::Video => "Encoding and decoding of video (WebCodecs).",
        Lacking::Audio => "Encoding and decoding of sound (WebCodecs).",
        Lacking::Playback => "Playing of processed sound (AudioWorklet).",
        Lacking::Drawing => "Drawing in the background (OffscreenCanvas).",
    }
}

fn address_error(error: AddressError) -> String {
    let (what, allowed, error) = match error {
        AddressError::Name(error) => ("name", "letters, digits, dots, hyphens and underscores", error),
        AddressError::Meeting(error) => ("meeting", "letters, digits, hyphens and underscores", error),
    };
    match error {
        IdError::Empty(_) => match what {
            "name" => "Enter a name.".into(),
            _ => "Enter a meeting, or start a new one.".into(),
        },
        IdError::TooLong(_) => format!("The {what} is too long: at most {MAX_ID_LENGTH} characters."),
        IdError::Character { found: ' ', .. } => {
            format!("The {what} cannot contain a space. Use {allowed}.")
        }
        IdError::Character { found, .. } => {
            format!("The {what} cannot contain “{found}”. Use {allowed}.")
        }
        IdError::Session => format!("The {what} is not valid."),
    }
}
