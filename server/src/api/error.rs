//! What a request is told that can't be answered: `{"error": …}` and a status.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use meshcore_store::{Class, Error as StoreError};

use crate::database::Unavailable;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// 400: what is wrong with the request, and what would be right.
    #[error("{0}")]
    BadRequest(String),
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 405; which methods there are says the header `Allow`.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// 413.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLong {
        /// How many bytes it may have.
        limit: usize,
    },
    /// 503.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// 503: the query was ended.
    #[error("the database takes too long to answer; ask for less")]
    TooSlow,
    /// 503 while the database is locked, else 500; the client is not told what happened.
    #[error("the database can't be read; see the server's log")]
    Store(#[source] StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.took_too_long() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "A query took too long and was ended"
            );
            Self::TooSlow
        } else {
            Self::Store(error)
        }
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable(_) | Self::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) if error.class() == Class::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "The database can't be read"
            );
        }
        let status = self.status();
        let body = Json(serde_json::json!({ "error": self.to_string() }));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            (status, [(header::RETRY_AFTER, "1")], body).into_response()
        } else {
            (status, body).into_response()
        }
    }
}
