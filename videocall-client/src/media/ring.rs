//! Samples on their way from one thread to another through shared memory: one writes, the other reads, and
//! neither waits. Here are the layout and the arithmetic, and the writer's half; `audio-worklet.js` is the
//! reader's. What the memory is made of is left to others.
//!
//! A ring begins with [`HEADER_WORDS`] 32-bit words, [`WRITTEN`] to [`RESTING`]; [`CAPACITY`] samples
//! follow. [`RINGS`] of them lie one after the other in one block of memory. Positions count all samples ever written or read, modulo 2^32; each has one writer, so loading and
//! storing them atomically is all that is needed (L. Lamport 1977, "Proving the correctness of multiprocess
//! programs").

/// Samples that fit: 341 ms at 48 kHz. A power of two, so that positions may wrap.
pub const CAPACITY: u32 = 16_384;

/// Words before the samples.
pub const HEADER_WORDS: u32 = 4;

/// The word with the position of the writer.
pub const WRITTEN: u32 = 0;

/// The word with the position of the reader.
pub const READ: u32 = 1;

/// The word in which the reader counts samples that were not there when it needed them.
pub const MISSED: u32 = 2;

/// The word in which the writer says (1) that nothing is missing while nothing is there.
pub const RESTING: u32 = 3;

/// Bytes of a ring.
pub const BYTES: u32 = (HEADER_WORDS + CAPACITY) * 4;

/// Rings in a block: microphones that are played, as a rule a few. It is two megabytes.
pub const RINGS: u32 = 32;

/// Memory that two threads share.
pub trait RingMemory {
    /// Reads a word of the header, and sees everything that was written before it was stored.
    fn load(&self, word: u32) -> u32;

    /// Stores a word of the header, after everything that was written before.
    fn store(&self, word: u32, value: u32);

    /// Writes samples from this index on, none of which is beyond the end.
    fn write(&self, index: u32, samples: &[f32]);
}

/// The writer's half.
#[derive(Debug)]
pub struct RingWriter<M> {
    memory: M,
}

impl<M: RingMemory> RingWriter<M> {
    /// Goes on where another writer has stopped; in memory that is all zeros, at the beginning. Nothing is
    /// missing before the first sound.
    pub fn new(memory: M) -> Self {
        memory.store(RESTING, 1);
        memory.store(MISSED, 0);
        Self { memory }
    }

    /// Where its samples begin: a new reader begins there as well.
    pub fn position(&self) -> u32 {
        self.memory.load(WRITTEN)
    }

    /// Writes as many of the samples as there is room for, and says how many. The others are lost: nobody
    /// should queue a third of a second.
    pub fn push(&self, samples: &[f32]) -> usize {
        let written = self.memory.load(WRITTEN);
        let room = CAPACITY - self.queued();
        let count = u32::try_from(samples.len()).unwrap_or(u32::MAX).min(room);
        let (first, second) = samples[..count as usize].split_at(until_end(written, count) as usize);
        self.memory.write(index_of(written), first);
        self.memory.write(0, second);
        self.memory.store(RESTING, 0);
        self.memory.store(WRITTEN, written.wrapping_add(count));
        count as usize
    }

    /// Samples that were not read yet.
    pub fn queued(&self) -> u32 {
        let queued = self.memory.load(WRITTEN).wrapping_sub(self.memory.load(READ));
        // A reader that counts wrongly is no reason to write beyond the end.
        queued.min(CAPACITY)
    }

    /// Samples that the reader has missed so far, modulo 2^32: a day.
    pub fn missed(&self) -> u32 {
        self.memory.load(MISSED)
    }

    /// Nothing follows for now, and nothing is missing.
    pub fn rest(&self) {
        self.memory.store(RESTING, 1);
    }
}

/// Where a position is among the samples.
pub const fn index_of(position: u32) -> u32 {
    position % CAPACITY
}

/// How many of so many samples from this position on are before the end; the others are at the beginning.
pub fn until_end(position: u32, count: u32) -> u32 {
    count.min(CAPACITY - index_of(position))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Shared {
        words: Vec<AtomicU32>,
    }

    impl Shared {
        /// Both have come as far as this position.
        fn at(position: u32) -> Arc<Self> {
            let words = (0..HEADER_WORDS + CAPACITY).map(|_| AtomicU32::new(0)).collect();
            let shared = Self { words };
            shared.words[WRITTEN as usize].store(position, Ordering::SeqCst);
            shared.words[READ as usize].store(position, Ordering::SeqCst);
            Arc::new(shared)
        }

        /// What `audio-worklet.js` does: reads up to so many samples.
        fn read(&self, most: u32) -> Vec<f32> {
            let read = self.words[READ as usize].load(Ordering::SeqCst);
            let written = self.words[WRITTEN as usize].load(Ordering::SeqCst);
            let count = written.wrapping_sub(read).min(most);
            let samples = (0..count)
                .map(|offset| HEADER_WORDS + index_of(read.wrapping_add(offset)))
                .map(|word| f32::from_bits(self.words[word as usize].load(Ordering::Relaxed)))
                .collect();
            self.words[READ as usize].store(read.wrapping_add(count), Ordering::SeqCst);
            samples
        }
    }

    impl RingMemory for Arc<Shared> {
        fn load(&self, word: u32) -> u32 {
            self.words[word as usize].load(Ordering::SeqCst)
        }

        fn store(&self, word: u32, value: u32) {
            self.words[word as usize].store(value, Ordering::SeqCst);
        }

        fn write(&self, index: u32, samples: &[f32]) {
            assert!(index as usize + samples.len() <= CAPACITY as usize);
            for (word, sample) in self.words[(HEADER_WORDS + index) as usize..].iter().zip(samples) {
                word.store(sample.to_bits(), Ordering::Relaxed);
            }
        }
    }

    /// Samples that tell their place; exact up to 2^24.
    fn numbered(from: u32, count: u32) -> Vec<f32> {
        (from..from + count).map(|number| number as f32).collect()
    }

    #[test]
    fn samples_pass_the_end_of_the_ring_and_of_the_positions() {
        for start in [0, CAPACITY - 100, u32::MAX - 100, u32::MAX] {
            let shared = Shared::at(start);
            let writer = RingWriter::new(shared.clone());
            for round in 0..100 {
                assert_eq!(writer.push(&numbered(round * 960, 960)), 960);
                assert_eq!(writer.queued(), 960);
                assert_eq!(shared.read(5000), numbered(round * 960, 960), "from {start}");
            }
        }
    }

    #[test]
    fn a_full_ring_takes_no_more_and_loses_nothing_that_it_has() {
        let shared = Shared::at(u32::MAX - 7);
        let writer = RingWriter::new(shared.clone());
        assert_eq!(writer.push(&numbered(0, CAPACITY - 10)), CAPACITY as usize - 10);
        assert_eq!(writer.push(&numbered(CAPACITY - 10, 960)), 10);
        assert_eq!(writer.push(&[0.5]), 0);
        assert_eq!(writer.queued(), CAPACITY);
        assert_eq!(shared.read(u32::MAX), numbered(0, CAPACITY));
        assert_eq!(writer.queued(), 0);
    }

    #[test]
    fn a_reader_that_counts_nonsense_does_no_harm() {
        let shared = Shared::at(1000);
        let writer = RingWriter::new(shared.clone());
        shared.store(READ, 5_000_000);
        assert_eq!(writer.queued(), CAPACITY);
        assert_eq!(writer.push(&[0.5; 10]), 0);
    }

    #[test]
    fn what_the_writer_before_has_left_is_not_read() {
        let shared = Shared::at(77);
        RingWriter::new(shared.clone()).push(&numbered(0, 500));
        shared.store(MISSED, 9);
        let writer = RingWriter::new(shared.clone());
        assert_eq!(writer.missed(), 0);
        shared.store(READ, writer.position());
        writer.push(&numbered(1000, 10));
        assert_eq!(writer.queued(), 10);
        assert_eq!(shared.read(100), numbered(1000, 10));
    }

    #[test]
    fn resting_ends_with_the_next_sound() {
        let shared = Shared::at(0);
        let writer = RingWriter::new(shared.clone());
        writer.rest();
        assert_eq!(shared.load(RESTING), 1);
        writer.push(&[0.5]);
        assert_eq!(shared.load(RESTING), 0);
    }

    #[test]
    fn two_threads_see_the_same_samples() {
        const TOTAL: u32 = 200_000;
        let shared = Shared::at(u32::MAX - CAPACITY);
        let reader = std::thread::spawn({
            let shared = shared.clone();
            move || {
                let mut next = 0;
                while next < TOTAL {
                    for sample in shared.read(128) {
                        assert_eq!(sample, next as f32);
                        next += 1;
                    }
                }
            }
        });
        let writer = RingWriter::new(shared);
        let mut next = 0;
        while next < TOTAL {
            let count = (TOTAL - next).min(960);
            next += writer.push(&numbered(next, count)) as u32;
        }
        reader.join().expect("every sample came in its order");
    }
}
