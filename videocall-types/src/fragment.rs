//! Packets above what a NATS message may have, or a slow WebSocket takes at a time: cut into fragments, and put together
//! again.
//!
//! Which packets are cut, how large a message may be, and what happens to a packet once it is whole
//! is left to the relays.

use std::collections::{BTreeMap, HashMap};

use bytes::{Bytes, BytesMut};
use protobuf::Message as _;

use crate::generated::videocall as wire;
use crate::limits::{MAX_FRAGMENTS, MAX_FRAME_BYTES};

use wire::packet::Kind;

/// What a fragment's packet begins with: field 71 with a length (protobuf encoding, "Tag-length-value").
const TAG: [u8; 2] = [0xba, 0x04];

/// What a fragment's packet has besides the part: tag and length (7), id (9), index and count (12), tag
/// and length of the part (6).
const OVERHEAD: usize = 34;

/// What a waiting part costs besides its bytes.
const ENTRY_BYTES: usize = 64;

/// Why a packet cannot be cut, or a fragment not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// The packet is above what the protocol allows.
    #[error("a packet of {0} bytes is above the limit of {MAX_FRAME_BYTES}")]
    TooLarge(usize),
    /// The packet would take more fragments than allowed.
    #[error(
        "messages of {0} bytes are too small for this packet; at most {MAX_FRAGMENTS} fragments are allowed"
    )]
    TooMany(usize),
    /// Not a fragment, or one with an impossible index, count or part.
    #[error("a fragment is not encoded as the protocol demands")]
    Malformed,
    /// Another fragment of the same packet says otherwise.
    #[error("the fragments of a packet contradict one another")]
    Conflict,
}

/// Whether a packet is a fragment of another.
pub fn is_fragment(packet: &[u8]) -> bool {
    packet.starts_with(&TAG)
}

/// Cuts a packet into packets of at most `max_message` bytes, in order. The id tells the packet from
/// all others that are in flight on the same subjects; make it random.
///
/// # Errors
/// When the packet is above [`MAX_FRAME_BYTES`], or `max_message` so small that it would take more
/// than [`MAX_FRAGMENTS`].
pub fn split(
    packet: &Bytes,
    id: u64,
    max_message: usize,
) -> Result<impl Iterator<Item = Bytes> + use<>, FragmentError> {
    if packet.is_empty() || packet.len() > MAX_FRAME_BYTES {
        return Err(FragmentError::TooLarge(packet.len()));
    }
    let size = max_message.saturating_sub(OVERHEAD);
    if size == 0 || packet.len().div_ceil(size) > MAX_FRAGMENTS as usize {
        return Err(FragmentError::TooMany(max_message));
    }
    let count = packet.len().div_ceil(size) as u32;
    let packet = packet.clone();
    Ok((0..count).map(move |index| {
        let begin = index as usize * size;
        let end = packet.len().min(begin + size);
        encode(id, index, count, packet.slice(begin..end))
    }))
}

fn encode(id: u64, index: u32, count: u32, part: Bytes) -> Bytes {
    let fragment = wire::RelayFragment {
        id,
        index,
        count,
        part,
        ..Default::default()
    };
    crate::convert::encode(&Kind::RelayFragment(fragment).into())
}

/// Bounds of a [`Reassembler`].
#[derive(Clone, Copy, Debug)]
pub struct ReassemblyLimits {
    /// Bytes of all waiting parts together; above it the packet that was touched longest ago is dropped.
    pub bytes: usize,
    /// Packets in progress; above it the one that was touched longest ago is dropped.
    pub packets: usize,
    /// A packet of which nothing came while so many fragments of others did is dropped.
    pub age: u64,
}

impl Default for ReassemblyLimits {
    /// Room for two of the largest packets: screens of two people. A packet whose rest has not come
    /// while those of two others did has lost a fragment.
    fn default() -> Self {
        Self {
            bytes: 2 * (MAX_FRAME_BYTES + MAX_FRAGMENTS as usize * ENTRY_BYTES),
            packets: 16,
            age: 2 * MAX_FRAGMENTS as u64,
        }
    }
}

/// Puts fragments together again, in whatever order they come. Whatever is sent, its memory stays
/// within its limits; incomplete packets give way to newer ones.
#[derive(Debug, Default)]
pub struct Reassembler {
    limits: ReassemblyLimits,
    packets: HashMap<u64, Partial>,
    bytes: usize,
    /// Counts fragments; what age is measured in.
    clock: u64,
    dropped: u64,
}

#[derive(Debug)]
struct Partial {
    count: u32,
    /// Only what has come, so that a large count costs nothing.
    parts: BTreeMap<u32, Bytes>,
    /// Of the parts alone.
    length: usize,
    touched: u64,
}

impl Partial {
    fn cost(&self) -> usize {
        self.length + self.parts.len() * ENTRY_BYTES
    }

    fn join(self) -> Bytes {
        let mut whole = BytesMut::with_capacity(self.length);
        self.parts.values().for_each(|part| whole.extend_from_slice(part));
        whole.freeze()
    }
}

impl Reassembler {
    /// One with bounds of its own.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes a fragment; gives the packet that it completes. A part that is there already is ignored.
    ///
    /// # Errors
    /// When the fragment cannot be used. Nothing is kept of it; if it contradicts what is there, or
    /// makes a packet above [`MAX_FRAME_BYTES`], that is dropped too.
    pub fn push(&mut self, packet: &Bytes) -> Result<Option<Bytes>, FragmentError> {
        let fragment = decode(packet)?;
        self.clock += 1;
        let partial = self.packets.entry(fragment.id).or_insert_with(|| Partial {
            count: fragment.count,
            parts: BTreeMap::new(),
            length: 0,
            touched: 0,
        });
        partial.touched = self.clock;
        if partial.count != fragment.count {
            self.drop_packet(fragment.id);
            return Err(FragmentError::Conflict);
        }
        let length = fragment.part.len();
        if partial.parts.contains_key(&fragment.index) {
            return Ok(None);
        }
        if partial.length + length > MAX_FRAME_BYTES {
            let whole = partial.length + length;
            self.drop_packet(fragment.id);
            return Err(FragmentError::TooLarge(whole));
        }
        partial.parts.insert(fragment.index, fragment.part);
        partial.length += length;
        self.bytes += length + ENTRY_BYTES;
        if partial.parts.len() == partial.count as usize {
            return Ok(self.take(fragment.id).map(Partial::join));
        }
        self.enforce();
        Ok(None)
    }

    /// A packet as it came, or the one that it completes if it is a fragment; one that cannot be used is dropped.
    pub fn join(&mut self, packet: Bytes) -> Option<Bytes> {
        match is_fragment(&packet) {
            true => self.push(&packet).ok().flatten(),
            false => Some(packet),
        }
    }

    /// Bytes that wait, with what it takes to keep them.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Packets of which something is missing.
    pub fn waiting_packets(&self) -> usize {
        self.packets.len()
    }

    /// Packets given up since the beginning.
    pub fn dropped_packets(&self) -> u64 {
        self.dropped
    }

    fn take(&mut self, id: u64) -> Option<Partial> {
        let partial = self.packets.remove(&id)?;
        self.bytes -= partial.cost();
        Some(partial)
    }

    fn drop_packet(&mut self, id: u64) {
        if self.take(id).is_some() {
            self.dropped += 1;
        }
    }

    fn enforce(&mut self) {
        // Packets in progress are few, so looking at all of them is quicker than keeping an order.
        while let Some((id, touched)) = self
            .packets
            .iter()
            .map(|(id, p)| (*id, p.touched))
            .min_by_key(|(_, t)| *t)
        {
            let over = self.bytes > self.limits.bytes || self.packets.len() > self.limits.packets;
            if !over && self.clock - touched <= self.limits.age {
                return;
            }
            self.drop_packet(id);
        }
    }
}

fn decode(packet: &Bytes) -> Result<wire::RelayFragment, FragmentError> {
    // A fragment is part of a packet, so it is smaller than the largest one and what precedes it.
    if packet.len() > MAX_FRAME_BYTES + OVERHEAD {
        return Err(FragmentError::TooLarge(packet.len()));
    }
    let parsed = wire::Packet::parse_from_tokio_bytes(packet).map_err(|_| FragmentError::Malformed)?;
    let Some(Kind::RelayFragment(fragment)) = parsed.kind else {
        return Err(FragmentError::Malformed);
    };
    let possible = fragment.index < fragment.count && fragment.count <= MAX_FRAGMENTS;
    match possible && !fragment.part.is_empty() {
        true => Ok(fragment),
        false => Err(FragmentError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: ReassemblyLimits = ReassemblyLimits {
        bytes: 2000,
        packets: 3,
        age: 40,
    };

    fn packet(length: usize, seed: u8) -> Bytes {
        (0..length).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect()
    }

    fn parts(packet: &Bytes, id: u64, max_message: usize) -> Vec<Bytes> {
        split(packet, id, max_message).expect("it can be cut").collect()
    }

    fn check_bounds(reassembler: &Reassembler, limits: &ReassemblyLimits) {
        assert!(reassembler.waiting_bytes() <= limits.bytes);
        assert!(reassembler.waiting_packets() <= limits.packets);
        let cost: usize = reassembler.packets.values().map(Partial::cost).sum();
        assert_eq!(reassembler.bytes, cost);
    }

    #[test]
    fn the_largest_packet_passes_in_messages_of_a_mebibyte() {
        let whole = packet(MAX_FRAME_BYTES, 1);
        let parts = parts(&whole, 7, 1024 * 1024);
        assert_eq!(parts.len(), 5);
        assert!(
            parts
                .iter()
                .all(|part| is_fragment(part) && part.len() <= 1024 * 1024)
        );
        let mut reassembler = Reassembler::default();
        let (last, first) = parts.split_last().expect("parts");
        for part in first {
            assert_eq!(reassembler.push(part), Ok(None));
        }
        assert_eq!(reassembler.push(last), Ok(Some(whole)));
        assert_eq!(
            (reassembler.waiting_bytes(), reassembler.waiting_packets()),
            (0, 0)
        );
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let refused = |length, max_message| split(&packet(length, 0), 1, max_message).map(drop);
        assert_eq!(
            refused(MAX_FRAME_BYTES + 1, 1 << 20),
            Err(FragmentError::TooLarge(MAX_FRAME_BYTES + 1))
        );
        assert_eq!(refused(0, 1 << 20), Err(FragmentError::TooLarge(0)));
        assert_eq!(refused(10, OVERHEAD), Err(FragmentError::TooMany(OVERHEAD)));
        assert_eq!(refused(MAX_FRAME_BYTES, 100), Err(FragmentError::TooMany(100)));
    }

    #[test]
    fn impossible_fragments_are_refused() {
        let mut reassembler = Reassembler::default();
        let part = Bytes::from_static(b"part");
        for (index, count) in [(0, 0), (3, 3), (0, MAX_FRAGMENTS + 1)] {
            let fragment = encode(1, index, count, part.clone());
            assert_eq!(reassembler.push(&fragment), Err(FragmentError::Malformed));
        }
        assert_eq!(
            reassembler.push(&encode(1, 0, 2, Bytes::new())),
            Err(FragmentError::Malformed)
        );
        assert_eq!(
            reassembler.push(&Bytes::from_static(b"\xba\x04\xff")),
            Err(FragmentError::Malformed)
        );
        assert_eq!(reassembler.push(&encode(1, 0, 2, part.clone())), Ok(None));
        assert_eq!(
            reassembler.push(&encode(1, 1, 3, part)),
            Err(FragmentError::Conflict)
        );
        assert_eq!(reassembler.waiting_packets(), 0);
        assert_eq!(reassembler.dropped_packets(), 1);
    }

    #[test]
    fn a_packet_that_grows_above_the_limit_is_dropped() {
        let mut reassembler = Reassembler::default();
        let half = packet(MAX_FRAME_BYTES / 2 + 1, 0);
        assert_eq!(reassembler.push(&encode(1, 0, 3, half.clone())), Ok(None));
        let error = reassembler.push(&encode(1, 1, 3, half)).expect_err("too large");
        assert_eq!(error, FragmentError::TooLarge(MAX_FRAME_BYTES + 2));
        assert_eq!(reassembler.waiting_bytes(), 0);
    }

    #[test]
    fn what_is_never_completed_gives_way_to_what_is() {
        let mut reassembler = Reassembler::new(SMALL);
        let torn = parts(&packet(500, 0), 1, 200);
        assert_eq!(reassembler.push(&torn[0]), Ok(None));
        for id in 2..30 {
            let whole = packet(300, id as u8);
            let (last, first) = (
                parts(&whole, id, 200).pop().expect("parts"),
                parts(&whole, id, 200),
            );
            assert_eq!(reassembler.push(&first[0]), Ok(None));
            assert_eq!(reassembler.push(&last), Ok(Some(whole)));
        }
        assert_eq!(
            reassembler.waiting_packets(),
            0,
            "the torn one has become too old"
        );
        assert_eq!(reassembler.dropped_packets(), 1);
    }

    proptest! {
        #[test]
        fn complete_sets_give_the_exact_bytes_in_any_order_with_duplicates(
            lengths in prop::collection::vec(1_usize..600, 1..4),
            max_message in 100_usize..300,
            twice in any::<bool>(),
            order in any::<prop::sample::Index>(),
            seed in any::<u64>(),
        ) {
            let packets: Vec<Bytes> = lengths.iter().map(|length| packet(*length, order.index(256) as u8)).collect();
            let mut sent: Vec<Bytes> = Vec::new();
            for (id, packet) in packets.iter().enumerate() {
                sent.extend(parts(packet, id as u64, max_message));
            }
            shuffle(&mut sent, seed);
            let mut reassembler = Reassembler::default();
            let mut got = Vec::new();
            for part in &sent {
                got.extend(reassembler.push(part).expect("a fragment"));
                if twice && got.is_empty() {
                    prop_assert_eq!(reassembler.push(part).expect("a fragment"), None);
                }
            }
            let sorted = |mut packets: Vec<Bytes>| { packets.sort(); packets };
            prop_assert_eq!(sorted(got), sorted(packets));
            prop_assert_eq!(reassembler.waiting_bytes(), 0);
        }

        #[test]
        fn no_sequence_of_fragments_exceeds_the_bounds(
            fragments in prop::collection::vec((0_u64..6, 0_u32..6, 0_u32..6, 0_usize..900), 0..200),
        ) {
            let mut reassembler = Reassembler::new(SMALL);
            for (id, index, count, length) in fragments {
                let part = packet(length, index as u8);
                if let Ok(Some(whole)) = reassembler.push(&encode(id, index, count, part)) {
                    prop_assert!(!whole.is_empty() && whole.len() <= MAX_FRAME_BYTES);
                }
                check_bounds(&reassembler, &SMALL);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut reassembler = Reassembler::new(SMALL);
            let mut tagged = TAG.to_vec();
            tagged.extend(&bytes);
            let _any = reassembler.push(&Bytes::from(bytes));
            let _any = reassembler.push(&Bytes::from(tagged));
            check_bounds(&reassembler, &SMALL);
        }
    }

    /// Fisher and Yates, with a linear congruential generator (Knuth, MMIX).
    fn shuffle(items: &mut [Bytes], mut seed: u64) {
        for at in (1..items.len()).rev() {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            items.swap(at, (seed >> 33) as usize % (at + 1));
        }
    }
}
