//! `GET /api/observers`.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use meshcore_store::ObserverRow;
use serde::Serialize;

use super::error::ApiError;
use super::parameters::Parameters;
use super::written::written;
use crate::database::Database;

/// How many observers an answer has at most: twice what the ingestor takes unless it is told otherwise.
const MOST: u32 = 10_000;

#[derive(Debug, Serialize)]
struct Observers {
    observers: Vec<ObserverRow>,
    /// The time of the server, RFC 3339: what the other times are to be compared with.
    server_time: String,
}

/// The observers that are not inactive, those that gave a sign of life last first.
pub(crate) async fn list(
    State(database): State<Database>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Parameters::parse(query.as_deref(), &[])?;
    let mut reader = database.reader().await?;
    let observers = reader.observers(MOST).await?;
    let server_time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let answer = Observers {
        observers,
        server_time,
    };
    Ok(written(reader, move || Json(answer).into_response()).await)
}
