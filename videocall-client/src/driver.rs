//! Runs the core over a connector and a clock: one loop for the browser and for native programs.
//! It holds no rule; those are the core's.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::Fuse;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, SinkExt, StreamExt, select};
use videocall_types::api::{JoinResponse, RelayEndpoint};
use videocall_types::{CloseCode, LayerId, MediaClass, SessionId, Timestamp};

use crate::core::{ClientCore, Command, Event, Input, Lane, Link, OutgoingPacket, Output, TicketError};
use crate::stats::{ConnectionStats, LayerStats};

/// Between two refreshes of the figures that programs see: often enough for a display, too seldom to
/// cost anything.
const FIGURES_INTERVAL: Duration = Duration::from_millis(200);

/// A connection that does not manage to close within this time is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1000);

/// Reaches servers.
pub trait Connector {
    /// What a successful connect gives.
    type Connection: Connection;

    /// Asks the REST interface for a ticket ([`crate::ClientConfig::ticket_request`]).
    ///
    /// Relays alone become a ticket with the program's token.
    /// An answer of 4xx is [`TicketError::Refused`] with the `message` of
    /// [`videocall_types::api::ApiError`]; no answer, 429 and 5xx are [`TicketError::Unavailable`].
    fn fetch_ticket(&self) -> impl Future<Output = Result<JoinResponse, TicketError>>;

    /// Opens a connection to a relay, up to where the Hello can be sent. The address is absolute. The
    /// error is for people. Dropping the future gives the attempt up.
    fn connect(&self, endpoint: RelayEndpoint) -> impl Future<Output = Result<Self::Connection, String>>;
}

/// An open connection. It moves packets; what is sent waits in the core until the lane is ready, so a
/// connection holds little: about 64 kB per lane at most, besides one packet of any size.
///
/// A connection that is dropped without [`Connection::close`] must not look like a goodbye to the
/// relay: not 1000 or 1001 on WebSocket, not 0 on WebTransport.
pub trait Connection {
    /// Whether [`Connection::send`] may be called with a packet of this lane now. When it turns from
    /// false to true, [`Connection::next`] yields [`ConnectionEvent::Ready`]. The control lane of a new
    /// connection is ready.
    fn is_ready(&self, lane: Lane) -> bool;

    /// Takes a packet of a lane that is ready; never waits. Failures show up in
    /// [`Connection::next`].
    fn send(&mut self, packet: OutgoingPacket);

    /// What happens next on this connection. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = ConnectionEvent>;

    /// Sends what was taken and closes with this code (on WebSocket [`CloseCode::websocket`], on
    /// WebTransport the number; [`CloseCode::Left`] closes as normal: 1000 on WebSocket, 0 on
    /// WebTransport), all within about half a second.
    fn close(self, code: CloseCode) -> impl Future<Output = ()>;
}

/// Something happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// A packet has arrived, on whichever stream or datagram.
    Packet(Bytes),
    /// A lane may have become ready.
    Ready,
    /// The connection is gone; nothing follows.
    Closed {
        /// The relay's close code, where the carrier brought one.
        code: Option<CloseCode>,
        /// For people.
        reason: String,
    },
}

/// Time for the driver.
pub trait Clock {
    /// Monotonic, microseconds; started from the Unix epoch, because tickets expire by it.
    fn now(&self) -> Timestamp;

    /// Ends at the given time or a little later.
    fn sleep_until(&self, deadline: Timestamp) -> impl Future<Output = ()>;
}

/// What a program may see at any time without asking the loop.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) session: Option<SessionId>,
    pub(crate) connection: ConnectionStats,
    pub(crate) layers: Vec<(LayerId, LayerStats)>,
}

/// Between the loop and the handles of the program.
pub(crate) struct Channels {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) frames: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) figures: Arc<Mutex<Figures>>,
}

/// What woke the loop.
enum Woken<C> {
    Input(Input),
    Opened(C),
    /// Nothing but a lane that is ready, or a closed connection that is gone.
    Nothing,
}

struct Driver<C, K> {
    core: ClientCore,
    clock: K,
    /// [`Link::Current`].
    connection: Option<C>,
    /// [`Link::Next`].
    next: Option<C>,
    channels: Channels,
    figures_due: Timestamp,
}

/// Runs until the core has ended and the connection is closed. [`Event::Closed`] is told after that:
/// a program may end with it, and would take a goodbye along that is still on its way.
pub(crate) async fn run<C: Connector, K: Clock>(
    core: ClientCore,
    connector: C,
    clock: K,
    channels: Channels,
) {
    let mut driver = Driver {
        core,
        clock: &clock,
        connection: None,
        next: None,
        channels,
        figures_due: Timestamp::ZERO,
    };
    let mut fetching = pin!(Fuse::terminated());
    let mut connecting = pin!(Fuse::terminated());
    // At most one per connection that was opened; each ends within CLOSE_TIMEOUT.
    let mut closing = FuturesUnordered::new();
    let ended = |(connection, code)| close(connection, code, &clock);
    let mut timer = pin!(Fuse::terminated());
    let mut timer_at = None;
    let mut farewell = None;
    loop {
        while let Some(output) = driver.core.poll() {
            match output {
                Output::FetchTicket => fetching.set(connector.fetch_ticket().fuse()),
                Output::Connect(endpoint) => connecting.set(connector.connect(endpoint).fuse()),
                Output::Greet(packet) => driver.greet(packet),
                Output::Switch => closing.extend(driver.switch().map(ended)),
                Output::GiveUp(code) => {
                    fetching.set(Fuse::terminated());
                    connecting.set(Fuse::terminated());
                    closing.extend(driver.next.take().map(|next| ended((next, code))));
                }
                Output::Disconnect(code) => {
                    closing.extend(driver.take_connection().map(|current| ended((current, code))));
                }
                Output::Event(event @ Event::Closed(_)) => farewell = Some(event),
                Output::Event(event) => driver.deliver(event).await,
            }
        }
        driver.catch_up();
        if driver.core.is_ended() {
            break;
        }
        if driver.core.next_wake() != timer_at {
            timer_at = driver.core.next_wake();
            timer.set(timer_at.map_or_else(Fuse::terminated, |at| clock.sleep_until(at).fuse()));
        }
        let woken = {
            let mut incoming = pin!(next_event(&mut driver.connection).fuse());
            let mut answer = pin!(next_event(&mut driver.next).fuse());
            select! {
                event = incoming => from_connection(Link::Current, event),
                event = answer => from_connection(Link::Next, event),
                ticket = fetching => Woken::Input(Input::Ticket(ticket)),
                opened = connecting => match opened {
                    Ok(connection) => Woken::Opened(connection),
                    Err(reason) => Woken::Input(Input::ConnectFailed(reason)),
                },
                () = closing.select_next_some() => Woken::Nothing,
                () = timer => {
                    timer_at = None;
                    Woken::Input(Input::Timeout)
                }
                frame = driver.channels.frames.next() => from_program(frame),
                command = driver.channels.commands.next() => from_program(command),
            }
        };
        driver.handle(woken);
    }
    while closing.next().await.is_some() {}
    if let Some(event) = farewell {
        driver.deliver(event).await;
    }
}

impl<C: Connection, K: Clock> Driver<C, &K> {
    fn handle(&mut self, woken: Woken<C>) {
        let input = match woken {
            Woken::Input(input) => input,
            Woken::Opened(connection) => {
                self.next = Some(connection);
                Input::Connected
            }
            Woken::Nothing => return,
        };
        match input {
            Input::Disconnected {
                link: Link::Current, ..
            } => self.connection = None,
            Input::Disconnected { link: Link::Next, .. } => self.next = None,
            _ => {}
        }
        self.core.handle(input, self.clock.now());
    }

    /// Frames are dropped when the program is behind; everything else waits for room.
    async fn deliver(&mut self, event: Event) {
        if matches!(event, Event::Connection(_) | Event::Joined { .. }) {
            self.figures_due = Timestamp::ZERO;
            self.refresh_figures();
        }
        let Event::Frame(frame) = event else {
            // A program that has dropped the stream wants no events; the call goes on.
            let _ = self.channels.events.send(event).await;
            return;
        };
        let layer = frame.header.layer();
        if let Err(error) = self.channels.events.try_send(Event::Frame(frame))
            && error.is_full()
        {
            self.core.handle(Input::FrameDiscarded(layer), self.clock.now());
        }
    }

    /// The next connection takes the place of the current one, which is to be closed: nobody has left.
    fn switch(&mut self) -> Option<(C, CloseCode)> {
        let before = std::mem::replace(&mut self.connection, self.next.take());
        before.map(|before| (before, CloseCode::SessionReplaced))
    }

    fn greet(&mut self, packet: Bytes) {
        if let Some(next) = &mut self.next {
            next.send(OutgoingPacket {
                packet,
                lane: Lane::Control,
                class: MediaClass::Control,
                keyframe: false,
                supersedes: false,
            });
        }
    }

    /// After the core has taken something in.
    fn catch_up(&mut self) {
        self.write();
        self.refresh_figures();
    }

    /// Gives the connection what it takes.
    fn write(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let now = self.clock.now();
        while let Some(packet) = self.core.poll_packet(now, |lane| connection.is_ready(lane)) {
            connection.send(packet);
        }
    }

    /// The connection, with the last control messages on their way.
    fn take_connection(&mut self) -> Option<C> {
        let mut connection = self.connection.take()?;
        let now = self.clock.now();
        let control = |lane, ready: &C| lane == Lane::Control && ready.is_ready(lane);
        while let Some(packet) = self.core.poll_packet(now, |lane| control(lane, &connection)) {
            connection.send(packet);
        }
        Some(connection)
    }

    fn refresh_figures(&mut self) {
        let now = self.clock.now();
        if now < self.figures_due && !self.core.is_ended() {
            return;
        }
        self.figures_due = now + FIGURES_INTERVAL;
        let mut figures = lock(&self.channels.figures);
        figures.session = self.core.session();
        figures.connection = self.core.stats();
        figures.layers.clear();
        figures.layers.extend(self.core.layer_stats());
    }
}

/// Nothing panics while it holds the lock; if something did, the figures would still be figures.
pub(crate) fn lock(figures: &Mutex<Figures>) -> std::sync::MutexGuard<'_, Figures> {
    figures.lock().unwrap_or_else(PoisonError::into_inner)
}

fn from_connection<C>(link: Link, event: ConnectionEvent) -> Woken<C> {
    match event {
        ConnectionEvent::Packet(packet) => Woken::Input(Input::Packet(link, packet)),
        ConnectionEvent::Closed { code, reason } => Woken::Input(Input::Disconnected { link, code, reason }),
        ConnectionEvent::Ready => Woken::Nothing,
    }
}

/// A program that has dropped its handles has left.
fn from_program<C>(command: Option<Command>) -> Woken<C> {
    Woken::Input(Input::Command(command.unwrap_or(Command::Leave)))
}

async fn next_event<C: Connection>(connection: &mut Option<C>) -> ConnectionEvent {
    match connection {
        Some(connection) => connection.next().await,
        None => pending().await,
    }
}

async fn close<C: Connection, K: Clock>(connection: C, code: CloseCode, clock: &K) {
    let mut closed = pin!(connection.close(code).fuse());
    let mut timeout = pin!(clock.sleep_until(clock.now() + CLOSE_TIMEOUT).fuse());
    select! {
        () = closed => {}
        () = timeout => {}
    }
}
