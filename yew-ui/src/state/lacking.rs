//! What a browser lacks for a call, as far as a person can do something about it.

/// Something that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// The page came over plain HTTP from elsewhere, so the browser withholds everything else.
    SecureContext,
    /// A way to connect.
    Network,
    /// Access to cameras and microphones.
    Devices,
    /// Access to a camera's single pictures.
    Capture,
    /// Coding of video.
    Video,
    /// Coding of sound.
    Audio,
    /// Playing of decoded sound.
    Playback,
    /// Drawing away from the page's thread.
    Drawing,
}

/// Each once, in the order given.
pub fn distinct(lacking: impl IntoIterator<Item = Lacking>) -> Vec<Lacking> {
    let mut list = Vec::new();
    for one in lacking {
        if !list.contains(&one) {
            list.push(one);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_twice() {
        let all = [Lacking::Video, Lacking::Audio, Lacking::Video];
        assert_eq!(distinct(all), [Lacking::Video, Lacking::Audio]);
    }
}
