//! Which of a track's spatial layers something is about.

/// A set of spatial layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerSet(u8);

impl LayerSet {
    pub(crate) const ALL: Self = Self(u8::MAX);

    /// The layer of this number alone.
    pub(crate) fn of(spatial: u8) -> Self {
        Self(1_u8.checked_shl(spatial.into()).unwrap_or(0))
    }

    pub(crate) const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub(crate) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub(crate) fn has(self, spatial: u8) -> bool {
        self.0 & Self::of(spatial).0 != 0
    }

    /// The number of the largest.
    pub(crate) const fn largest(self) -> Option<u8> {
        match self.0 {
            0 => None,
            // Below eight.
            layers => Some(layers.ilog2() as u8),
        }
    }

    /// With layers that are larger than there are replaced by the largest there is.
    pub(crate) fn capped(self, largest: u8) -> Self {
        let above = !((2_u16 << largest.min(7)) - 1) as u8;
        if self.0 & above == 0 {
            self
        } else {
            Self(self.0 & !above).with(Self::of(largest))
        }
    }
}

impl FromIterator<u8> for LayerSet {
    fn from_iter<I: IntoIterator<Item = u8>>(layers: I) -> Self {
        layers
            .into_iter()
            .fold(Self::default(), |set, spatial| set.with(Self::of(spatial)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<const N: usize>(layers: [u8; N]) -> LayerSet {
        layers.into_iter().collect()
    }

    #[test]
    fn layers_are_added_and_taken_away() {
        assert_eq!(set([0, 2]).with(set([1])), set([0, 1, 2]));
        assert_eq!(set([0, 1, 2]).without(set([1, 3])), set([0, 2]));
        assert!(set([0, 2]).has(2) && !set([0, 2]).has(1));
        assert_eq!(set([200]), LayerSet::default(), "there is no such layer");
    }

    #[test]
    fn the_largest_takes_the_place_of_those_that_are_not_there() {
        assert_eq!(set([0, 2]).capped(1), set([0, 1]));
        assert_eq!(set([2]).capped(0), set([0]));
        assert_eq!(set([0, 1]).capped(1), set([0, 1]));
        assert_eq!(LayerSet::ALL.capped(7), LayerSet::ALL);
        assert_eq!(set([0, 1]).largest(), Some(1));
        assert_eq!(LayerSet::default().largest(), None);
    }
}
