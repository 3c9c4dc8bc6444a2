//! Cuts what was read into packets where they lie; only one that spans two reads is copied.

use anyhow::{bail, ensure};
use videocall_types::limits::MAX_FRAME_BYTES;

/// How packets follow one another on a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Messages of RFC 6455, not masked.
    WebSocket,
    /// Each behind its length, a varint.
    Lengths,
}

/// What stands in front of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// WebSocket's first byte; 0 elsewhere.
    pub(crate) first: u8,
    /// Of the head itself.
    bytes: usize,
    /// Of what follows it.
    payload: usize,
}

impl Head {
    fn total(self) -> usize {
        self.bytes + self.payload
    }
}

/// Cuts one stream.
#[derive(Debug)]
pub(crate) struct Cutter {
    framing: Framing,
    /// The beginning of a packet whose end was not read yet.
    partial: Vec<u8>,
}

impl Cutter {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            partial: Vec::new(),
        }
    }

    /// Takes what was read and hands on every packet that is complete with it.
    ///
    /// # Errors
    /// When the stream is no sequence of packets, or the taker has enough.
    pub(crate) fn feed(
        &mut self,
        mut data: &[u8],
        mut take: impl FnMut(Head, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while !data.is_empty() {
            if self.partial.is_empty() {
                let Some(head) = self.framing.head(data)?.filter(|h| h.total() <= data.len()) else {
                    self.partial.extend_from_slice(data);
                    return Ok(());
                };
                take(head, &data[head.bytes..head.total()])?;
                data = &data[head.total()..];
                continue;
            }
            let wanted = match self.framing.head(&self.partial)? {
                Some(head) => head.total(),
                None => self.partial.len() + 1,
            };
            let (now, later) = data.split_at(data.len().min(wanted - self.partial.len()));
            self.partial.extend_from_slice(now);
            data = later;
            if let Some(head) = self.framing.head(&self.partial)?
                && head.total() == self.partial.len()
            {
                take(head, &self.partial[head.bytes..])?;
                self.partial.clear();
            }
        }
        Ok(())
    }
}

impl Framing {
    /// `None` while the head is not complete.
    fn head(self, data: &[u8]) -> anyhow::Result<Option<Head>> {
        let head = match self {
            Self::WebSocket => websocket_head(data),
            Self::Lengths => length_head(data)?,
        };
        if let Some(head) = head {
            ensure!(
                head.payload <= MAX_FRAME_BYTES,
                "a packet of {} bytes",
                head.payload
            );
        }
        Ok(head)
    }
}

fn websocket_head(data: &[u8]) -> Option<Head> {
    let first = *data.first()?;
    let (bytes, payload) = match *data.get(1)? & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(data.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(data.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    let payload = usize::try_from(payload).unwrap_or(usize::MAX);
    Some(Head {
        first,
        bytes,
        payload,
    })
}

fn length_head(data: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut payload = 0;
    for (index, byte) in data.iter().take(5).enumerate() {
        payload |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some(Head {
                first: 0,
                bytes: index + 1,
                payload,
            }));
        }
    }
    if data.len() >= 5 {
        bail!("a length of more than five bytes");
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use videocall_types::length_prefix;

    use super::*;

    fn packets() -> Vec<Vec<u8>> {
        [0, 1, 125, 126, 127, 128, 5000, 70_000]
            .iter()
            .enumerate()
            .map(|(number, &length)| vec![number as u8; length])
            .collect()
    }

    fn written(framing: Framing) -> Vec<u8> {
        let mut bytes = Vec::new();
        for packet in packets() {
            match (framing, packet.len()) {
                (Framing::Lengths, length) => {
                    let (prefix, used) = length_prefix(length as u32);
                    bytes.extend_from_slice(&prefix[..used]);
                }
                (Framing::WebSocket, short @ 0..126) => bytes.extend_from_slice(&[0x82, short as u8]),
                (Framing::WebSocket, medium @ 126..65_536) => {
                    bytes.extend_from_slice(&[0x82, 126]);
                    bytes.extend_from_slice(&(medium as u16).to_be_bytes());
                }
                (Framing::WebSocket, long) => {
                    bytes.extend_from_slice(&[0x82, 127]);
                    bytes.extend_from_slice(&(long as u64).to_be_bytes());
                }
            }
            bytes.extend_from_slice(&packet);
        }
        bytes
    }

    #[test]
    fn packets_come_out_whole_however_they_were_read() {
        for framing in [Framing::WebSocket, Framing::Lengths] {
            let bytes = written(framing);
            for chunk in [1, 2, 3, 7, 1000, 64 * 1024, bytes.len()] {
                let mut cutter = Cutter::new(framing);
                let mut taken = Vec::new();
                for read in bytes.chunks(chunk) {
                    let take = |_: Head, packet: &[u8]| {
                        taken.push(packet.to_vec());
                        Ok(())
                    };
                    cutter.feed(read, take).expect("a sequence of packets");
                }
                assert_eq!(taken, packets(), "{framing:?} in pieces of {chunk}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_refused_by_its_length() {
        let claims = [
            (Framing::Lengths, vec![0xff, 0xff, 0xff, 0x7f]),
            (Framing::Lengths, vec![0xff; 6]),
            (Framing::WebSocket, [&[0x82, 127][..], &[0xff; 8]].concat()),
        ];
        for (framing, bytes) in claims {
            let fed = Cutter::new(framing).feed(&bytes, |_, _| Ok(()));
            assert!(fed.is_err(), "{framing:?} {bytes:?}");
        }
    }
}
