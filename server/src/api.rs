//! The REST interface under `/api`. Shapes are those that existing clients of v3 servers expect.

mod error;
pub mod packet_frame;
mod stats;

use axum::Router;
use axum::routing::get;

use crate::database::Database;

/// All routes under `/api`.
pub fn routes() -> Router<Database> {
    Router::new().route("/api/stats", get(stats::stats))
}
