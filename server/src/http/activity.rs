//! What a connection is doing: hyper does not tell, and both the time limits and a gentle stop need to know.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing was received from it yet.
    Fresh = 0,
    /// A part of a request's head has come.
    Head = 1,
    /// A request is being served.
    Busy = 2,
    /// The last answer is done and nothing has come since.
    Idle = 3,
}

/// How long a connection may stay in each phase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    /// For the first byte, and for a request's head from its first byte on.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// For the client to take a part of an answer.
    pub(crate) write: Duration,
}

/// The activity of one connection, shared by its socket, its requests and its task.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    /// The phase in the lowest two bits; above them when it began, in milliseconds from `start`.
    phase: AtomicU64,
    /// Since when the socket takes nothing, in milliseconds from `start`; 0 while it does.
    blocked_since: AtomicU64,
}

/// A request that is being served; when this is dropped, its answer is done.
#[derive(Debug)]
pub(crate) struct Serving(Arc<Activity>);

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            phase: AtomicU64::new(Phase::Fresh as u64),
            blocked_since: AtomicU64::new(0),
        })
    }

    /// A request was taken.
    pub(crate) fn serve(self: &Arc<Self>) -> Serving {
        self.enter(Phase::Busy);
        Serving(Arc::clone(self))
    }

    /// What the connection is doing. One whose answer is done but not yet taken by its client is busy.
    pub(crate) fn phase(&self) -> Phase {
        if self.blocked_since.load(Ordering::Relaxed) == 0 {
            self.phase_and_since().0
        } else {
            Phase::Busy
        }
    }

    /// The label in metrics of the limit that has passed, if one has.
    pub(crate) fn overdue(&self, limits: &TimeLimits) -> Option<&'static str> {
        let now = self.now();
        let blocked = self.blocked_since.load(Ordering::Relaxed);
        if blocked != 0 && now.saturating_sub(blocked) >= milliseconds(limits.write) {
            return Some("write_stalled");
        }
        let (phase, since) = self.phase_and_since();
        let (limit, label) = match phase {
            Phase::Fresh => (limits.head, "no_request"),
            Phase::Head => (limits.head, "slow_head"),
            Phase::Idle if blocked == 0 => (limits.idle, "idle"),
            Phase::Idle | Phase::Busy => return None,
        };
        (now.saturating_sub(since) >= milliseconds(limit)).then_some(label)
    }

    fn phase_and_since(&self) -> (Phase, u64) {
        let packed = self.phase.load(Ordering::Relaxed);
        let phase = match packed & 3 {
            0 => Phase::Fresh,
            1 => Phase::Head,
            2 => Phase::Busy,
            _ => Phase::Idle,
        };
        (phase, packed >> 2)
    }

    fn enter(&self, phase: Phase) {
        self.phase
            .store(self.now() << 2 | phase as u64, Ordering::Relaxed);
    }

    fn received(&self) {
        if matches!(self.phase_and_since().0, Phase::Fresh | Phase::Idle) {
            self.enter(Phase::Head);
        }
    }

    fn wrote<T>(&self, outcome: &Poll<T>) {
        if outcome.is_ready() {
            self.blocked_since.store(0, Ordering::Relaxed);
        } else if self.blocked_since.load(Ordering::Relaxed) == 0 {
            self.blocked_since
                .store(self.now().max(1), Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        milliseconds(self.start.elapsed())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A socket that notes in an [`Activity`] what passes through it.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(crate) fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.activity.wrote(&outcome);
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.activity.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMITS: TimeLimits = TimeLimits {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(30),
    };

    #[tokio::test(start_paused = true)]
    async fn a_connection_goes_from_fresh_to_head_to_busy_to_idle() {
        let activity = Activity::new();
        let (mut client, socket) = duplex(64);
        let mut socket = Watched::new(socket, Arc::clone(&activity));
        assert_eq!(activity.phase(), Phase::Fresh);
        client.write_all(b"GET").await.unwrap();
        socket.read_exact(&mut [0; 3]).await.unwrap();
        assert_eq!(activity.phase(), Phase::Head);
        let serving = activity.serve();
        client.write_all(b"body").await.unwrap();
        socket.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(activity.phase(), Phase::Busy);
        drop(serving);
        assert_eq!(activity.phase(), Phase::Idle);
        client.write_all(b"G").await.unwrap();
        socket.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(activity.phase(), Phase::Head);
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_limit_and_a_request_has_none() {
        let activity = Activity::new();
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert_eq!(activity.overdue(&LIMITS), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(activity.overdue(&LIMITS), Some("no_request"));
        activity.received();
        assert_eq!(activity.overdue(&LIMITS), None, "the head has just begun");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(activity.overdue(&LIMITS), Some("slow_head"));
        let serving = activity.serve();
        tokio::time::advance(Duration::from_secs(1000)).await;
        assert_eq!(activity.overdue(&LIMITS), None);
        drop(serving);
        tokio::time::advance(Duration::from_secs(74)).await;
        assert_eq!(activity.overdue(&LIMITS), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(activity.overdue(&LIMITS), Some("idle"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_busy_until_it_is_overdue() {
        let activity = Activity::new();
        tokio::time::advance(Duration::from_secs(1)).await;
        let (mut client, socket) = duplex(4);
        let mut socket = Watched::new(socket, Arc::clone(&activity));
        drop(activity.serve());
        let writing = tokio::spawn(async move { socket.write_all(b"an answer").await });
        tokio::task::yield_now().await;
        assert_eq!(activity.phase(), Phase::Busy);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(activity.overdue(&LIMITS), Some("write_stalled"));
        client.read_exact(&mut [0; 9]).await.unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!(activity.phase(), Phase::Idle);
    }
}
