//! Streams of events that end before their time.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http_body::Frame;
use http_body_util::{BodyDataStream, StreamBody};
use kube::client::Body;

use super::status::expired_event;

/// What a body may fail with.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A body whose parts are made one by one.
pub(super) type Events = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Failure>>>;

/// How a stream ends before its time.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// The connection breaks.
    Broken,
    /// The last event says why, and the stream ends in order.
    Expired,
    /// The stream ends in order, and nobody says why.
    Orderly,
}

/// The first `count` events of a watch and an end that the API server didn't choose.
pub(super) fn cut(body: Body, count: usize, end: End) -> Events {
    let events = stream::unfold((BodyDataStream::new(body), count), next_part);
    let last = stream::once(async move {
        // What came before goes out while this waits; with an error hyper throws away what it has not sent.
        tokio::task::yield_now().await;
        match end {
            End::Broken => Err(Failure::from("a fault of the tests: the watch is cut")),
            End::Expired => Ok(Bytes::from(expired_event())),
            End::Orderly => Ok(Bytes::new()),
        }
    });
    StreamBody::new(events.chain(last).map(|part| part.map(Frame::data)).boxed())
}

type Source = (BodyDataStream<Body>, usize);

/// What comes next of the events that may still come.
async fn next_part((mut body, mut left): Source) -> Option<(Result<Bytes, Failure>, Source)> {
    if left == 0 {
        return None;
    }
    let part = body.next().await?;
    let part = part
        .map_err(Failure::from)
        .map(|bytes| take_events(bytes, &mut left));
    Some((part, (body, left)))
}

/// The part of `bytes` in which no more than `left` events end; each ends with a newline.
fn take_events(bytes: Bytes, left: &mut usize) -> Bytes {
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            *left -= 1;
            if *left == 0 {
                return bytes.slice(..=at);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_across_parts() {
        let mut left = 3;
        assert_eq!(take_events(Bytes::from("a\nb"), &mut left), "a\nb");
        assert_eq!(take_events(Bytes::from("b\n"), &mut left), "b\n");
        assert_eq!(take_events(Bytes::from("c\nd\n"), &mut left), "c\n");
        assert_eq!(left, 0);
    }
}
