//! The keys of a call.

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Mute or unmute.
    Microphone,
    /// Camera on or off.
    Camera,
    /// Share the screen or stop.
    Screen,
    /// Show or hide who is here.
    People,
    /// Show or hide the choice of devices.
    Devices,
    /// Close what is open.
    Close,
}

impl Shortcut {
    /// What a key means, alone or with Ctrl or Cmd. With them, it is what other meeting programs use, and works
    /// while somebody types, too.
    pub fn from_key(key: &str, command: bool) -> Option<Self> {
        match (key.to_ascii_lowercase().as_str(), command) {
            ("m", false) | ("d", true) => Some(Self::Microphone),
            ("v", false) | ("e", true) => Some(Self::Camera),
            ("s", false) => Some(Self::Screen),
            ("p", false) => Some(Self::People),
            ("d", false) => Some(Self::Devices),
            ("escape", false) => Some(Self::Close),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_meaning() {
        for (key, command, wanted) in [
            ("m", false, Some(Shortcut::Microphone)),
            ("M", false, Some(Shortcut::Microphone)),
            ("d", true, Some(Shortcut::Microphone)),
            ("e", true, Some(Shortcut::Camera)),
            ("s", true, None),
            ("p", true, None),
            ("Escape", false, Some(Shortcut::Close)),
            ("x", false, None),
        ] {
            assert_eq!(Shortcut::from_key(key, command), wanted, "{key}");
        }
    }
}
