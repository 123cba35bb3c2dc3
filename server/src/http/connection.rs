//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Phase, TimeLimits, Watched};
use super::answer::{InFlight, Service, close_after};
use super::places::Place;
use crate::metrics::{Metrics, ReasonLabel};

/// How often the limits are looked at, so how late a connection may be closed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The same while the connection is wanted to end: how late it may be told so.
const LOOK_AGAIN_DRAINING: Duration = Duration::from_millis(20);
/// For so long a drained connection without a request is left open: one may have been sent already, and it is
/// answered.
const LAST_REQUEST: Duration = Duration::from_millis(200);
/// What a request's head may have in bytes, and what is read at once.
const HEAD_BYTES: usize = 16 << 10;

/// Whose connection a request came on. Every request has it as an extension.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The other end.
    pub(crate) address: SocketAddr,
    /// Keeps the connection's place taken; a WebSocket holds it for as long as it lives.
    pub(super) _place: Arc<Place>,
}

/// The two words that end connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending {
    /// No further request; what is being served is served to its end.
    pub(crate) drain: CancellationToken,
    /// At once.
    pub(crate) cut: CancellationToken,
}

/// Serves `socket` until its end.
pub(crate) async fn serve(
    socket: TcpStream,
    peer: Peer,
    service: Service,
    limits: TimeLimits,
    ending: Ending,
    metrics: Arc<Metrics>,
) {
    let activity = Activity::new();
    let io = TokioIo::new(Watched::new(socket, Arc::clone(&activity)));
    let address = peer.address;
    let answer = service_fn(|mut request: hyper::Request<Incoming>| {
        let serving = activity.serve();
        request.extensions_mut().insert(peer.clone());
        let answer = service.answer(request.map(Body::new));
        let drain = ending.drain.clone();
        async move {
            let mut answer: Response = answer.await;
            // hyper says it only if it knew of the drain when the request's head came.
            if drain.is_cancelled() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                close_after(&mut answer);
            }
            Ok::<_, Infallible>(answer.map(|body| InFlight::new(body, serving)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Ours: hyper's would also count the time between two requests.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(io, answer)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut look = std::pin::pin!(sleep(limits.head.min(LOOK_AGAIN)));
    let mut draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%address, error = &error as &dyn std::error::Error, "A connection failed");
                }
                return;
            }
            () = ending.cut.cancelled() => return,
            () = ending.drain.cancelled(), if !draining => {
                draining = true;
                look.as_mut().reset(Instant::now() + LAST_REQUEST);
            }
            () = look.as_mut() => {
                if let Some(reason) = activity.overdue(&limits) {
                    metrics.connections_closed.get_or_create(&ReasonLabel { reason }).inc();
                    tracing::debug!(%address, reason, "A connection was closed");
                    return;
                }
                // hyper would drop a head of which it has a part only, if a request came before it.
                if draining && activity.phase() != Phase::Head {
                    connection.as_mut().graceful_shutdown();
                }
                let pause = if draining { LOOK_AGAIN_DRAINING } else { LOOK_AGAIN };
                look.as_mut().reset(Instant::now() + pause);
            }
        }
    }
}
