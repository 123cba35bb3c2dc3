//! What every request passes through: counting, a time limit, a size limit, a net for panics, and room for its
//! answer.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use super::answer::{shutting_down, unavailable};
use super::room::{Room, limit_room};
use crate::metrics::{Metrics, RequestLabel, RouteLabel};

/// How long a request may take, its own body included, until its answer begins.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// What a request's body may have in bytes.
const BODY_LIMIT: usize = 64 << 10;

/// Puts the layers around `router`. `hurry` is the word for requests that still wait when the time to answer
/// is over: they are answered with 503.
pub(crate) fn layered(router: Router, metrics: Arc<Metrics>, hurry: CancellationToken) -> Router {
    // The last one is the outermost.
    router
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(hurry, limit_time))
        .layer(from_fn_with_state(Room::default(), limit_room))
        .layer(from_fn_with_state(metrics, count))
}

async fn limit_time(
    State(hurry): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    tokio::select! {
        // An answer that is there is better than an excuse.
        biased;
        response = next.run(request) => response,
        () = hurry.cancelled() => shutting_down(),
        () = tokio::time::sleep(REQUEST_LIMIT) => {
            unavailable("the request was not answered within 10 seconds", 10)
        }
    }
}

async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let start = Instant::now();
    let response = next.run(request).await;
    let took = start.elapsed();
    let status = response.status();
    let class = match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    tracing::debug!(%method, route, status = status.as_u16(), took_ms = took.as_millis(), "Answered");
    metrics
        .request_seconds
        .get_or_create(&RouteLabel {
            route: route.clone(),
        })
        .observe(took.as_secs_f64());
    metrics
        .requests
        .get_or_create(&RequestLabel {
            route,
            status: class,
        })
        .inc();
    response
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer gives the payload away"
)]
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(message, "A request's handler panicked");
    let body = serde_json::json!({ "error": "the server failed; see its log" });
    (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    use super::*;

    async fn status_of(request: Request, hurry: &CancellationToken) -> StatusCode {
        let router = Router::new()
            .route("/ok", get(|| async { "ok" }))
            .route("/never", get(std::future::pending::<()>))
            .route("/panic", get(|| async { panic_on_purpose() }))
            .route(
                "/length",
                post(|body: String| async move { body.len().to_string() }),
            );
        let (metrics, _) = Metrics::new();
        layered(router, metrics, hurry.clone())
            .oneshot(request)
            .await
            .unwrap()
            .status()
    }

    fn panic_on_purpose() {
        panic!("on purpose");
    }

    fn request(path: &str) -> Request {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_answered_whatever_its_handler_does() {
        let hurry = CancellationToken::new();
        assert_eq!(status_of(request("/ok"), &hurry).await, StatusCode::OK);
        assert_eq!(status_of(request("/panic"), &hurry).await, 500);
        assert_eq!(status_of(request("/never"), &hurry).await, 503);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_is_answered_when_the_server_hurries() {
        let hurry = CancellationToken::new();
        let start = tokio::time::Instant::now();
        hurry.cancel();
        assert_eq!(status_of(request("/never"), &hurry).await, 503);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(status_of(request("/ok"), &hurry).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_body_of_more_than_64_kib_is_refused() {
        let hurry = CancellationToken::new();
        let post = |length| {
            Request::post("/length")
                .body(Body::from("x".repeat(length)))
                .unwrap()
        };
        assert_eq!(status_of(post(BODY_LIMIT), &hurry).await, StatusCode::OK);
        assert_eq!(status_of(post(BODY_LIMIT + 1), &hurry).await, 413);
    }
}
