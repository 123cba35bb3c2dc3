//! The wire to one WebSocket client: what is sent within a time, what is heard within limits.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures::SinkExt;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a client may take nothing before its connection is closed.
const STALL: Duration = Duration::from_secs(10);
/// The same once a server that stops is in a hurry.
const STALL_IN_A_HURRY: Duration = Duration::from_millis(500);
/// How long a client may say nothing, not even a pong.
const SILENCE: Duration = Duration::from_mins(1);
/// How many messages a client may send between two pings. There is nothing to say but `resume`.
const MESSAGES: u32 = 100;
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
    heard: Instant,
    messages_left: u32,
}

impl Socket {
    /// The wire `stream`; from `hurry` on a client that takes nothing is given up sooner.
    pub(crate) fn new(stream: WebSocket, hurry: CancellationToken) -> Self {
        Self {
            stream,
            hurry,
            heard: Instant::now(),
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
        self.heard = Instant::now();
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
        if self.heard.elapsed() > SILENCE {
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
        let transmitting = async {
            for message in messages {
                self.stream.feed(message).await?;
            }
            self.stream.flush().await
        };
        let stalled = async {
            tokio::select! {
                () = sleep(STALL) => {}
                () = self.hurry.cancelled() => sleep(STALL_IN_A_HURRY).await,
            }
        };
        tokio::select! {
            // Mostly it is done at once, and no timer is ever set.
            biased;
            result = transmitting => result.map_err(|_| End::Lost),
            () = stalled => Err(End::Stalled),
        }
    }

    /// Sends a close frame and waits a moment for the answer.
    pub(crate) async fn close(&mut self, code: u16, reason: Utf8Bytes) {
        let frame = CloseFrame { code, reason };
        let closing = async {
            if self.stream.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.stream.recv().await {}
            }
        };
        // Whoever does not answer is left alone.
        timeout(ECHO, closing).await.ok();
    }
}
