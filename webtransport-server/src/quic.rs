//! QUIC as media needs it. Every setting that is not quinn's default has its reason here.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use media_congestion::MediaConfig;
use socket2::{Domain, Protocol, Socket, Type};
use videocall_types::limits::{LIVENESS, MAX_SPATIAL_LAYERS, MAX_TRACKS};
use wtransport::config::QuicTransportConfig;
use wtransport::quinn::congestion::{BbrConfig, CubicConfig, NewRenoConfig};
use wtransport::quinn::{AckFrequencyConfig, Connection, IdleTimeout, VarInt};
use wtransport::{Identity, ServerConfig};

use crate::config::CongestionControl;

/// Streams of one client that are read at a time: each layer of each track on one.
pub(crate) const MAX_MEDIA_STREAMS: usize = MAX_TRACKS * MAX_SPATIAL_LAYERS as usize;

/// What the kernel is asked to hold for the one socket of all clients. A keyframe to fifty receivers
/// is 1.5 MB within a millisecond; the usual 208 KiB would lose most of it.
const SOCKET_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// The least that a connection takes from its outbox in advance: half a congestion window above the least one
/// (RFC 9002 §7.2). More would stand for seconds in front of a path of 300 kbit/s, where nothing can be dropped.
const MIN_SEND_WINDOW: u64 = 8 * 1024;

/// The most that a connection takes from its outbox in advance: 40 Mbit/s at 200 ms.
const MAX_SEND_WINDOW: u64 = 1024 * 1024;

/// The window before anything is known of the path: a first keyframe fits, and a slow path is rid of it within 1.3 s.
const INITIAL_SEND_WINDOW: u64 = 48 * 1024;

/// Connections that have sent their first packet and are not looked at yet: the accept loop waits for
/// nothing, so more than a burst means that the processor is busy, and the clients ask again.
const MAX_INCOMING: usize = 4096;

/// What is kept of one of them meanwhile: the packets of one flight.
const INCOMING_BYTES: u64 = 64 * 1024;

/// What is kept of all of them.
const ALL_INCOMING_BYTES: u64 = 16 * 1024 * 1024;

/// Packets after which a client is asked to acknowledge. With QUIC's two, a quarter of the relay's work is
/// reading acknowledgements.
const ACKNOWLEDGE_EVERY: u32 = 10;

/// The longest that a client is asked to wait with an acknowledgement.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(20);

/// The settings of QUIC for these clients and this certificate.
pub(crate) fn server_config(identity: Identity, congestion: CongestionControl) -> ServerConfig {
    // The address is not used: the endpoint gets its socket from `socket`.
    let builder = ServerConfig::builder().with_bind_default(0);
    let transport = transport(congestion);
    let mut config = builder.with_custom_transport(identity, transport).build();
    config
        .quic_config_mut()
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(ALL_INCOMING_BYTES);
    config
}

fn transport(congestion: CongestionControl) -> QuicTransportConfig {
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements
        // What may come without an acknowledgement; the next is answered.
        .ack_eliciting_threshold(VarInt::from_u32(ACKNOWLEDGE_EVERY - 1))
        .max_ack_delay(Some(ACKNOWLEDGE_WITHIN));
    let mut config = QuicTransportConfig::default();
    control_congestion(&mut config, congestion);
    config
        // Clients that do not know the extension (draft-ietf-quic-ack-frequency) ignore it.
        .ack_frequency_config(Some(acknowledgements))
        // HTTP/3 needs three of its own; a sender that reopens every layer at once briefly has two
        // streams per layer.
        .max_concurrent_uni_streams(VarInt::from_u32(3 + 2 * MAX_MEDIA_STREAMS as u32))
        // The session itself and its control stream; the rest is for refused attempts.
        .max_concurrent_bidi_streams(VarInt::from_u32(8))
        // Both ends take the same silence for death, on every carrier.
        .max_idle_timeout(IdleTimeout::try_from(LIVENESS).ok())
        // Its answer shows that a page lives whose timers the browser holds back.
        .keep_alive_interval(Some(LIVENESS / 4))
        // Before the first measurement a lost packet is repeated after three times this; calls are
        // rarely between continents, and QUIC's 333 ms would show as a second of black.
        .initial_rtt(Duration::from_millis(100))
        // One stream may carry a whole keyframe within one round trip; together no more than the
        // largest allowed frame, so that a client that is not read costs a bounded amount.
        .stream_receive_window(VarInt::from_u32(1024 * 1024))
        .receive_window(VarInt::from_u32(4 * 1024 * 1024))
        // What is written can no longer be dropped or overtaken: keep it in the outbox instead. It
        // follows the congestion window, see `tune`.
        .send_window(INITIAL_SEND_WINDOW)
        // Frames are whole or worthless: finish the one that was begun before the next of the same
        // urgency.
        .send_fairness(false)
        // Voices wait in the outbox, which drops the oldest; here is room for one round trip of ten.
        .datagram_send_buffer_size(32 * 1024)
        .datagram_receive_buffer_size(Some(64 * 1024));
    config
}

/// What waits in a queue of the network can be dropped or overtaken no more than what is written.
fn control_congestion(config: &mut QuicTransportConfig, congestion: CongestionControl) {
    match congestion {
        CongestionControl::Media => config.congestion_controller_factory(Arc::new(MediaConfig::default())),
        CongestionControl::Cubic => config.congestion_controller_factory(Arc::new(CubicConfig::default())),
        CongestionControl::Newreno => {
            config.congestion_controller_factory(Arc::new(NewRenoConfig::default()))
        }
        CongestionControl::Bbr => config.congestion_controller_factory(Arc::new(BbrConfig::default())),
    };
}

/// Lets a connection take half a congestion window more than is on its way, so that it never idles
/// and never queues more than half a round trip.
pub(crate) fn tune(connection: &Connection) {
    let in_flight = connection.stats().path.cwnd;
    let window = (in_flight + in_flight / 2).clamp(MIN_SEND_WINDOW, MAX_SEND_WINDOW);
    connection.set_send_window(window);
}

/// What the path carries as far as known, bits per second: a window in each round trip. More than is
/// used, but not by how much.
pub(crate) fn path_rate(connection: &Connection) -> u64 {
    let path = connection.stats().path;
    let microseconds = u64::try_from(path.rtt.as_micros()).unwrap_or(u64::MAX);
    path.cwnd.saturating_mul(8 * 1_000_000) / microseconds.max(1)
}

/// The socket of all clients.
pub(crate) fn socket(bind: SocketAddr) -> anyhow::Result<UdpSocket> {
    let open = || -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
        if bind.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&bind.into())?;
        Ok(socket)
    };
    let socket =
        open().with_context(|| format!("cannot listen on UDP {bind}; choose another address or port"))?;
    enlarge(&socket);
    Ok(socket.into())
}

/// The kernel gives what its own limit allows; less is worth a hint, not an error.
fn enlarge(socket: &Socket) {
    let _receive = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _send = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    let granted = socket
        .send_buffer_size()
        .unwrap_or(0)
        .min(socket.recv_buffer_size().unwrap_or(0));
    if granted < SOCKET_BUFFER_BYTES {
        tracing::info!(
            granted,
            wanted = SOCKET_BUFFER_BYTES,
            "the kernel limits UDP buffers; for many receivers raise net.core.rmem_max and wmem_max"
        );
    }
}
