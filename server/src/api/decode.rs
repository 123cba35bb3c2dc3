//! `POST /api/decode`: what a frame says. Needs no database.

use std::sync::LazyLock;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use meshcore_packet::corescope::{self, DecodedJson};
use meshcore_packet::view::{FrameView, Inputs, view};
use meshcore_packet::{Analysis, ChannelKey, ChannelKeys, Frame, PayloadType};
use serde::{Deserialize, Serialize};

use super::error::ApiError;

/// How long the body may be, bytes: eight frames, with room for spaces between the digits.
pub(super) const MAX_BODY: usize = 4096;

/// The channel whose key everybody has.
static KEYS: LazyLock<ChannelKeys> = LazyLock::new(|| [ChannelKey::public()].into_iter().collect());

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    hex: String,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    /// In CoreScope's words.
    decoded: Decoded<'a>,
    /// All fields, as `meshcore decode --json` prints them.
    frame: FrameView<'a>,
}

#[derive(Debug, Serialize)]
struct Decoded<'a> {
    header: Header,
    path: PathShape,
    payload: DecodedJson<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    route_type: u8,
    route_type_name: &'static str,
    payload_type: u8,
    payload_type_name: &'static str,
    payload_version: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport_codes: Option<TransportCodes>,
}

/// Each as the upper-case hex of its two bytes, in the order on the air.
#[derive(Debug, Serialize)]
struct TransportCodes {
    code1: String,
    code2: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PathShape {
    /// Bytes of an entry.
    hash_size: usize,
    hash_count: usize,
    hops: Vec<String>,
    /// How many of its hops a TRACE has behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hops_completed: Option<usize>,
}

/// What the frame in the body says.
pub(crate) async fn decode(body: Result<Bytes, BytesRejection>) -> Result<Response, ApiError> {
    let body = body.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::BodyTooLong { limit: MAX_BODY }
        } else {
            ApiError::BadRequest(error.body_text())
        }
    })?;
    let request: Request = serde_json::from_slice(&body).map_err(|error| {
        ApiError::BadRequest(format!(
            "the body must be JSON like {{\"hex\": \"1500…\"}}: {error}"
        ))
    })?;
    let digits: String = request.hex.split_ascii_whitespace().collect();
    let bytes = hex::decode(digits)
        .map_err(|error| ApiError::BadRequest(format!("\"hex\" is not hexadecimal: {error}")))?;
    let frame = Frame::decode(&bytes).map_err(|error| ApiError::BadRequest(error.to_string()))?;
    let analysis = Analysis::new(&frame, &KEYS);
    let answer = Answer {
        decoded: Decoded {
            header: Header::new(&frame),
            path: PathShape::new(&frame, &analysis),
            payload: corescope::decoded(&frame, &analysis),
        },
        frame: view(&frame, &analysis, &Inputs::default()),
    };
    Ok(Json(answer).into_response())
}

impl Header {
    fn new(frame: &Frame<'_>) -> Self {
        let hex = |code: u16| hex::encode_upper(code.to_le_bytes());
        Self {
            route_type: frame.route.code(),
            route_type_name: frame.route.name(),
            payload_type: frame.payload_type.code(),
            payload_type_name: corescope::type_name(frame.payload_type),
            payload_version: frame.version(),
            transport_codes: frame.transport_codes.map(|[code1, code2]| TransportCodes {
                code1: hex(code1),
                code2: hex(code2),
            }),
        }
    }
}

impl PathShape {
    fn new(frame: &Frame<'_>, analysis: &Analysis<'_, '_>) -> Self {
        let is_trace = frame.payload_type == PayloadType::Trace;
        Self {
            hash_size: frame.path.hash_size(),
            hash_count: frame.path.count(),
            hops: corescope::hops(frame, &analysis.payload),
            hops_completed: is_trace.then(|| frame.path.count()),
        }
    }
}
