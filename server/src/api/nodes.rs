//! `GET /api/nodes`.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use meshcore_store::{NodeFilter, NodeRow, RoleCounts};
use serde::Serialize;

use super::error::ApiError;
use super::parameters::{Parameters, refused, shortened};
use super::written::written;
use crate::database::Database;

/// How many nodes a page may have, and how many it has when nobody says.
const MOST: u32 = 2000;
const PAGE: u32 = 50;
/// How far a page may be from the beginning.
const FARTHEST: u32 = 1_000_000;
/// How long the text to search for may be, bytes: a name has 32, a public key 64 digits.
const LONGEST_SEARCH: usize = 128;

/// A page of the list.
#[derive(Debug, Serialize)]
struct Page<'a> {
    nodes: Vec<Node<'a>>,
    /// Nodes that the filters let through.
    total: i64,
    /// All nodes of the list by role, whatever the filters.
    counts: RoleCounts,
}

#[derive(Debug, Serialize)]
struct Node<'a> {
    #[serde(flatten)]
    row: &'a NodeRow,
    /// The same as `last_seen`.
    last_heard: Option<&'a str>,
}

/// The nodes, those heard last first.
pub(crate) async fn list(
    State(database): State<Database>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let known = ["limit", "offset", "role", "search"];
    let parameters = Parameters::parse(query.as_deref(), &known)?;
    let limit = parameters.number("limit", 1..=MOST, PAGE)?;
    let offset = parameters.number("offset", 0..=FARTHEST, 0)?;
    let filter = NodeFilter {
        role: parameters.text("role").map(role).transpose()?,
        search: parameters.text("search").map(search).transpose()?,
    };

    let mut reader = database.reader().await?;
    let rows = reader.nodes(&filter, limit, offset).await?;
    let counts = reader.node_counts(&filter).await?;

    let answer = written(reader, move || {
        let nodes = rows
            .iter()
            .map(|row| Node {
                row,
                last_heard: row.last_seen.as_deref(),
            })
            .collect();
        let page = Page {
            nodes,
            total: counts.filtered,
            counts: counts.roles,
        };
        Json(page).into_response()
    });
    Ok(answer.await)
}

/// A role that a node can have: the words of v3, and `type-0` to `type-15` for types without one.
fn role(text: &str) -> Result<String, ApiError> {
    let is_role = matches!(text, "companion" | "repeater" | "room" | "sensor" | "none");
    let is_type = (0..16).any(|n| text == format!("type-{n}"));
    if is_role || is_type {
        return Ok(text.to_owned());
    }
    let problem = format!(
        "it must be companion, repeater, room, sensor, none or type-N, not {:?}",
        shortened(text)
    );
    Err(refused("role", &problem))
}

fn search(text: &str) -> Result<String, ApiError> {
    if text.len() > LONGEST_SEARCH {
        let problem = format!("it may have {LONGEST_SEARCH} bytes, not {}", text.len());
        return Err(refused("search", &problem));
    }
    Ok(text.to_owned())
}
