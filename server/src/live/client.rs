//! One WebSocket client, from its hello to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures::SinkExt;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::frames::{Gap, GapReason, bye, gap, hello};
use super::hub::Next;
use super::resume::{Page, Start};
use super::ring::Cursor;
use super::token::Position;
use super::window::Window;
use super::{Live, Stopping};
use crate::metrics::{ModeLabel, ReasonLabel};

/// How long a client may take nothing before its connection is closed.
const STALL: Duration = Duration::from_secs(10);
/// A ping comes after such a pause, a fifth of it sooner or later.
const PING: Duration = Duration::from_secs(25);
/// How long a client may say nothing, not even a pong.
const SILENCE: Duration = Duration::from_mins(1);
/// How many messages a client may send between two pings. There is nothing to say but `resume`.
const MESSAGES: u32 = 100;
/// How often one connection may go back to an earlier position.
const RESUMES: u32 = 5;
/// How long the answer to a close frame is waited for.
const ECHO: Duration = Duration::from_secs(1);

/// Why a client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It said so.
    Closed,
    /// Its connection broke, or it did not keep to the protocol.
    Lost,
    /// It did not answer pings.
    Silent,
    /// It took nothing.
    Stalled,
    /// It sent too much.
    Flood,
    /// The server stops, and it was told.
    Bye,
    /// The server stops, and there was no time to tell it.
    Cut,
}

impl End {
    /// The label in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Flood => "flood",
            Self::Bye => "bye",
            Self::Cut => "cut",
        }
    }
}

/// What a client's task waits for.
enum Event {
    /// The server stops, and its clients are told over this time.
    Stopping(Duration),
    /// The client said something, or is gone.
    Heard(Option<Result<Message, axum::Error>>),
    /// There are packets up to this number.
    Released(u64),
    /// The next page of what it missed, if there is one.
    Page(Option<Page>),
    /// It is time to ask whether it is still there.
    Ping,
}

/// A message of a client that means something.
#[derive(Debug, Deserialize)]
struct Request {
    resume: String,
}

/// One WebSocket client.
pub(crate) struct Client {
    socket: WebSocket,
    live: Arc<Live>,
    /// Counts the clients of this process; in logs.
    number: u64,
    window: Option<Window>,
    released: watch::Receiver<u64>,
    cursor: Cursor,
    /// Where in the database it is while it does not read from the ring yet.
    behind: Option<Position>,
    /// Packets sent.
    total: u64,
    resumes_left: u32,
    messages_left: u32,
    heard: Instant,
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
            socket,
            live,
            number,
            window,
            released,
            cursor,
            behind: None,
            total: 0,
            resumes_left: RESUMES,
            messages_left: MESSAGES,
            heard: Instant::now(),
        }
    }

    /// Serves it until its end. `resume` is the token that it came with.
    pub(crate) async fn run(mut self, resume: Option<String>) -> End {
        let mode = ModeLabel {
            mode: if self.window.is_some() {
                "batched"
            } else {
                "single"
            },
        };
        let live = Arc::clone(&self.live);
        live.metrics.clients.get_or_create(&mode).inc();
        let end = tokio::select! {
            end = self.serve(resume, &mode) => end.unwrap_or_else(|end| end),
            () = live.cut.cancelled() => End::Cut,
        };
        live.metrics.clients.get_or_create(&mode).dec();
        let reason = ReasonLabel {
            reason: end.label(),
        };
        live.metrics.clients_gone.get_or_create(&reason).inc();
        if live.is_stopping() {
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

    async fn serve(&mut self, resume: Option<String>, mode: &ModeLabel) -> Result<End, End> {
        match resume {
            Some(token) => self.resume(&token).await?,
            None => self.send(hello(&self.cursor.position)).await?,
        }
        let live = Arc::clone(&self.live);
        let mut stopping = live.stopping();
        let mut ping = std::pin::pin!(sleep(self.until_ping()));
        loop {
            match self.event(&mut stopping, ping.as_mut()).await {
                Event::Stopping(spread) => return self.farewell(spread, mode).await,
                Event::Heard(message) => {
                    if let Some(token) = self.hear(message).await? {
                        self.resume(&token).await?;
                    }
                }
                Event::Released(until) => {
                    self.send_next(until, mode).await?;
                }
                Event::Page(page) => self.send_page(page, mode).await?,
                Event::Ping => {
                    if self.heard.elapsed() > SILENCE {
                        return Err(End::Silent);
                    }
                    self.messages_left = MESSAGES;
                    self.transmit(vec![Message::Ping(Bytes::new())]).await?;
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
                page = self.live.archive.page(position, self.window.is_some()) => Event::Page(page),
            };
        }
        let next = self.cursor.next;
        tokio::select! {
            biased;
            spread = stopping.begun() => Event::Stopping(spread),
            message = self.socket.recv() => Event::Heard(message),
            // The hub lives as long as the process.
            Ok(until) = self.released.wait_for(|until| *until > next) => Event::Released(*until),
            () = ping => Event::Ping,
        }
    }

    /// Goes to the position of `token`, or to the end with a word about the gap. Hello says where that is.
    async fn resume(&mut self, token: &str) -> Result<(), End> {
        let end = self.live.hub.end().ok_or(End::Cut)?;
        let (label, start_gap) = match self.live.archive.start(token, &end) {
            Start::Ring(cursor) => {
                self.cursor = cursor;
                ("ring", None)
            }
            Start::Database(position) => {
                self.behind = Some(position);
                ("database", None)
            }
            Start::Gap(gap, cursor) => {
                self.cursor = cursor;
                (gap.reason.label(), Some(gap))
            }
        };
        let reason = ReasonLabel { reason: label };
        self.live.metrics.resumes.get_or_create(&reason).inc();
        let position = self.position().clone();
        self.send(hello(&position)).await?;
        match start_gap {
            Some(gap) => self.tell(gap).await,
            None => Ok(()),
        }
    }

    async fn send_page(&mut self, page: Option<Page>, mode: &ModeLabel) -> Result<(), End> {
        let Some(position) = self.behind.take() else {
            return Ok(());
        };
        let Some(page) = page else {
            return self.leave_the_database(position).await;
        };
        // Where it is after each frame, in case that the connection ends in between.
        self.behind = Some(position);
        for (frame, packets, position) in page.frames {
            self.send(frame).await?;
            self.total += packets;
            self.live.metrics.frames_sent.get_or_create(mode).inc();
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
    async fn send_next(&mut self, until: u64, mode: &ModeLabel) -> Result<bool, End> {
        let batched = self.window.is_some();
        let mut cursor = self.cursor.clone();
        match self.live.hub.next(&mut cursor, until, batched) {
            Next::Nothing => Ok(false),
            Next::Frames(frames, packets) => {
                let count = frames.len() as u64;
                self.transmit(frames.into_iter().map(Message::Text).collect())
                    .await?;
                self.cursor = cursor;
                self.total += packets;
                self.live
                    .metrics
                    .frames_sent
                    .get_or_create(mode)
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
        self.send(notice).await
    }

    /// Takes a message; gives the token if the client wants to resume.
    async fn hear(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<Option<String>, End> {
        let text = match message {
            None | Some(Ok(Message::Close(_))) => return Err(End::Closed),
            Some(Err(error)) => {
                // Too large, or not a WebSocket's message at all: it is told if it still listens.
                let reason: String = error.to_string().chars().take(60).collect();
                self.close(close_code::PROTOCOL, reason.into()).await;
                return Err(End::Lost);
            }
            Some(Ok(message)) => {
                self.heard = Instant::now();
                self.messages_left = self.messages_left.saturating_sub(1);
                if self.messages_left == 0 {
                    let reason = Utf8Bytes::from_static("too many messages");
                    self.close(close_code::POLICY, reason).await;
                    return Err(End::Flood);
                }
                match message {
                    Message::Text(text) => text,
                    Message::Binary(_) => Utf8Bytes::default(),
                    Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(None),
                }
            }
        };
        match serde_json::from_str::<Request>(text.as_str()) {
            Ok(request) if self.resumes_left > 0 => {
                self.resumes_left -= 1;
                Ok(Some(request.resume))
            }
            _ => {
                self.live.metrics.messages_ignored.inc();
                Ok(None)
            }
        }
    }

    /// Sends what is left, says goodbye and closes. `spread` is the time over which all clients are told, so
    /// that they don't come back all at once.
    async fn farewell(&mut self, spread: Duration, mode: &ModeLabel) -> Result<End, End> {
        // What is behind in the database stays for the next time.
        while self.behind.is_none() && self.send_next(u64::MAX, mode).await? {}
        sleep(spread.mul_f64(self.fraction())).await;
        let position = self.position().clone();
        self.send(bye(self.total, &position)).await?;
        tracing::info!(
            event = "ws_bye_sent",
            client = self.number,
            resume = %position,
            total = self.total,
            "A WebSocket client was told that the server stops"
        );
        self.close(close_code::AWAY, Utf8Bytes::from_static("restart"))
            .await;
        Ok(End::Bye)
    }

    /// Sends a close frame and waits a moment for the answer.
    async fn close(&mut self, code: u16, reason: Utf8Bytes) {
        let frame = CloseFrame { code, reason };
        let closing = async {
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        // Whoever does not answer is left alone.
        timeout(ECHO, closing).await.ok();
    }

    async fn send(&mut self, frame: Utf8Bytes) -> Result<(), End> {
        self.transmit(vec![Message::Text(frame)]).await
    }

    async fn transmit(&mut self, messages: Vec<Message>) -> Result<(), End> {
        let transmitting = async {
            for message in messages {
                self.socket.feed(message).await?;
            }
            self.socket.flush().await
        };
        match timeout(STALL, transmitting).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Lost),
            Err(_) => Err(End::Stalled),
        }
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
