//! Notices that somebody speaks who is muted.

/// Level of speech near a microphone, root of the mean square; the noise of a room is below.
const SPEECH: f32 = 0.02;

/// How long it has to be so loud: a word, not a cough. Pauses between syllables take half of their length away.
const A_WORD_US: i64 = 400_000;

/// Who was told is not told again so soon.
const SILENCE_US: i64 = 10_000_000;

/// Listens to a muted microphone.
#[derive(Clone, Copy, Debug, Default)]
pub struct MutedSpeech {
    heard_us: i64,
    silent_us: i64,
}

impl MutedSpeech {
    /// A piece of sound of this level and length, in order; whether its speaker should be told of being muted.
    pub fn hears(&mut self, root_mean_square: f32, duration_us: i64) -> bool {
        self.silent_us = (self.silent_us - duration_us).max(0);
        let change = if root_mean_square >= SPEECH {
            duration_us
        } else {
            -duration_us / 2
        };
        self.heard_us = (self.heard_us + change).clamp(0, A_WORD_US);
        let told = self.heard_us == A_WORD_US && self.silent_us == 0;
        if told {
            self.silent_us = SILENCE_US;
            self.heard_us = 0;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE_US: i64 = 10_000;

    /// How often it is told of these levels, each of 10 ms.
    fn told(levels: impl Iterator<Item = f32>) -> usize {
        let mut speech = MutedSpeech::default();
        levels.filter(|&level| speech.hears(level, PIECE_US)).count()
    }

    #[test]
    fn speech_is_told_of_once_in_ten_seconds() {
        let syllables = || (0..).map(|piece| if piece % 20 < 14 { 0.1 } else { 0.005 });
        assert_eq!(told(syllables().take(30)), 0, "too short");
        assert_eq!(told(syllables().take(200)), 1);
        assert_eq!(told(syllables().take(1_500)), 2);
    }

    #[test]
    fn a_room_and_a_cough_are_no_speech() {
        assert_eq!(told((0..6_000).map(|_| 0.01)), 0);
        let coughs = (0..6_000).map(|piece| if piece % 300 < 25 { 0.5 } else { 0.0 });
        assert_eq!(told(coughs), 0);
    }
}
