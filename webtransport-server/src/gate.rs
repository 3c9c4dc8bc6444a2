//! The socket as QUIC sees it: without what an address sends beyond all measure.
//!
//! QUIC's endpoint gives every packet to its connection, however many wait there, and each costs its decryption.
//! Whoever sends too much is closed for it by its session, with the reason; this bounds what comes until then, and
//! what comes from those who do not care, before anything is spent on it.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use relay_runtime::{Networks, RelaySettings};
use wtransport::quinn::udp::{RecvMeta, Transmit};
use wtransport::quinn::{AsyncUdpSocket, UdpPoller};

/// Packets are counted for so long and then from zero again: a keyframe that a fast network brings at once fits.
const WINDOW: Duration = Duration::from_millis(250);

/// Times what a session may send: one that sends a little too much is to learn it from its session.
const TOLERANCE: u64 = 2;

/// What an address may send in a window whatever a session may: handshakes take some.
const MIN_PACKETS: u64 = 256;

/// Addresses that are counted at most; in a window with more, the others pass. So many clients are no flood of one.
const MAX_ADDRESSES: usize = 16 * 1024;

/// A UDP socket that takes no more than so much from an address.
#[derive(Debug)]
pub(crate) struct Gate {
    socket: Arc<dyn AsyncUdpSocket>,
    limit: OnceLock<Limit>,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Limit {
    packets: u64,
    /// Of these any number passes: behind one address there may be a thousand clients.
    unlimited: Networks,
}

/// What has come in this window.
#[derive(Debug)]
struct Counted {
    since: Instant,
    packets: HashMap<SocketAddr, u64>,
}

impl Gate {
    /// Takes everything until [`Gate::limit`].
    pub(crate) fn new(socket: Arc<dyn AsyncUdpSocket>) -> Self {
        Self {
            socket,
            limit: OnceLock::new(),
            counted: Mutex::new(Counted::new(Instant::now())),
        }
    }

    /// From now on takes what these settings allow, with some tolerance.
    pub(crate) fn limit(&self, settings: &RelaySettings) {
        let per_second = settings.max_packets_per_second() * TOLERANCE;
        let per_window = u128::from(per_second) * WINDOW.as_millis() / 1000;
        let limit = Limit {
            packets: u64::try_from(per_window).unwrap_or(u64::MAX).max(MIN_PACKETS),
            unlimited: settings.unlimited_networks.clone(),
        };
        let set = self.limit.set(limit);
        debug_assert!(set.is_ok(), "a server serves once");
    }

    /// Empties what is too much.
    fn sift(&self, metas: &mut [RecvMeta]) {
        let Some(limit) = self.limit.get() else {
            return;
        };
        let mut counted = self.counted.lock();
        counted.turn(Instant::now());
        for meta in metas {
            let packets = meta.len.div_ceil(meta.stride.max(1)) as u64;
            if counted.add(meta.addr, packets) > limit.packets && !limit.unlimited.contain(meta.addr.ip()) {
                meta.len = 0;
            }
        }
    }
}

impl Counted {
    fn new(since: Instant) -> Self {
        Self {
            since,
            packets: HashMap::new(),
        }
    }

    fn turn(&mut self, now: Instant) {
        if now.duration_since(self.since) >= WINDOW {
            self.since = now;
            self.packets.clear();
        }
    }

    /// How many have come of this address in this window, with these.
    fn add(&mut self, address: SocketAddr, packets: u64) -> u64 {
        if let Some(counted) = self.packets.get_mut(&address) {
            *counted += packets;
            return *counted;
        }
        if self.packets.len() < MAX_ADDRESSES {
            self.packets.insert(address, packets);
        }
        packets
    }
}

impl AsyncUdpSocket for Gate {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = ready!(self.socket.poll_recv(cx, buffers, metas))?;
        self.sift(&mut metas[..received]);
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_count_of_its_own_which_ends_with_the_window() {
        let began = Instant::now();
        let mut counted = Counted::new(began);
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        assert_eq!(counted.add(address(1), 3), 3);
        assert_eq!(counted.add(address(2), 1), 1);
        counted.turn(began + WINDOW / 2);
        assert_eq!(counted.add(address(1), 2), 5);
        counted.turn(began + WINDOW);
        assert_eq!(counted.add(address(1), 1), 1);
    }

    #[test]
    fn addresses_are_counted_up_to_a_bound() {
        let mut counted = Counted::new(Instant::now());
        for number in 0..=MAX_ADDRESSES as u32 {
            counted.add(SocketAddr::from((number.to_be_bytes(), 1)), 1);
        }
        assert_eq!(counted.packets.len(), MAX_ADDRESSES);
        assert_eq!(counted.add(SocketAddr::from((u32::MAX.to_be_bytes(), 1)), 7), 7);
        assert_eq!(counted.packets.len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn of_a_flood_the_beginning_passes_and_unlimited_networks_pass() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_nonblocking(true).expect("possible");
        let socket = wtransport::quinn::Runtime::wrap_udp_socket(&wtransport::quinn::TokioRuntime, socket);
        let gate = Gate::new(socket.expect("a socket"));
        let train = |ip: [u8; 4]| {
            let mut meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (SocketAddr::from((ip, 1)), 64 * 1200, 1200);
            meta
        };
        let passes = |ip| {
            let mut trains = vec![train(ip); 100];
            gate.sift(&mut trains);
            trains.iter().filter(|train| train.len > 0).count() as u64
        };
        assert_eq!(passes([192, 0, 2, 1]), 100, "nothing is known of limits");
        gate.limit(&RelaySettings {
            max_upload_bps: 0,
            max_download_bps: 1,
            ..RelaySettings::default()
        });
        assert_eq!(passes([192, 0, 2, 2]), MIN_PACKETS / 64);
        assert_eq!(passes([127, 0, 0, 1]), 100);
    }
}
