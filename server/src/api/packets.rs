//! `GET /api/packets` and `GET /api/packets/{hash}`.

mod shapes;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use meshcore_packet::PacketHash;

use self::shapes::{Packet, PacketWithObservations, Page};
use super::cursor::Cursor;
use super::error::ApiError;
use super::parameters::{Parameters, shortened};
use super::written::written;
use crate::database::Database;

/// How many packets a page may have, and how many observations a packet may show.
const MOST: u32 = 1000;
/// How many packets a page has when nobody says.
const PAGE: u32 = 50;

/// The packets, newest first.
pub(crate) async fn list(
    State(database): State<Database>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["limit", "cursor"])?;
    let limit = parameters.number("limit", 1..=MOST, PAGE)?;
    let cursor = parameters.text("cursor").map(Cursor::parse).transpose()?;

    let mut reader = database.reader().await?;
    let db_uuid = reader.db_uuid().to_owned();
    let before = match cursor {
        Some(cursor) => cursor.transmission_id(&db_uuid)?,
        None => i64::MAX,
    };
    // One more than the page has tells whether there is another page.
    let mut rows = reader.packets(before, limit + 1).await?;
    let total = reader.packet_count().await?;

    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows
        .last()
        .filter(|_| has_more)
        .map(|last| Cursor::behind(last.transmission_id, &db_uuid).to_text());
    let answer = written(reader, move || {
        let page = Page {
            packets: rows.iter().map(Packet::new).collect(),
            total,
            limit,
            next_cursor: next,
        };
        Json(page).into_response()
    });
    Ok(answer.await)
}

/// One packet with its observations.
pub(crate) async fn one(
    State(database): State<Database>,
    hash: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let Path(hash) = hash.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let hash: PacketHash = hash.parse().map_err(|_| {
        ApiError::BadRequest(format!(
            "a packet is named by its hash of 16 hex digits, not by {:?}",
            shortened(&hash)
        ))
    })?;
    let parameters = Parameters::parse(query.as_deref(), &["limit"])?;
    let limit = parameters.number("limit", 1..=MOST, MOST)?;

    // One more than is shown tells whether there are more.
    let mut reader = database.reader().await?;
    let mut rows = reader.packet(&hash.to_string(), limit + 1).await?;
    let is_cut = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let answer = written(reader, move || {
        let packet = PacketWithObservations::new(&rows, is_cut)
            .ok_or_else(|| ApiError::NotFound(format!("there is no packet {hash}")));
        packet.map(Json).into_response()
    });
    Ok(answer.await)
}
