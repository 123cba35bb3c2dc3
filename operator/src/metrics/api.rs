//! Counts the requests of a client, and hears its watches.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tower::{BoxError, Layer, Service};

use super::{ApiCall, Metrics};
use crate::health::{Heard, Watches};

/// A layer of a client: counts what it sends, and tells [`Watches`] about each sign of life of a watch.
///
/// A [`WriteGate`](crate::lease::WriteGate) belongs outside of it, since what was not sent is not counted.
#[derive(Clone, Debug)]
pub struct ObserveApi {
    metrics: Arc<Metrics>,
    watches: Option<Watches>,
}

impl ObserveApi {
    /// A layer for a client that has nothing to watch.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            watches: None,
        }
    }

    /// A layer for the client that does nothing but watch, and list before it watches.
    pub fn watching(metrics: Arc<Metrics>, watches: Watches) -> Self {
        Self {
            metrics,
            watches: Some(watches),
        }
    }
}

impl<S> Layer<S> for ObserveApi {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed {
            inner,
            observe: self.clone(),
        }
    }
}

/// A service under [`ObserveApi`].
#[derive(Clone, Debug)]
pub struct Observed<S> {
    inner: S,
    observe: ObserveApi,
}

impl<S, A, B> Service<Request<A>> for Observed<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<ObservedBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let call = ApiCall::of(request.method(), request.uri(), request.headers());
        let ObserveApi { metrics, watches } = self.observe.clone();
        if call.writes() {
            metrics.api_write(&call);
        }
        let heard = watches.and_then(|watches| watches.request(&call, request.uri()));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = match answer.await {
                Ok(response) => response,
                Err(error) => {
                    let error = error.into();
                    metrics.api_request_failed(&call, reason(error.as_ref()).to_owned());
                    return Err(error);
                }
            };
            let status = response.status();
            if is_failure(&call, status) {
                metrics.api_request_failed(&call, status.as_u16().to_string());
            }
            if let Some(heard) = &heard {
                heard.answered(status);
            }
            let heard = heard.filter(|_| status.is_success());
            Ok(response.map(|inner| ObservedBody { inner, heard }))
        })
    }
}

/// Whether an answer is worth counting: that something is not there is what many a read is to find out.
fn is_failure(call: &ApiCall, status: StatusCode) -> bool {
    let is_error = status.is_client_error() || status.is_server_error();
    is_error && (call.writes() || status != StatusCode::NOT_FOUND)
}

/// Why there was no answer.
fn reason(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    let timed_out = chain.any(|error| {
        let io = error.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
            || error.is::<tokio::time::error::Elapsed>()
    });
    if timed_out { "timeout" } else { "connection" }
}

/// The body of an answer: each piece of a watch's is a sign of life.
#[derive(Debug)]
pub struct ObservedBody<B> {
    inner: B,
    heard: Option<Heard>,
}

impl<B> Body for ObservedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let (Poll::Ready(Some(Ok(_))), Some(heard)) = (&frame, &self.heard) {
            heard.now();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
