//! What leaves on a WebTransport session: control on its stream, voices as datagrams, pictures on a
//! stream for each layer.
//!
//! At most one packet of each kind is on its way; the next is taken from the outbox when there is
//! room for it, most urgent first. So what the network does not take stays where it can be dropped.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use relay_runtime::{ClassSet, Disconnect, Egress, Outgoing};
use tokio::time::interval;
use videocall_types::{LayerId, MediaClass, Timestamp, length_prefix};
use wtransport::quinn::SendDatagramError;
use wtransport::{Connection, SendStream, VarInt};

use crate::lanes::{Lanes, Reading, Writing, Written};

/// QUIC sends what is of higher priority first, whenever there is any.
pub(crate) const CONTROL_PRIORITY: i32 = 3;
const AUDIO_PRIORITY: i32 = 2;
const BASE_PRIORITY: i32 = 1;
const ENHANCEMENT_PRIORITY: i32 = 0;

/// How often streams of layers that have ended are looked for.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// Headers and small packets are put together in blocks of this many bytes: a dozen datagrams.
const BLOCK: usize = 16 * 1024;

/// Writes what the egress yields until it ends.
pub(crate) async fn write(connection: &Connection, control: &mut SendStream, egress: &Egress) -> Disconnect {
    let (mut lanes, mut reading) = (Lanes::default(), Reading::default());
    let mut datagrams = Datagrams::new(connection);
    let mut prefixes = BytesMut::new();
    let mut control_busy = std::pin::pin!(None);
    let mut audio_busy = std::pin::pin!(None);
    let mut video_busy = std::pin::pin!(None);
    let mut control = Some(control);
    let mut tidy = interval(TIDY_INTERVAL);
    let mut media_ended = false;
    loop {
        let media_free = !media_ended;
        let free = free_classes([
            (control.is_some(), ClassSet::CONTROL),
            (media_free && audio_busy.is_none(), ClassSet::AUDIO),
            (media_free && video_busy.is_none(), ClassSet::VIDEO),
        ]);
        tokio::select! {
            biased;
            (stream, result) = busy(control_busy.as_mut()) => {
                control_busy.set(None);
                control = Some(stream);
                if let Err(error) = result {
                    return lost(connection, &error);
                }
            }
            sent = busy(audio_busy.as_mut()) => {
                audio_busy.set(None);
                if let Some(written) = datagrams.take_back(sent) {
                    lanes.end(written);
                }
            }
            written = busy(video_busy.as_mut()) => {
                video_busy.set(None);
                if reading.note(&written, connection) {
                    egress.unread();
                }
                lanes.end(written);
            }
            _ = tidy.tick() => lanes.close_idle(),
            next = next(egress, free) => match next {
                Some(out) => {
                    let noted = Noted::new(egress, &out);
                    match (out.class, out.layer) {
                        (MediaClass::Audio, Some(layer)) => {
                            let sending = datagrams.send(&mut lanes, layer, out.packet);
                            audio_busy.set(Some(noted.after(sending)));
                        }
                        (MediaClass::VideoBase | MediaClass::VideoEnhancement, Some(layer)) => {
                            if let Some(writing) = begin_video(&mut lanes, layer, out) {
                                video_busy.set(Some(noted.after(writing.run(connection))));
                            }
                        }
                        _ => if let Some(stream) = control.take() {
                            let chunk = prefixed(&mut prefixes, &out.packet);
                            control_busy.set(Some(noted.after(write_control(stream, chunk))));
                        },
                    }
                },
                None if control.is_some() => return Disconnect::Finished,
                None => media_ended = true,
            },
        }
    }
}

/// A packet of which note is taken when it is in QUIC's buffers.
struct Noted<'a> {
    egress: &'a Egress,
    class: MediaClass,
    queued_at: Timestamp,
}

impl<'a> Noted<'a> {
    fn new(egress: &'a Egress, outgoing: &Outgoing) -> Self {
        Self {
            egress,
            class: outgoing.class,
            queued_at: outgoing.queued_at,
        }
    }

    async fn after<F: Future>(self, sending: F) -> F::Output {
        let output = sending.await;
        self.egress.handed_over([(self.class, self.queued_at)]);
        output
    }
}

fn free_classes(sets: [(bool, ClassSet); 3]) -> Option<ClassSet> {
    let free = sets.into_iter().filter(|(free, _)| *free).map(|(_, set)| set);
    free.reduce(ClassSet::union)
}

/// The next packet of the classes that are free; pending while none is.
async fn next(egress: &Egress, free: Option<ClassSet>) -> Option<Outgoing> {
    match free {
        Some(classes) => egress.next(classes).await,
        None => std::future::pending().await,
    }
}

/// The result of what is on its way; pending while nothing is.
async fn busy<F: Future>(slot: Pin<&mut Option<F>>) -> F::Output {
    match slot.as_pin_mut() {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn lost(connection: &Connection, error: &wtransport::quinn::WriteError) -> Disconnect {
    let reason = match connection.quic_connection().close_reason() {
        Some(reason) => reason.to_string(),
        None => format!("the control stream broke: {error}"),
    };
    Disconnect::Lost(reason)
}

fn begin_video(lanes: &mut Lanes, layer: LayerId, out: Outgoing) -> Option<Writing> {
    let priority = if layer.spatial == 0 {
        BASE_PRIORITY
    } else {
        ENHANCEMENT_PRIORITY
    };
    lanes.begin(layer, out.keyframe, priority, out.packet)
}

/// Control messages are small and rare enough to be copied behind their length.
fn prefixed(block: &mut BytesMut, packet: &Bytes) -> Bytes {
    let (prefix, used) = length_prefix(u32::try_from(packet.len()).unwrap_or(u32::MAX));
    block.reserve((used + packet.len()).max(BLOCK));
    block.put_slice(&prefix[..used]);
    block.put_slice(packet);
    block.split().freeze()
}

async fn write_control(
    stream: &mut SendStream,
    chunk: Bytes,
) -> (&mut SendStream, Result<(), wtransport::quinn::WriteError>) {
    let result = stream.quic_stream_mut().write_chunk(chunk).await;
    (stream, result)
}

/// Voices as datagrams, and on streams where datagrams are too small or not allowed.
struct Datagrams<'a> {
    connection: &'a Connection,
    /// What precedes the payload: the number of the session (RFC 9297 §2.1).
    header: Bytes,
    block: BytesMut,
    /// The largest that the path took, as far as known.
    largest: usize,
}

/// What became of a voice packet.
enum Sent {
    /// It is on its way, or lost with the connection.
    Gone,
    /// The path does not take datagrams of this size.
    TooLarge(usize),
    /// It went onto a stream.
    OnStream(Written),
}

impl<'a> Datagrams<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self {
            header: quarter_stream_id(connection),
            block: BytesMut::new(),
            largest: connection.max_datagram_size().unwrap_or(0),
            connection,
        }
    }

    fn send(
        &mut self,
        lanes: &mut Lanes,
        layer: LayerId,
        packet: Bytes,
    ) -> impl Future<Output = Sent> + use<'a> {
        let connection = self.connection;
        let way = if packet.len() <= self.largest {
            self.block.reserve((self.header.len() + packet.len()).max(BLOCK));
            self.block.put_slice(&self.header);
            self.block.put_slice(&packet);
            Ok((self.block.split().freeze(), packet.len()))
        } else {
            // Every audio frame stands alone, so a stream may begin with any.
            Err(lanes.begin(layer, true, AUDIO_PRIORITY, packet))
        };
        async move {
            match way {
                Ok((datagram, length)) => {
                    match connection.quic_connection().send_datagram_wait(datagram).await {
                        Err(SendDatagramError::TooLarge) => Sent::TooLarge(length),
                        _ => Sent::Gone,
                    }
                }
                Err(Some(writing)) => Sent::OnStream(writing.run(connection).await),
                Err(None) => Sent::Gone,
            }
        }
    }

    /// Learns from what became of a packet. One that the path turned out not to take is lost like
    /// any other datagram; the next of its size goes onto a stream.
    fn take_back(&mut self, sent: Sent) -> Option<Written> {
        match sent {
            Sent::Gone => None,
            Sent::TooLarge(length) => {
                let now = self.connection.max_datagram_size().unwrap_or(0);
                self.largest = now.min(length.saturating_sub(1));
                None
            }
            Sent::OnStream(written) => {
                self.largest = self.connection.max_datagram_size().unwrap_or(0);
                Some(written)
            }
        }
    }
}

fn quarter_stream_id(connection: &Connection) -> Bytes {
    let id = connection.session_id().into_u64() / 4;
    let id = VarInt::try_from_u64(id).unwrap_or(VarInt::MAX);
    Bytes::from(encoded(id.into_inner()))
}

/// A QUIC variable-length integer (RFC 9000 §16).
fn encoded(value: u64) -> Vec<u8> {
    match value {
        0..0x40 => vec![value as u8],
        0x40..0x4000 => (value as u16 | 0x4000).to_be_bytes().into(),
        0x4000..0x4000_0000 => (value as u32 | 0x8000_0000).to_be_bytes().into(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_encoded_as_in_the_examples_of_rfc_9000() {
        assert_eq!(encoded(37), [0x25]);
        assert_eq!(encoded(15_293), [0x7b, 0xbd]);
        assert_eq!(encoded(494_878_333), [0x9d, 0x7f, 0x3e, 0x7d]);
        assert_eq!(
            encoded(151_288_809_941_952_652),
            [0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]
        );
    }

    #[test]
    fn a_control_packet_follows_its_length() {
        let mut block = BytesMut::new();
        assert_eq!(prefixed(&mut block, &Bytes::from_static(b"abc")), "\x03abc");
        assert_eq!(prefixed(&mut block, &Bytes::from_static(b"")), "\x00");
    }
}
