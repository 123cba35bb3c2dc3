//! A client of the server's live feed (`/ws`).

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a client of tests: what goes wrong fails the test, and says where"
)]

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long a client waits for what should come at once.
const SOON: Duration = Duration::from_mins(1);

/// A client of the live feed. What goes wrong is a panic: this is for tests.
#[derive(Debug)]
pub struct LiveClient {
    /// The connection.
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The token of the last frame.
    pub token: String,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a close frame.
    Closed(u16, String),
    /// Without one.
    Cut,
}

impl LiveClient {
    /// Connects to `/ws` with a query and takes the hello.
    pub async fn connect(address: &str, query: &str) -> Self {
        let mut client = Self::open(address, query, None).await.unwrap();
        let hello = client.frame().await;
        assert_eq!(hello["type"], "hello", "{hello}");
        client
    }

    /// Goes on after `token`.
    pub async fn resume(address: &str, token: &str) -> Self {
        Self::connect(address, &format!("?resume={token}")).await
    }

    /// Connects without taking anything; the status if it is refused.
    pub async fn open(
        address: &str,
        query: &str,
        origin: Option<&str>,
    ) -> Result<Self, (StatusCode, String)> {
        let mut request = format!("ws://{address}/ws{query}")
            .into_client_request()
            .unwrap();
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("origin", origin.parse().unwrap());
        }
        match tokio::time::timeout(SOON, connect_async(request))
            .await
            .unwrap()
        {
            Ok((socket, _)) => Ok(Self {
                socket,
                token: String::new(),
            }),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status(), String::from_utf8(body).unwrap()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A client that takes nothing, and whose system takes only a little for it.
    pub async fn that_reads_nothing(address: &str) -> WebSocketStream<TcpStream> {
        let request = format!("ws://{address}/ws").into_client_request().unwrap();
        let stream = with_small_buffer(address).await;
        let connecting = tokio_tungstenite::client_async(request, stream);
        tokio::time::timeout(SOON, connecting)
            .await
            .unwrap()
            .unwrap()
            .0
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Value {
        match self.frame_within(SOON).await {
            Some(Ok(frame)) => frame,
            other => panic!("no frame: {other:?}"),
        }
    }

    /// The next frame or the end; `None` when neither comes in time.
    pub async fn frame_within(&mut self, limit: Duration) -> Option<Result<Value, Ended>> {
        loop {
            let message = tokio::time::timeout(limit, self.socket.next()).await.ok()?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    frame["resume"]
                        .as_str()
                        .unwrap()
                        .clone_into(&mut self.token);
                    return Some(Ok(frame));
                }
                Some(Ok(Message::Close(frame))) => {
                    let frame = frame.unwrap();
                    // The answer to it is sent by reading on.
                    while let Some(Ok(_)) = self.socket.next().await {}
                    return Some(Err(Ended::Closed(
                        frame.code.into(),
                        frame.reason.to_string(),
                    )));
                }
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return Some(Err(Ended::Cut)),
            }
        }
    }

    /// The text of the next frame.
    pub async fn text(&mut self) -> String {
        loop {
            let message = tokio::time::timeout(SOON, self.socket.next())
                .await
                .unwrap();
            if let Message::Text(text) = message.unwrap().unwrap() {
                return text.to_string();
            }
        }
    }

    /// The observation ids in the next `count` packets, whatever frames they come in.
    pub async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let frame = self.frame().await;
            ids.extend(ids_of(&frame));
        }
        ids
    }

    /// Sends a text.
    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }
}

/// A TCP connection whose system takes only a little for it.
pub async fn with_small_buffer(address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let connecting = socket.connect(address.parse().unwrap());
    tokio::time::timeout(SOON, connecting)
        .await
        .unwrap()
        .unwrap()
}

/// The observation ids of a `packet` or `packets` frame.
#[track_caller]
pub fn ids_of(frame: &Value) -> Vec<i64> {
    let id = |data: &Value| data["observation_id"].as_i64().unwrap();
    match frame["type"].as_str() {
        Some("packet") => vec![id(&frame["data"])],
        Some("packets") => frame["data"].as_array().unwrap().iter().map(id).collect(),
        _ => panic!("no packets: {frame}"),
    }
}
