//! No write leaves a process that does not lead.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::{Method, Request};
use tower::{BoxError, Layer, Service};

use super::leadership::Leadership;

/// A layer of a client: requests that write are refused while this process does not lead.
///
/// It is asked at each request, so it also stops a process that was suspended and wakes up in the middle of a
/// reconcile while another one leads.
#[derive(Clone, Debug)]
pub struct WriteGate {
    leadership: Leadership,
}

/// A write that was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this operator does not lead, so it writes nothing")]
pub struct NotTheLeader;

impl WriteGate {
    /// A gate that is open while `leadership` holds.
    pub fn new(leadership: Leadership) -> Self {
        Self { leadership }
    }
}

impl<S> Layer<S> for WriteGate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            inner,
            leadership: self.leadership.clone(),
        }
    }
}

/// A service behind a [`WriteGate`].
#[derive(Clone, Debug)]
pub struct Gated<S> {
    inner: S,
    leadership: Leadership,
}

impl<S, B> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<
        futures::future::MapErr<S::Future, fn(S::Error) -> BoxError>,
        Ready<Result<S::Response, BoxError>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let writes = !matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        if writes && !self.leadership.holds() {
            return Either::Right(ready(Err(NotTheLeader.into())));
        }
        let call = self.inner.call(request);
        Either::Left(futures::TryFutureExt::map_err(
            call,
            Into::into as fn(S::Error) -> BoxError,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use tokio::time::Instant;
    use tower::{ServiceExt, service_fn};

    use super::*;

    async fn send(leadership: &Leadership, method: Method) -> Result<(), BoxError> {
        let server = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(()) });
        let gated = WriteGate::new(leadership.clone()).layer(server);
        let request = Request::builder().method(method).body(()).unwrap();
        gated.oneshot(request).await
    }

    #[tokio::test(start_paused = true)]
    async fn writes_pass_while_the_term_lasts_and_reads_always() {
        let leadership = Leadership::awaited();
        assert!(send(&leadership, Method::GET).await.is_ok());
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let leadership = Leadership::awaited();
            let error = send(&leadership, method.clone()).await.unwrap_err();
            assert!(error.is::<NotTheLeader>(), "{error}");
            leadership.hold_until(Instant::now() + Duration::from_secs(1));
            assert!(send(&leadership, method.clone()).await.is_ok());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(send(&leadership, method).await.is_err());
        }
        assert!(
            send(&Leadership::without_election(), Method::POST)
                .await
                .is_ok()
        );
    }
}
