//! Packets on a stream: each is preceded by its length as a protobuf varint.

use bytes::{Buf, Bytes, BytesMut};

/// Why a stream of packets cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A length that is not a varint of at most 32 bits.
    #[error("the length of a packet is not a varint")]
    BadLength,
    /// A packet above the limit.
    #[error("a packet of {length} bytes is above the limit of {limit}")]
    TooLarge {
        /// What the length says.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// The bytes that precede a packet of this length, and how many of them count.
pub fn length_prefix(length: u32) -> ([u8; 5], usize) {
    let mut prefix = [0; 5];
    let mut rest = length;
    let mut used = 0;
    loop {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        prefix[used] = if rest == 0 { low } else { low | 0x80 };
        used += 1;
        if rest == 0 {
            return (prefix, used);
        }
    }
}

/// Cuts a stream of bytes into packets.
///
/// It holds at most one unfinished packet plus what was pushed last, so its memory is bounded by the
/// limit and the reader's chunk size.
#[derive(Debug)]
pub struct StreamDecoder {
    buffer: BytesMut,
    limit: usize,
}

impl StreamDecoder {
    /// Takes packets of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
        }
    }

    /// Adds what was read.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Changes the limit for the packets to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The next complete packet, or `None` until more was pushed.
    ///
    /// # Errors
    /// When what was pushed is not a sequence of packets within the limit; the stream is then of no
    /// further use.
    pub fn next_packet(&mut self) -> Result<Option<Bytes>, StreamError> {
        let Some((length, prefix)) = self.peek_length()? else {
            return Ok(None);
        };
        if length > self.limit {
            let limit = self.limit;
            return Err(StreamError::TooLarge { length, limit });
        }
        if self.buffer.len() < prefix + length {
            self.buffer.reserve(prefix + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(prefix);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether a packet has begun and not ended.
    pub fn is_mid_packet(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn peek_length(&self) -> Result<Option<(usize, usize)>, StreamError> {
        let mut length = 0_u64;
        for (index, byte) in self.buffer.iter().take(5).enumerate() {
            length |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                let length = u32::try_from(length).map_err(|_| StreamError::BadLength)?;
                return Ok(Some((length as usize, index + 1)));
            }
        }
        if self.buffer.len() >= 5 {
            return Err(StreamError::BadLength);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packets_survive_any_chunking(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            chunk in 1_usize..64,
        ) {
            let mut wire = Vec::new();
            for packet in &packets {
                let (prefix, used) = length_prefix(packet.len() as u32);
                wire.extend_from_slice(&prefix[..used]);
                wire.extend_from_slice(packet);
            }
            let mut decoder = StreamDecoder::new(300);
            let mut read = Vec::new();
            for piece in wire.chunks(chunk) {
                decoder.push(piece);
                while let Some(packet) = decoder.next_packet().expect("within limits") {
                    read.push(packet.to_vec());
                }
            }
            prop_assert_eq!(read, packets);
            prop_assert!(!decoder.is_mid_packet());
        }
    }

    #[test]
    fn lengths_above_the_limit_fail_before_anything_is_buffered() {
        let mut decoder = StreamDecoder::new(10);
        decoder.push(&[11]);
        assert_eq!(
            decoder.next_packet(),
            Err(StreamError::TooLarge {
                length: 11,
                limit: 10
            })
        );
        let mut decoder = StreamDecoder::new(10);
        decoder.push(&[0xff; 5]);
        assert_eq!(decoder.next_packet(), Err(StreamError::BadLength));
    }
}
