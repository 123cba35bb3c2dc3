//! `GET /ws`: who may open a WebSocket, and how it is set up.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde::Deserialize;

use super::Live;
use super::client::Client;
use super::window::Window;
use crate::http::{Peer, shutting_down, unavailable};

/// What a client may say at once: its messages are tokens.
const MAX_MESSAGE: usize = 4 << 10;
/// Room for pongs; the library's own 128 KiB would be the most of a client's memory.
const READ_BUFFER: usize = 1 << 10;
/// From so many bytes on what is to be sent is given to the socket without waiting for the rest.
const WRITE_BUFFER: usize = 16 << 10;

/// What a client may ask for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    resume: Option<String>,
    batch: Option<String>,
}

/// The route of the WebSocket.
pub(crate) fn routes(live: Arc<Live>) -> Router {
    Router::new().route("/ws", any(open)).with_state(live)
}

async fn open(
    State(live): State<Arc<Live>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    options: Result<Query<Options>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    if let Err(wrong) = live.allowed_origins.check(&headers) {
        return refuse(StatusCode::FORBIDDEN, &wrong.to_string());
    }
    let Options { resume, batch } = match options {
        Ok(Query(options)) => options,
        Err(rejection) => return refuse(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let window = match batch.as_deref().map(Window::parse).transpose() {
        Ok(window) => window,
        Err(wrong) => return refuse(StatusCode::BAD_REQUEST, &wrong.to_string()),
    };
    // Taken before the question, so that whoever stops the server waits for this client.
    let token = live.clients.token();
    if live.is_stopping() {
        return shutting_down();
    }
    let Some(cursor) = live.hub.end() else {
        return unavailable("the database is not there yet; see /health/ready", 2);
    };
    let number = live.number();
    tracing::debug!(client = number, address = %peer.address, ?window, resumes = resume.is_some(), "A WebSocket client has come");
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .on_upgrade(move |socket| async move {
            Client::new(socket, live, number, window, cursor)
                .run(resume)
                .await;
            drop((token, peer));
        })
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error }))).into_response()
}
