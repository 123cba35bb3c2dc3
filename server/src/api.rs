//! The REST interface under `/api`. Shapes are those that existing clients of v3 servers expect.
//!
//! Each answer is JSON, also when it is an error, and never kept by a cache. A handler checks the request
//! first, then takes a reader for one or two bounded queries, gives it back, and writes the answer.

mod cursor;
mod decode;
mod error;
mod nodes;
mod observers;
pub mod packet_frame;
mod packets;
mod parameters;
mod stats;
mod stored_json;
mod written;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{any, get, post};

use self::error::ApiError;
use self::parameters::shortened;
use crate::database::Database;

/// All routes under `/api`.
pub fn routes() -> Router<Database> {
    Router::new()
        .route("/api/stats", get(stats::stats))
        .route("/api/packets", get(packets::list))
        .route("/api/packets/{hash}", get(packets::one))
        .route("/api/nodes", get(nodes::list))
        .route("/api/observers", get(observers::list))
        .route(
            "/api/decode",
            post(decode::decode).layer(DefaultBodyLimit::max(decode::MAX_BODY)),
        )
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        // No fallback: the program has other paths than these.
        .route("/api", any(unknown))
        .route("/api/", any(unknown))
        .route("/api/{*path}", any(unknown))
        .layer(map_response(not_kept))
}

async fn unknown(uri: Uri) -> ApiError {
    ApiError::NotFound(format!("there is nothing at {}", shortened(uri.path())))
}

/// What is true now may not be true a moment later.
async fn not_kept(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}
