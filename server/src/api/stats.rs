//! `GET /api/stats`.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::error::ApiError;
use crate::database::Database;

/// The totals of the file.
pub(crate) async fn stats(State(database): State<Database>) -> Result<impl IntoResponse, ApiError> {
    let stats = database.reader().await?.stats().await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(stats)))
}
