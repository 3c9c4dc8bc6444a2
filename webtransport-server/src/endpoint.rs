//! QUIC's endpoint, which hands every packet that arrives to the connection that it is for.
//!
//! It is the one thing that the packets of all connections pass, so it has a thread of its own. Among the tasks of
//! the connections it would get a turn as seldom as any of them: while a few clients flood the relay, everybody's
//! packets would wait in the socket for as long as its buffer lasts, a fifth of a second and more, which congestion
//! controls at both ends take for a slow path. So what is too much waits with the connection that brought it, whose
//! task is one among many.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use tokio::runtime;
use tokio_util::sync::{CancellationToken, DropGuard};
use wtransport::ServerConfig;
use wtransport::quinn::{Endpoint, Runtime as _, TokioRuntime};

use crate::gate::Gate;

/// An endpoint that runs.
pub(crate) struct Running {
    pub(crate) endpoint: Endpoint,
    pub(crate) gate: Arc<Gate>,
    pub(crate) thread: EndpointThread,
}

/// Ends the thread, and with it the endpoint, when it is dropped.
pub(crate) struct EndpointThread {
    _running: DropGuard,
}

/// Starts an endpoint on this socket.
///
/// # Errors
/// When the operating system gives no thread, or the socket is of no use.
pub(crate) fn start(config: &ServerConfig, socket: UdpSocket) -> anyhow::Result<Running> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("QUIC has no event loop")?;
    let (endpoint, gate) = {
        // The endpoint's driver goes where the endpoint is made, that of a connection where it is accepted.
        let _entered = runtime.enter();
        open(config, socket).context("QUIC cannot be started")?
    };
    let running = CancellationToken::new();
    let ended = running.clone();
    thread::Builder::new()
        .name("quic-endpoint".to_owned())
        .spawn(move || runtime.block_on(ended.cancelled()))
        .context("QUIC has no thread")?;
    let thread = EndpointThread {
        _running: running.drop_guard(),
    };
    Ok(Running {
        endpoint,
        gate,
        thread,
    })
}

fn open(config: &ServerConfig, socket: UdpSocket) -> io::Result<(Endpoint, Arc<Gate>)> {
    let runtime = Arc::new(TokioRuntime);
    let gate = Arc::new(Gate::new(runtime.wrap_udp_socket(socket)?));
    let endpoint = Endpoint::new_with_abstract_socket(
        config.quic_endpoint_config().clone(),
        Some(config.quic_config().clone()),
        gate.clone(),
        runtime,
    )?;
    Ok((endpoint, gate))
}
