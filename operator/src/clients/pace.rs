//! How watches begin: not again and again without a pause, and with an answer in time.
//!
//! A watch that fails has a back-off of kube's. One that ends in order, or breaks after its answer has begun, counts as
//! one that worked, and begins anew at once: behind a proxy that ends each, that was 2,000 requests a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Uri};
use tokio::time::{Instant, sleep_until, timeout};
use tower::{BoxError, Layer, Service};

/// One request in so long, for each path.
const INTERVAL: Duration = Duration::from_secs(6);
/// So many more may come at once.
const BURST: u32 = 5;

/// A layer that lets the same list or watch begin only so often, and gives up answers that do not begin.
#[derive(Clone, Debug)]
pub struct Pace {
    known: Arc<Mutex<Known>>,
    limit: Duration,
}

impl Pace {
    /// A pace where an answer must begin within `limit`.
    pub fn new(limit: Duration) -> Self {
        Self {
            known: Arc::default(),
            limit,
        }
    }

    /// When a request may be sent that comes now.
    fn start(&self, uri: &Uri) -> Instant {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        path(uri).map_or(now, |path| known.start(path, now))
    }
}

/// When the next request of each path is due, if all came in equal intervals. One entry for each kind, namespace and
/// selector that is watched.
#[derive(Debug, Default)]
struct Known(HashMap<String, Instant>);

impl Known {
    /// When a request may be sent that comes now.
    fn start(&mut self, path: String, now: Instant) -> Instant {
        let due = self.0.entry(path).or_insert(now);
        *due = now.max(*due) + INTERVAL;
        let early = INTERVAL * (BURST + 1);
        due.checked_sub(early).map_or(now, |start| start.max(now))
    }
}

impl<S> Layer<S> for Pace {
    type Service = Paced<S>;

    fn layer(&self, inner: S) -> Paced<S> {
        let pace = self.clone();
        Paced { inner, pace }
    }
}

/// A service behind a [`Pace`].
#[derive(Clone, Debug)]
pub struct Paced<S> {
    inner: S,
    pace: Pace,
}

impl<S, B> Service<Request<B>> for Paced<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let start = self.pace.start(request.uri());
        let limit = self.pace.limit;
        // It is sent when it is polled first.
        let call = self.inner.call(request);
        Box::pin(async move {
            sleep_until(start).await;
            timeout(limit, call).await?.map_err(Into::into)
        })
    }
}

/// What tells a list or a watch from others; none for the further pages of a list, which follow at once.
fn path(uri: &Uri) -> Option<String> {
    let mut parts = vec![uri.path()];
    for pair in uri.query().unwrap_or_default().split('&') {
        match pair.split('=').next() {
            Some("continue") => return None,
            Some("watch" | "labelSelector" | "fieldSelector") => parts.push(pair),
            _ => {}
        }
    }
    Some(parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_begin_at_once_and_then_one_in_each_interval() {
        let mut known = Known::default();
        let now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push((known.start("pods".to_owned(), now) - now).as_secs());
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 6, 12]);
        assert_eq!(known.start("services".to_owned(), now), now);
        let later = now + Duration::from_mins(2);
        assert_eq!(known.start("pods".to_owned(), later), later);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_begin_is_given_up() {
        let silent = tower::service_fn(|_: Request<()>| {
            futures::future::pending::<Result<(), std::convert::Infallible>>()
        });
        let mut paced = Pace::new(Duration::from_mins(1)).layer(silent);
        let begun = Instant::now();
        let error = paced.call(Request::new(())).await.unwrap_err();
        assert!(error.is::<tokio::time::error::Elapsed>());
        assert_eq!(begun.elapsed().as_secs(), 60);
    }

    #[test]
    fn pages_are_no_beginnings_and_what_differs_in_time_is_the_same() {
        let path = |uri: &str| super::path(&uri.parse().unwrap());
        let pods = "/api/v1/pods?labelSelector=a";
        let continued = format!("{pods}&limit=100&continue=b");
        assert_eq!(path(&continued), None);
        let versions = [1, 2].map(|n| path(&format!("{pods}&watch=true&resourceVersion={n}")));
        assert_eq!(versions[0], versions[1]);
        assert_ne!(path(pods), versions[0]);
    }
}
