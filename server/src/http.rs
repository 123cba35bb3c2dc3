//! The listener: accepts connections, gives each its place, and ends them in the order of a shutdown.
//!
//! axum's own loop waits for ever for connections that never sent a request, has no limits, and does not wait
//! for WebSockets, hence this one.

mod activity;
mod answer;
mod connection;
mod layers;
mod open_files;
mod places;
mod room;

pub use places::PerAddress;

pub(crate) use answer::{shutting_down, unavailable};
pub(crate) use connection::Peer;
pub(crate) use open_files::allow_open_files;
pub(crate) use places::{Limits, Places};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use meshcore_telemetry::bound_socket;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use activity::TimeLimits;
use answer::Service;
use connection::Ending;
use places::{Admission, Place};

/// The time limits of every connection but a WebSocket, which has its own.
const TIME_LIMITS: TimeLimits = TimeLimits {
    head: Duration::from_secs(10),
    // Longer than common proxies keep theirs (60 s), so that none sends a request into a closing connection.
    idle: Duration::from_secs(75),
    write: Duration::from_secs(30),
};
/// Those of a connection that only gets answers about health.
const HEALTH_TIME_LIMITS: TimeLimits = TimeLimits {
    head: Duration::from_secs(2),
    idle: Duration::from_secs(2),
    write: Duration::from_secs(2),
};
/// Connections that the kernel may hold until they are accepted.
const BACKLOG: u32 = 1024;
/// What the kernel may hold of an answer that its client does not take; it doubles the number. Set so that
/// thousands of slow clients can't fill its memory.
const SEND_BUFFER: u32 = 64 << 10;
/// The pauses after an accept that failed, at first and at most.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);
const ACCEPT_AGAIN_MOST: Duration = Duration::from_secs(1);

/// The listener. It accepts until the process ends, since probes are answered to the end.
#[derive(Debug)]
pub(crate) struct HttpServer {
    /// The address it listens on; the real port where 0 was asked for.
    pub(crate) address: SocketAddr,
    places: Places,
    /// The tasks of connections that were there before the drain, WebSockets aside.
    connections: TaskTracker,
    ending: Ending,
    hurry: CancellationToken,
    acceptor: JoinHandle<()>,
}

/// A bound address that does not accept yet.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds `address`.
    ///
    /// # Errors
    /// When it can't be bound, with the cure.
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        let bind = || {
            let socket = bound_socket(address)?;
            socket.set_send_buffer_size(SEND_BUFFER)?;
            socket.listen(BACKLOG)
        };
        let listener = bind().with_context(|| {
            format!("can't listen on {address}: is another program using the port? Choose another with --listen (MESHCORE_SERVER_ADDRESS)")
        })?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Serves `router` from here on.
    pub(crate) fn serve(self, router: Router, places: Places, metrics: Arc<Metrics>) -> HttpServer {
        let Self { listener, address } = self;
        let hurry = CancellationToken::new();
        let (connections, ending) = (TaskTracker::new(), Ending::default());
        let acceptor = Acceptor {
            listener,
            router: layers::layered(router, Arc::clone(&metrics), hurry.clone()),
            places: places.clone(),
            connections: connections.clone(),
            ending: ending.clone(),
            metrics,
        };
        HttpServer {
            address,
            places,
            connections,
            ending,
            hurry,
            acceptor: tokio::spawn(acceptor.run()),
        }
    }
}

impl HttpServer {
    /// Waits for the end of the loop that accepts, which ends only when it panics.
    pub(crate) async fn ended(&mut self) -> Result<(), JoinError> {
        (&mut self.acceptor).await
    }

    /// Ends every connection that is not being served, and each other one with its answer. New ones get
    /// answers about health only.
    pub(crate) fn begin_drain(&self) {
        self.places.close();
        self.connections.close();
        self.ending.drain.cancel();
    }

    /// Waits until the last connection has ended.
    pub(crate) async fn drained(&self) {
        self.connections.wait().await;
    }

    /// Answers every request that still waits with 503.
    pub(crate) fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Closes every connection, and says how many there were.
    pub(crate) fn cut(&self) -> usize {
        let left = self.connections.len();
        self.ending.cut.cancel();
        left
    }
}

/// The loop that accepts.
struct Acceptor {
    listener: TcpListener,
    router: Router,
    places: Places,
    connections: TaskTracker,
    ending: Ending,
    metrics: Arc<Metrics>,
}

impl Acceptor {
    async fn run(self) {
        let mut pause = ACCEPT_AGAIN;
        loop {
            match self.listener.accept().await {
                Ok((socket, address)) => {
                    if pause > ACCEPT_AGAIN {
                        tracing::info!("Connections can be accepted again");
                    }
                    pause = ACCEPT_AGAIN;
                    self.accepted(socket, address);
                }
                // The client went away again; that says nothing about the next one.
                Err(error) if is_of_the_connection(&error) => {}
                // Mostly too many open files. Those that are open end some day.
                Err(error) => {
                    if pause == ACCEPT_AGAIN {
                        tracing::error!(%error, "Connections can't be accepted; trying again");
                    }
                    self.metrics.refused("accept_failed");
                    pause = (2 * pause).min(ACCEPT_AGAIN_MOST);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn accepted(&self, socket: TcpStream, address: SocketAddr) {
        // Taken before the decision, so that a drain that begins now waits for whoever still gets a place.
        let _token = self.connections.token();
        match self.places.admit(address.ip()) {
            Admission::Served(place) => {
                let service = Service::All(self.router.clone());
                let ending = self.ending.clone();
                let task = self.serve(socket, address, place, service, TIME_LIMITS, ending);
                self.connections.spawn(task);
            }
            Admission::HealthOnly(place, refusal) => {
                self.metrics.refused(refusal.label());
                let service = Service::HealthOnly(self.router.clone(), refusal);
                // Nobody ends these but their limits: they are short.
                let ending = Ending::default();
                let task = self.serve(socket, address, place, service, HEALTH_TIME_LIMITS, ending);
                tokio::spawn(task);
            }
            Admission::Closed(refusal) => self.metrics.refused(refusal.label()),
        }
    }

    fn serve(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        place: Place,
        service: Service,
        limits: TimeLimits,
        ending: Ending,
    ) -> impl Future<Output = ()> + Send + use<> {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "A connection has no TCP_NODELAY");
        }
        let peer = Peer {
            address,
            _place: Arc::new(place),
        };
        connection::serve(
            socket,
            peer,
            service,
            limits,
            ending,
            Arc::clone(&self.metrics),
        )
    }
}

/// Whether an accept failed because of the connection that was to be accepted.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
