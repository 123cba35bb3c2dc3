//! Room for large answers: an answer is whole in memory until its client has taken it, so those that are being
//! taken share a number of bytes, and who comes when there is no room is told to come again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::unavailable;

/// What all large answers may have together: some eighty of the longest lists of packets.
const ROOM_BYTES: u32 = 32 << 20;
/// An answer up to this size needs no room: the kernel takes it at once, and an answer about health or a page
/// of the usual length must not wait for those who ask for much and read slowly.
const SMALL_BYTES: u64 = 32 << 10;

/// The room; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// One permit a byte.
    bytes: Arc<Semaphore>,
    all: u32,
}

impl Room {
    fn new(all: u32) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// Takes the room of an answer of `size` bytes, if it is there. An answer larger than all of it takes all.
    fn take(&self, size: u64) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(size).unwrap_or(self.all).min(self.all);
        Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new(ROOM_BYTES)
    }
}

/// The layer: a large answer takes its room, and gives it back when the last of it has gone to the kernel.
pub(crate) async fn limit_room(State(room): State<Room>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    let hint = answer.body().size_hint();
    let size = hint.exact().unwrap_or(hint.lower());
    if size <= SMALL_BYTES {
        return answer;
    }
    match room.take(size) {
        Some(permit) => answer
            .map(|body| {
                Body::new(Roomed {
                    body,
                    permit: Arc::new(permit),
                })
            })
            .into_response(),
        None => unavailable(
            "too many large answers are being sent; ask for less, or try again in a moment",
            2,
        ),
    }
}

/// A body that has its room.
#[derive(Debug)]
struct Roomed {
    body: Body,
    permit: Arc<OwnedSemaphorePermit>,
}

/// A part of a body; it keeps the room, since it outlives the body while it waits to be sent.
struct Part {
    bytes: Bytes,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Roomed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let permit = Arc::clone(&self.permit);
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map_ok(|frame| {
            frame.map_data(|bytes| {
                Bytes::from_owner(Part {
                    bytes,
                    _permit: permit,
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use futures::StreamExt;
    use tower::ServiceExt;

    use super::*;

    const LARGE: usize = 40 << 10;

    /// Answers with as many bytes as are asked for; there is room for two large answers.
    async fn ask(room: &Room, path: &str) -> Response {
        let router = Router::new()
            .route("/small", get(|| async { "x".repeat(32 << 10) }))
            .route("/large", get(|| async { "x".repeat(LARGE) }))
            .route("/huge", get(|| async { "x".repeat(5 * LARGE) }))
            .layer(from_fn_with_state(room.clone(), limit_room));
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap()
    }

    fn room() -> Room {
        Room::new(2 * u32::try_from(LARGE).unwrap() + 1)
    }

    #[tokio::test]
    async fn an_answer_without_room_is_503_and_small_ones_need_none() {
        let room = room();
        let first = ask(&room, "/large").await;
        let second = ask(&room, "/large").await;
        assert_eq!(
            (first.status(), second.status()),
            (200.try_into().unwrap(), 200.try_into().unwrap())
        );
        let refused = ask(&room, "/large").await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "2");
        assert_eq!(ask(&room, "/small").await.status(), 200);
        drop(first);
        assert_eq!(ask(&room, "/large").await.status(), 200);
    }

    #[tokio::test]
    async fn room_is_given_back_when_the_last_byte_has_gone_and_not_with_the_body() {
        let room = room();
        let mut waiting = Vec::new();
        for _ in 0..2 {
            let mut body = ask(&room, "/large").await.into_body().into_data_stream();
            let bytes = body.next().await.unwrap().unwrap();
            assert_eq!(bytes.len(), LARGE);
            assert!(body.next().await.is_none());
            waiting.push(bytes);
        }
        assert_eq!(ask(&room, "/large").await.status(), 503);
        waiting.pop();
        assert_eq!(ask(&room, "/large").await.status(), 200);
    }

    #[tokio::test]
    async fn an_answer_larger_than_the_room_is_sent_when_it_is_alone() {
        let room = room();
        let other = ask(&room, "/large").await;
        assert_eq!(ask(&room, "/huge").await.status(), 503);
        drop(other);
        assert_eq!(ask(&room, "/huge").await.status(), 200);
    }
}
