//! What a connection answers: everything, or what there is to say about the server's health.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use hyper::body::{Frame, SizeHint};
use tower::ServiceExt;

use super::activity::Serving;
use super::places::Refusal;

/// What is answered on a connection.
#[derive(Debug, Clone)]
pub(crate) enum Service {
    /// Everything.
    All(Router),
    /// `/health/…`; anything else is told why not. The connection ends with its first answer.
    HealthOnly(Router, Refusal),
}

impl Service {
    pub(crate) fn answer(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Response> + Send + use<> {
        let (router, refusal) = match self {
            Self::All(router) => (router.clone(), None),
            Self::HealthOnly(router, refusal) => (router.clone(), Some(*refusal)),
        };
        async move {
            let mut response = match refusal {
                Some(refusal) if !request.uri().path().starts_with("/health/") => refused(refusal),
                _ => router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            };
            if refusal.is_some() {
                close_after(&mut response);
            }
            response
        }
    }
}

/// Ends the connection after this answer, and says so.
pub(crate) fn close_after(response: &mut Response) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// 503 for a connection that is one too many.
fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Connections | Refusal::Reserve => unavailable(
            "there are as many connections as this server takes (--max-connections); try again later",
            30,
        ),
        Refusal::Address => unavailable(
            "your address has as many connections as one may have (--max-connections-per-address)",
            30,
        ),
        Refusal::ShuttingDown => shutting_down(),
    }
}

/// 503 for what comes while the server stops. Another one may take its place in a moment.
pub(crate) fn shutting_down() -> Response {
    unavailable("the server is shutting down; try again in a moment", 2)
}

/// 503 with a sentence and the seconds after which to try again.
pub(crate) fn unavailable(error: &str, retry_after_seconds: u32) -> Response {
    const RETRY_AFTER: HeaderName = header::RETRY_AFTER;
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(RETRY_AFTER, HeaderValue::from(retry_after_seconds))],
        Json(serde_json::json!({ "error": error })),
    )
        .into_response()
}

/// The body of an answer, which counts as being served until its end.
#[derive(Debug)]
pub(crate) struct InFlight {
    body: Body,
    serving: Option<Serving>,
}

impl InFlight {
    pub(crate) fn new(body: Body, serving: Serving) -> Self {
        Self {
            body,
            serving: Some(serving),
        }
    }
}

impl HttpBody for InFlight {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            self.serving.take();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
