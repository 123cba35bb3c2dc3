//! `GET /api/stats`.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use meshcore_store::Stats;
use serde::Serialize;

use super::error::ApiError;
use super::parameters::Parameters;
use crate::database::Database;

#[derive(Debug, Serialize)]
struct Totals {
    #[serde(flatten)]
    stats: Stats,
    /// What the server is made of, for clients that tell several servers apart.
    engine: &'static str,
    version: &'static str,
}

/// The totals of the file.
pub(crate) async fn stats(
    State(database): State<Database>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Parameters::parse(query.as_deref(), &[])?;
    let stats = database.reader().await?.stats().await?;
    let totals = Totals {
        stats,
        engine: "rust",
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(Json(totals).into_response())
}
