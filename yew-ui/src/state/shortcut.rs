//! The keys of a call.

use super::gallery::Turn;

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
    /// Show or hide what can be set.
    Settings,
    /// Show or hide the figures of the call.
    Statistics,
    /// Turn the page of tiles.
    Turn(Turn),
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
            ("d", false) => Some(Self::Settings),
            ("i", false) => Some(Self::Statistics),
            ("arrowright" | "pagedown", false) => Some(Self::Turn(Turn::Next)),
            ("arrowleft" | "pageup", false) => Some(Self::Turn(Turn::Previous)),
            ("escape", false) => Some(Self::Close),
            _ => None,
        }
    }

    /// Whether the key moves about in lists, too: there it is theirs.
    pub const fn scrolls(self) -> bool {
        matches!(self, Self::Turn(_))
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
            ("ArrowRight", false, Some(Shortcut::Turn(Turn::Next))),
            ("i", false, Some(Shortcut::Statistics)),
            ("PageUp", false, Some(Shortcut::Turn(Turn::Previous))),
            ("ArrowLeft", true, None),
            ("Escape", false, Some(Shortcut::Close)),
            ("x", false, None),
        ] {
            assert_eq!(Shortcut::from_key(key, command), wanted, "{key}");
        }
    }
}
