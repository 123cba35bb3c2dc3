//! What a request is told that can't be answered: `{"error": …}` and a status.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use meshcore_store::Error as StoreError;

use crate::database::Unavailable;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// 503.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// 500; the client is not told what happened.
    #[error("the database can't be read; see the server's log")]
    Store(#[from] StoreError),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "The database can't be read"
                );
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (
            status,
            Json(serde_json::json!({ "error": self.to_string() })),
        )
            .into_response()
    }
}
