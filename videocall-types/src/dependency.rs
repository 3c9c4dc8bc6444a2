//! Which frames can still be decoded after others were left out.

/// Remembers which of the newest frames of one layer were passed on, and thereby which later
/// frames can be decoded from them.
///
/// Relays use it to drop whole dependency branches instead of single frames, receivers to know
/// what not to give to a decoder. Frames arrive in ascending order of their sequence.
#[derive(Clone, Debug, Default)]
pub struct DependencyTracker {
    /// Sequence of the newest frame that was passed on; `None` until the first keyframe.
    newest: Option<u64>,
    /// Bit n: the frame with sequence `newest - n` was passed on.
    passed: u64,
}

impl DependencyTracker {
    /// Whether the frame can be decoded from what was passed on. A keyframe always can.
    pub fn is_decodable(&self, sequence: u64, keyframe: bool, reference_distance: u32) -> bool {
        if keyframe {
            return true;
        }
        let Some(newest) = self.newest else {
            return false;
        };
        if sequence <= newest || reference_distance == 0 {
            return false;
        }
        let Some(reference) = sequence.checked_sub(u64::from(reference_distance)) else {
            return false;
        };
        match newest.checked_sub(reference) {
            Some(age) if age < 64 => self.passed >> age & 1 == 1,
            _ => false,
        }
    }

    /// Takes note that the frame was passed on. Frames before a keyframe no longer count.
    pub fn pass(&mut self, sequence: u64, keyframe: bool) {
        let advance = self.newest.map_or(64, |newest| sequence.saturating_sub(newest));
        self.passed = if keyframe || advance >= 64 {
            1
        } else {
            self.passed << advance | 1
        };
        self.newest = Some(sequence);
    }

    /// Forgets everything: only a keyframe can be decoded next.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether a first keyframe was passed on.
    pub fn is_started(&self) -> bool {
        self.newest.is_some()
    }

    /// Sequence of the newest frame passed on.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (sequence, keyframe, distance) of an L1T3 group: T0 T2 T1 T2 T0 ...
    const L1T3: [(u64, bool, u32); 9] = [
        (0, true, 0),
        (1, false, 1),
        (2, false, 2),
        (3, false, 1),
        (4, false, 4),
        (5, false, 1),
        (6, false, 2),
        (7, false, 1),
        (8, false, 4),
    ];

    fn decodable_without(dropped: &[u64]) -> Vec<u64> {
        let mut tracker = DependencyTracker::default();
        let mut passed = Vec::new();
        for (sequence, keyframe, distance) in L1T3 {
            let wanted = !dropped.contains(&sequence);
            if wanted && tracker.is_decodable(sequence, keyframe, distance) {
                tracker.pass(sequence, keyframe);
                passed.push(sequence);
            }
        }
        passed
    }

    #[test]
    fn a_dropped_enhancement_frame_takes_only_its_branch() {
        assert_eq!(decodable_without(&[1]), [0, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(decodable_without(&[2]), [0, 1, 4, 5, 6, 7, 8]);
        assert_eq!(decodable_without(&[6]), [0, 1, 2, 3, 4, 5, 8]);
    }

    #[test]
    fn a_dropped_base_frame_takes_everything_until_a_keyframe() {
        assert_eq!(decodable_without(&[4]), [0, 1, 2, 3]);
        assert_eq!(decodable_without(&[0]), [0_u64; 0]);
    }

    #[test]
    fn nothing_before_a_keyframe_is_a_reference() {
        let mut tracker = DependencyTracker::default();
        tracker.pass(0, true);
        tracker.pass(1, false);
        tracker.pass(2, true);
        assert!(!tracker.is_decodable(3, false, 2));
        assert!(tracker.is_decodable(3, false, 1));
    }
}
