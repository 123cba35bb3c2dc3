//! One WebSocket client, from its hello to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use super::frames::{Gap, GapReason, bye, gap, hello};
use super::hub::Next;
use super::resume::{Page, Start};
use super::ring::Cursor;
use super::socket::{End, Received, Said, Socket};
use super::token::Position;
use super::window::Window;
use super::{Live, Stopping};
use crate::metrics::{ModeLabel, ReasonLabel};

/// A ping comes after such a pause, a fifth of it sooner or later.
const PING: Duration = Duration::from_secs(25);
/// How often one connection may go back to an earlier position.
const RESUMES: u32 = 5;
/// What a client's task waits for.
enum Event {
    /// The server stops, and its clients are told over this time.
    Stopping(Duration),
    /// The client said something, or is gone.
    Heard(Received),
    /// There are packets up to this number.
    Released(u64),
    /// The next page of what it missed, if there is one.
    Page(Option<Page>),
    /// It is time to ask whether it is still there.
    Ping,
}

/// One WebSocket client.
pub(crate) struct Client {
    socket: Socket,
    live: Arc<Live>,
    /// Counts the clients of this process; in logs.
    number: u64,
    window: Option<Window>,
    mode: ModeLabel,
    released: watch::Receiver<u64>,
    cursor: Cursor,
    /// Where in the database it is while it does not read from the ring yet.
    behind: Option<Position>,
    /// Packets sent.
    total: u64,
    resumes_left: u32,
}

impl Client {
    /// A client that begins at `cursor`, the end of what there is.
    pub(crate) fn new(
        socket: WebSocket,
        live: Arc<Live>,
        number: u64,
        window: Option<Window>,
        cursor: Cursor,
    ) -> Self {
        let released = live.hub.released(window);
        Self {
            socket: Socket::new(socket, live.hurry.clone()),
            live,
            number,
            window,
            mode: ModeLabel {
                mode: window.map_or("single", |_| "batched"),
            },
            released,
            cursor,
            behind: None,
            total: 0,
            resumes_left: RESUMES,
        }
    }

    /// Serves it until its end. `resume` is the token that it came with.
    pub(crate) async fn run(mut self, resume: Option<String>) -> End {
        let live = Arc::clone(&self.live);
        live.metrics.clients.get_or_create(&self.mode).inc();
        let end = tokio::select! {
            end = self.serve(resume) => end.unwrap_or_else(|end| end),
            () = live.cut.cancelled() => End::Cut,
        };
        live.metrics.clients.get_or_create(&self.mode).dec();
        let reason = ReasonLabel {
            reason: end.label(),
        };
        live.metrics.clients_gone.get_or_create(&reason).inc();
        if live.is_stopping() {
            if matches!(end, End::Stalled | End::Cut) {
                live.untold.fetch_add(1, Ordering::Relaxed);
            }
            tracing::info!(
                event = "ws_session_saved",
                client = self.number,
                resume = %self.position(),
                total = self.total,
                end = end.label(),
                "A WebSocket client can resume here"
            );
        } else {
            tracing::debug!(
                client = self.number,
                total = self.total,
                end = end.label(),
                "A WebSocket client has gone"
            );
        }
        end
    }

    async fn serve(&mut self, resume: Option<String>) -> Result<End, End> {
        match resume {
            Some(token) => self.resume(&token).await?,
            None => self.socket.send([hello(&self.cursor.position)]).await?,
        }
        let live = Arc::clone(&self.live);
        let mut stopping = live.stopping();
        let mut ping = std::pin::pin!(sleep(self.until_ping()));
        loop {
            match self.event(&mut stopping, ping.as_mut()).await {
                Event::Stopping(spread) => return self.farewell(spread).await,
                Event::Heard(message) => {
                    if let Some(token) = self.hear(message).await? {
                        self.resume(&token).await?;
                    }
                }
                Event::Released(until) => {
                    self.send_next(until).await?;
                }
                Event::Page(page) => self.send_page(page).await?,
                Event::Ping => {
                    self.socket.ping().await?;
                    ping.as_mut().reset(Instant::now() + self.until_ping());
                }
            }
        }
    }

    /// What happens next.
    async fn event(&mut self, stopping: &mut Stopping, ping: Pin<&mut Sleep>) -> Event {
        if let Some(position) = &self.behind {
            return tokio::select! {
                biased;
                spread = stopping.begun() => Event::Stopping(spread),
                message = self.socket.receive() => Event::Heard(message),
                () = ping => Event::Ping,
                page = self.live.archive.page(position, self.window.is_some()) => Event::Page(page),
            };
        }
        let next = self.cursor.next;
        tokio::select! {
            biased;
            spread = stopping.begun() => Event::Stopping(spread),
            // A pong that is there counts before the next ping is judged.
            message = self.socket.receive() => Event::Heard(message),
            // Before the packets: who lags behind would never be asked.
            () = ping => Event::Ping,
            // The hub lives as long as the process.
            Ok(until) = self.released.wait_for(|until| *until > next) => Event::Released(*until),
        }
    }

    /// Goes to the position of `token`, or to the end with a word about the gap. Hello says where that is.
    async fn resume(&mut self, token: &str) -> Result<(), End> {
        let end = self.live.hub.end().ok_or(End::Cut)?;
        let (label, start_gap) = match self.live.archive.start(token, &end) {
            Start::Ring(cursor) => {
                self.behind = None;
                self.cursor = cursor;
                ("ring", None)
            }
            Start::Database(position) => {
                self.behind = Some(position);
                ("database", None)
            }
            Start::Gap(gap, cursor) => {
                self.behind = None;
                self.cursor = cursor;
                (gap.reason.label(), Some(gap))
            }
        };
        let reason = ReasonLabel { reason: label };
        self.live.metrics.resumes.get_or_create(&reason).inc();
        let position = self.position().clone();
        self.socket.send([hello(&position)]).await?;
        match start_gap {
            Some(gap) => self.tell(gap).await,
            None => Ok(()),
        }
    }

    async fn send_page(&mut self, page: Option<Page>) -> Result<(), End> {
        let Some(position) = self.behind.take() else {
            return Ok(());
        };
        let Some(page) = page else {
            return self.leave_the_database(position).await;
        };
        // Where it is after each frame, in case that the connection ends in between.
        self.behind = Some(position);
        for (frame, packets, position) in page.frames {
            if self.live.is_stopping() {
                break;
            }
            self.socket.send([frame]).await?;
            self.total += packets;
            self.live
                .metrics
                .frames_sent
                .get_or_create(&self.mode)
                .inc();
            self.behind = Some(position);
        }
        Ok(())
    }

    /// Goes on in the ring; what is not there can't be had.
    async fn leave_the_database(&mut self, position: Position) -> Result<(), End> {
        if let Some(cursor) = self.live.hub.behind(position.id)
            && cursor.position.db_uuid == position.db_uuid
        {
            self.cursor = cursor;
            return Ok(());
        }
        let end = self.live.hub.end().ok_or(End::Cut)?;
        let is_same = end.position.db_uuid == position.db_uuid;
        let gap = Gap {
            reason: if is_same {
                GapReason::Unavailable
            } else {
                GapReason::OtherDatabase
            },
            ids: is_same.then_some((position.id + 1, end.position.id)),
            missed: None,
        };
        self.cursor = end;
        self.tell(gap).await
    }

    /// Sends what is released up to `until`, and says whether there was anything.
    async fn send_next(&mut self, until: u64) -> Result<bool, End> {
        let batched = self.window.is_some();
        let mut cursor = self.cursor.clone();
        match self.live.hub.next(&mut cursor, until, batched) {
            Next::Nothing => {
                // It may have been told of packets that it has already.
                self.cursor = cursor;
                Ok(false)
            }
            Next::Frames(frames, packets) => {
                let count = frames.len() as u64;
                self.socket.send(frames).await?;
                self.cursor = cursor;
                self.total += packets;
                self.live
                    .metrics
                    .frames_sent
                    .get_or_create(&self.mode)
                    .inc_by(count);
                Ok(true)
            }
            Next::Gap(gap) => {
                self.cursor = cursor;
                self.tell(gap).await?;
                Ok(true)
            }
        }
    }

    /// Says that packets are missing, and that it goes on at the cursor.
    async fn tell(&mut self, missing: Gap) -> Result<(), End> {
        let reason = ReasonLabel {
            reason: missing.reason.label(),
        };
        self.live.metrics.gaps.get_or_create(&reason).inc();
        let notice = gap(&missing, &self.cursor.position);
        self.socket.send([notice]).await
    }

    /// Takes a message; gives the token if the client wants to resume.
    async fn hear(&mut self, received: Received) -> Result<Option<String>, End> {
        match self.socket.understand(received).await? {
            Said::Resume(token) if self.resumes_left > 0 => {
                self.resumes_left -= 1;
                return Ok(Some(token));
            }
            Said::Resume(_) | Said::Nonsense => {
                self.live.metrics.messages_ignored.inc();
            }
            Said::Nothing => {}
        }
        Ok(None)
    }

    /// Sends what is left, says goodbye and closes. `spread` is the time over which all clients are told, so
    /// that they don't come back all at once.
    async fn farewell(&mut self, spread: Duration) -> Result<End, End> {
        let hurry = self.live.hurry.clone();
        // What is behind in the database stays for the next time, and what a slow client does not take in time.
        while self.behind.is_none() && !hurry.is_cancelled() && self.send_next(u64::MAX).await? {}
        tokio::select! {
            () = sleep(spread.mul_f64(self.fraction())) => {}
            () = hurry.cancelled() => {}
        }
        let position = self.position().clone();
        self.socket.send([bye(self.total, &position)]).await?;
        tracing::info!(
            event = "ws_bye_sent",
            client = self.number,
            resume = %position,
            total = self.total,
            "A WebSocket client was told that the server stops"
        );
        self.socket.close_for_restart().await?;
        Ok(End::Bye)
    }

    /// Where it is: behind the last packet that was sent.
    fn position(&self) -> &Position {
        self.behind.as_ref().unwrap_or(&self.cursor.position)
    }

    fn until_ping(&self) -> Duration {
        PING.mul_f64(0.8 + 0.4 * self.fraction())
    }

    /// A number from 0 to 1 of its own. Multiples of the golden ratio spread evenly, however many there are.
    fn fraction(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "so many clients never come")]
        let multiple = self.number as f64 * 0.618_033_988_749_895;
        multiple.fract()
    }
}
