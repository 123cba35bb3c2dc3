//! The objects that the API server gives with its refusals.

use serde_json::{Value, json};

/// The `Status` of a refusal.
pub(super) fn status(code: u16) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("a fault of the tests: {}", reason(code)),
        "reason": reason(code),
        "code": code,
    })
}

/// The last event of a watch whose resource version is too old.
pub(super) fn expired_event() -> String {
    let event = json!({"type": "ERROR", "object": status(410)});
    format!("{event}\n")
}

fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}
