//! What the page has to tell: one notice per kind, the newest last.

use super::call::Refusal;

/// A capture device of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// For the picture.
    Camera,
    /// For the voice.
    Microphone,
    /// Both of them, with the same fault.
    CameraAndMicrophone,
    /// A screen or window that is shared.
    Screen,
}

impl Device {
    /// What is asked for together with this one.
    const fn counterpart(self) -> Option<Self> {
        match self {
            Self::Camera => Some(Self::Microphone),
            Self::Microphone => Some(Self::Camera),
            Self::CameraAndMicrophone | Self::Screen => None,
        }
    }
}

/// Why a device gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFault {
    /// The person or the browser's settings said no.
    NoPermission,
    /// There is none.
    NoDevice,
    /// Another program has it.
    InUse,
    /// The browser cannot do it.
    Unsupported,
    /// It stopped or failed in a way that the browser does not name.
    Failed,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A device gives nothing.
    Device(Device, DeviceFault),
    /// The connection is lost and is being rebuilt.
    Reconnecting,
    /// The server does not answer, and never has.
    ServerSilent,
    /// Every server has said no, for this reason; they are asked again.
    ServerRefuses(Refusal),
    /// WebTransport did not come up; the call runs over WebSocket.
    FellBack,
    /// Participants on other relays cannot be reached.
    RelaysUnreachable,
    /// They can be reached again.
    RelaysReachable,
    /// The browser plays no sound before the page was clicked.
    PlaybackBlocked,
    /// Sound cannot be played.
    PlaybackFailed,
    /// A device's pictures or sound cannot be encoded, for this reason.
    EncodingFailed(Device, String),
    /// The person speaks and is not heard.
    SpeakingWhileMuted,
    /// A sentence from the client library or the server.
    Said(String),
}

/// What to tell about the devices of a preview: one notice where both have the same fault.
pub fn preview_faults(camera: Option<DeviceFault>, microphone: Option<DeviceFault>) -> Vec<Notice> {
    match (camera, microphone) {
        (Some(camera), Some(microphone)) if camera == microphone => {
            vec![Notice::Device(Device::CameraAndMicrophone, camera)]
        }
        _ => [(Device::Camera, camera), (Device::Microphone, microphone)]
            .into_iter()
            .filter_map(|(device, fault)| Some(Notice::Device(device, fault?)))
            .collect(),
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something does not work as it should.
    Warning,
}

impl Notice {
    /// How much it matters.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::FellBack | Self::RelaysReachable | Self::SpeakingWhileMuted | Self::Said(_) => {
                Severity::Info
            }
            _ => Severity::Warning,
        }
    }

    /// Whether the person can take it away; the others go when their reason does.
    pub const fn is_dismissible(&self) -> bool {
        !matches!(
            self,
            Self::Reconnecting | Self::ServerSilent | Self::ServerRefuses(_)
        )
    }

    /// Whether it interrupts who has it read to them: what they have to act on, or what stops the call. The rest
    /// waits for a pause.
    pub const fn is_urgent(&self) -> bool {
        !matches!(
            self,
            Self::FellBack | Self::RelaysUnreachable | Self::RelaysReachable | Self::Said(_)
        )
    }

    /// Whether it goes by itself after a while: good news that leaves nothing to do, and what is true for a moment.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::RelaysReachable | Self::SpeakingWhileMuted)
    }
}

/// The notices on the page. Holds at most [`Notices::LIMIT`]; the oldest dismissible one makes room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices(Vec<Notice>);

impl Notices {
    /// More would cover the pictures on a phone.
    pub const LIMIT: usize = 4;

    /// The notices, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Notice> {
        self.0.iter()
    }

    /// Shows a notice. One about a device replaces what was said about it before, and camera and microphone with
    /// the same fault are one notice.
    pub fn show(&mut self, notice: Notice) {
        let notice = match notice {
            Notice::Device(device, fault) => Notice::Device(self.merged(device, fault), fault),
            other => other,
        };
        self.dismiss(&notice);
        if self.0.len() >= Self::LIMIT {
            let oldest = self.0.iter().position(Notice::is_dismissible).unwrap_or_default();
            self.0.remove(oldest);
        }
        self.0.push(notice);
    }

    /// Which devices have this fault now that this one has it.
    fn merged(&mut self, device: Device, fault: DeviceFault) -> Device {
        self.device_works(device);
        let Some(other) = device.counterpart() else {
            return device;
        };
        let same = Notice::Device(other, fault);
        if !self.0.contains(&same) {
            return device;
        }
        self.dismiss(&same);
        Device::CameraAndMicrophone
    }

    /// Takes a notice away.
    pub fn dismiss(&mut self, notice: &Notice) {
        self.0.retain(|other| other != notice);
    }

    /// Takes away what was said about a device.
    pub fn device_works(&mut self, device: Device) {
        self.0
            .retain(|other| !matches!(other, Notice::Device(about, _) if *about == device));
        let Some(counterpart) = device.counterpart() else {
            return;
        };
        for notice in &mut self.0 {
            if let Notice::Device(about @ Device::CameraAndMicrophone, _) = notice {
                *about = counterpart;
            }
        }
    }

    /// Says why servers refuse, instead of what was said of it before.
    pub fn set_refusal(&mut self, refusal: Option<Refusal>) {
        self.0.retain(|other| !matches!(other, Notice::ServerRefuses(_)));
        if let Some(refusal) = refusal {
            self.show(Notice::ServerRefuses(refusal));
        }
    }

    /// Shows or takes away a notice that describes a state.
    pub fn set(&mut self, notice: Notice, shown: bool) {
        if !shown {
            self.dismiss(&notice);
        } else if !self.0.contains(&notice) {
            self.show(notice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(notices: &Notices) -> Vec<Notice> {
        notices.iter().cloned().collect()
    }

    #[test]
    fn one_notice_per_device() {
        let mut notices = Notices::default();
        notices.show(Notice::Device(Device::Camera, DeviceFault::NoPermission));
        notices.show(Notice::Device(Device::Microphone, DeviceFault::NoDevice));
        notices.show(Notice::Device(Device::Camera, DeviceFault::InUse));
        assert_eq!(
            shown(&notices),
            [
                Notice::Device(Device::Microphone, DeviceFault::NoDevice),
                Notice::Device(Device::Camera, DeviceFault::InUse),
            ]
        );
        notices.device_works(Device::Camera);
        assert_eq!(shown(&notices).len(), 1);
    }

    #[test]
    fn a_common_fault_is_one_notice_until_one_device_works() {
        let mut notices = Notices::default();
        let fault = DeviceFault::NoPermission;
        notices.show(Notice::Device(Device::Camera, fault));
        notices.show(Notice::Device(Device::Microphone, fault));
        assert_eq!(
            shown(&notices),
            [Notice::Device(Device::CameraAndMicrophone, fault)]
        );
        notices.show(Notice::Device(Device::Camera, fault));
        assert_eq!(
            shown(&notices),
            [Notice::Device(Device::CameraAndMicrophone, fault)]
        );
        notices.device_works(Device::Camera);
        assert_eq!(shown(&notices), [Notice::Device(Device::Microphone, fault)]);
    }

    #[test]
    fn one_notice_for_one_fault() {
        use DeviceFault::{InUse, NoPermission};
        assert_eq!(preview_faults(None, None), []);
        assert_eq!(
            preview_faults(Some(NoPermission), Some(NoPermission)),
            [Notice::Device(Device::CameraAndMicrophone, NoPermission)]
        );
        assert_eq!(preview_faults(Some(InUse), Some(NoPermission)).len(), 2);
        assert_eq!(
            preview_faults(None, Some(InUse)),
            [Notice::Device(Device::Microphone, InUse)]
        );
    }

    #[test]
    fn the_oldest_makes_room_but_never_a_state() {
        let mut notices = Notices::default();
        notices.set(Notice::Reconnecting, true);
        for number in 0..10 {
            notices.show(Notice::Said(number.to_string()));
        }
        assert_eq!(shown(&notices).len(), Notices::LIMIT);
        assert_eq!(shown(&notices)[0], Notice::Reconnecting);
        assert_eq!(shown(&notices)[3], Notice::Said("9".into()));
        notices.set(Notice::Reconnecting, false);
        assert!(!shown(&notices).contains(&Notice::Reconnecting));
    }

    #[test]
    fn a_state_is_shown_once() {
        let mut notices = Notices::default();
        notices.set(Notice::RelaysUnreachable, true);
        notices.set(Notice::RelaysUnreachable, true);
        assert_eq!(shown(&notices), [Notice::RelaysUnreachable]);
    }
}
