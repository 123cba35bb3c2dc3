//! The wire to one WebSocket client: what is sent within a time, what is heard within limits.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures::SinkExt;
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::heartbeat::Heartbeat;

/// How long a client may take nothing before its connection is closed. Linux tells that there is room again only
/// when a third of what it holds has been taken, some 43 KB: who takes less than 4 KB a second may be closed.
const STALL: Duration = Duration::from_secs(10);
/// The same once a server that stops is in a hurry: 14 KB a second.
const STALL_IN_A_HURRY: Duration = Duration::from_secs(3);
/// For how long a client that had to be waited for counts as slow. What the systems on both ends hold for it
/// takes so long at 4 KB a second.
const SLOW: Duration = Duration::from_mins(1);
/// How many messages a client may send between two pings. There is nothing to say but `resume`.
const MESSAGES: u32 = 100;
/// How long the answer to the close frame for a client that broke the rules is waited for.
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

/// A message of a client that means something.
#[derive(Debug, Deserialize)]
struct Request {
    resume: String,
}

/// What came from a client.
pub(crate) type Received = Option<Result<Message, axum::Error>>;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It wants to go on after this token.
    Resume(String),
    /// Something that means nothing here.
    Nonsense,
    /// That it is there.
    Nothing,
}

/// The wire to one client.
pub(crate) struct Socket {
    stream: WebSocket,
    hurry: CancellationToken,
    heartbeat: Heartbeat,
    /// When it last took something that had waited for it: it reads, but slowly.
    took_late: Option<Instant>,
    messages_left: u32,
}

impl Socket {
    /// The wire `stream`; from `hurry` on a client that takes nothing is given up sooner.
    pub(crate) fn new(stream: WebSocket, hurry: CancellationToken) -> Self {
        Self {
            stream,
            hurry,
            heartbeat: Heartbeat::default(),
            took_late: None,
            messages_left: MESSAGES,
        }
    }

    /// Waits for something from the client, which [`Self::understand`] is then given.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub(crate) async fn receive(&mut self) -> Received {
        self.stream.recv().await
    }

    /// Says what a message means. Whoever says too much is told, and gone.
    pub(crate) async fn understand(&mut self, received: Received) -> Result<Said, End> {
        let message = match received {
            None | Some(Ok(Message::Close(_))) => return Err(End::Closed),
            Some(Err(error)) => {
                // Too large, or not a WebSocket's message at all: it is told if it still listens.
                let reason: String = error.to_string().chars().take(60).collect();
                self.close(close_code::PROTOCOL, reason.into()).await;
                return Err(End::Lost);
            }
            Some(Ok(message)) => message,
        };
        self.heartbeat.beat();
        self.messages_left = self.messages_left.saturating_sub(1);
        if self.messages_left == 0 {
            let reason = Utf8Bytes::from_static("too many messages");
            self.close(close_code::POLICY, reason).await;
            return Err(End::Flood);
        }
        Ok(match message {
            Message::Text(text) => match serde_json::from_str::<Request>(text.as_str()) {
                Ok(Request { resume }) => Said::Resume(resume),
                Err(_) => Said::Nonsense,
            },
            Message::Binary(_) => Said::Nonsense,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Said::Nothing,
        })
    }

    /// Asks whether the client is still there, unless it has not answered for too long.
    pub(crate) async fn ping(&mut self) -> Result<(), End> {
        if !self.heartbeat.ask() {
            return Err(End::Silent);
        }
        self.messages_left = MESSAGES;
        self.transmit([Message::Ping(Bytes::new())]).await
    }

    /// Sends frames, all of them before any is waited for.
    pub(crate) async fn send(
        &mut self,
        frames: impl IntoIterator<Item = Utf8Bytes>,
    ) -> Result<(), End> {
        self.transmit(frames.into_iter().map(Message::Text)).await
    }

    async fn transmit(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), End> {
        let start = Instant::now();
        let mut had_to_wait = false;
        let transmitting = async {
            for message in messages {
                self.stream.feed(message).await?;
            }
            self.stream.flush().await
        };
        let stalled = async {
            had_to_wait = true;
            let in_a_hurry = async {
                self.hurry.cancelled().await;
                sleep_until(start + STALL_IN_A_HURRY).await;
            };
            tokio::select! {
                () = sleep(STALL) => {}
                () = in_a_hurry => {}
            }
        };
        tokio::select! {
            // Mostly it is done at once, and no timer is ever set.
            biased;
            result = transmitting => result.map_err(|_| End::Lost)?,
            () = stalled => return Err(End::Stalled),
        }
        if had_to_wait {
            // There is room because it took something, and its pongs wait behind what it did not take yet.
            self.heartbeat.beat();
            self.took_late = Some(Instant::now());
        }
        Ok(())
    }

    /// Sends a close frame and waits a moment for the answer.
    pub(crate) async fn close(&mut self, code: u16, reason: Utf8Bytes) {
        let frame = CloseFrame { code, reason };
        let closing = async {
            if self.stream.send(Message::Close(Some(frame))).await.is_ok() {
                self.echo().await;
            }
        };
        // Whoever does not answer is left alone.
        timeout(ECHO, closing).await.ok();
    }

    /// Sends the close frame of a server that stops, and waits for the answer: until the server is in a hurry,
    /// and for a slow client for as long as it is not cut. If the connection were closed before, a pong on its
    /// way would throw away what the client has not taken yet, the goodbye too.
    pub(crate) async fn close_for_restart(&mut self) -> Result<(), End> {
        let frame = CloseFrame {
            code: close_code::AWAY,
            reason: Utf8Bytes::from_static("restart"),
        };
        self.transmit([Message::Close(Some(frame))]).await?;
        let is_slow = self.took_late.is_some_and(|at| at.elapsed() < SLOW);
        let hurry = self.hurry.clone();
        tokio::select! {
            () = self.echo() => {}
            () = hurry.cancelled(), if !is_slow => {}
        }
        Ok(())
    }

    /// Waits for the end of the connection after a close frame.
    async fn echo(&mut self) {
        while let Some(Ok(_)) = self.stream.recv().await {}
    }
}
