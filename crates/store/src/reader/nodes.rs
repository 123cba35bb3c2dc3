//! Nodes, those heard last first.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use super::Reader;
use super::columns::Columns;
use crate::error::Result;

/// A node, under the names of its columns. What the file does not know is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeRow {
    /// Its public key, 64 hex digits.
    pub public_key: String,
    /// Its name.
    pub name: Option<String>,
    /// `companion`, `repeater`, `room`, `sensor`, `none` or `type-N`.
    pub role: Option<String>,
    /// Degrees.
    pub lat: Option<f64>,
    /// Degrees.
    pub lon: Option<f64>,
    /// When it was heard last, RFC 3339.
    pub last_seen: Option<String>,
    /// When it was heard first, RFC 3339.
    pub first_seen: Option<String>,
    /// How many of its adverts were heard.
    pub advert_count: i64,
    /// Battery, millivolts.
    pub battery_mv: Option<i64>,
    /// Degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Whether it is outside the area that the mesh is in.
    pub foreign: bool,
    /// The region that its adverts were sent to last, `#name`.
    pub default_scope: Option<String>,
}

/// Which nodes are asked for; `None` asks for all.
#[derive(Debug, Clone, Default)]
pub struct NodeFilter {
    /// This role.
    pub role: Option<String>,
    /// This in the name, or this at the beginning of the public key; case counts for letters outside ASCII.
    pub search: Option<String>,
}

/// How many nodes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeCounts {
    /// Those that the filter lets through.
    pub filtered: i64,
    /// All of them, by role.
    pub roles: RoleCounts,
}

/// Nodes by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RoleCounts {
    pub repeaters: i64,
    pub rooms: i64,
    pub companions: i64,
    pub sensors: i64,
}

/// What [`NodeFilter`] means; its values are ?1 and ?2. No pattern, so that no letter has a meaning of its own.
macro_rules! filtered {
    () => {
        "((?1 IS NULL OR role = ?1) AND (?2 IS NULL OR instr(lower(name), ?2) > 0 \
         OR instr(lower(public_key), ?2) = 1))"
    };
}

/// The columns of [`RoleCounts`].
macro_rules! role_counts {
    () => {
        "count(*) FILTER (WHERE role = 'repeater'), count(*) FILTER (WHERE role = 'room'), \
         count(*) FILTER (WHERE role = 'companion'), count(*) FILTER (WHERE role = 'sensor')"
    };
}
pub(super) use role_counts;

pub(super) const PAGE: &str = concat!(
    "SELECT public_key, name, role, lat, lon, last_seen, first_seen, advert_count, battery_mv, \
     temperature_c, foreign_advert, default_scope FROM nodes WHERE ",
    filtered!(),
    " ORDER BY last_seen DESC, public_key LIMIT ?3 OFFSET ?4"
);

pub(super) const COUNTS: &str = concat!(
    "SELECT count(*) FILTER (WHERE ",
    filtered!(),
    "), ",
    role_counts!(),
    " FROM nodes"
);

impl Reader {
    /// Nodes that `filter` lets through, those heard last first: `limit` of them after the first `offset`.
    pub async fn nodes(
        &mut self,
        filter: &NodeFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<NodeRow>> {
        let query = sqlx::query(PAGE)
            .bind(filter.role.as_deref())
            .bind(filter.lowered_search())
            .bind(limit)
            .bind(offset);
        let rows = self.ask("read nodes", query).await?;
        Ok(rows.iter().map(NodeRow::from_row).collect())
    }

    /// How many nodes there are, in one pass.
    pub async fn node_counts(&mut self, filter: &NodeFilter) -> Result<NodeCounts> {
        let query = sqlx::query(COUNTS)
            .bind(filter.role.as_deref())
            .bind(filter.lowered_search());
        let row = self.ask_one("count nodes", query).await?;
        Ok(NodeCounts {
            filtered: Columns(&row).count(0),
            roles: RoleCounts::from_row(&row, 1),
        })
    }
}

impl NodeFilter {
    fn lowered_search(&self) -> Option<String> {
        self.search.as_deref().map(str::to_ascii_lowercase)
    }
}

impl RoleCounts {
    /// From the columns of [`role_counts`], the first of which is `column`.
    pub(super) fn from_row(row: &SqliteRow, column: usize) -> Self {
        let columns = Columns(row);
        Self {
            repeaters: columns.count(column),
            rooms: columns.count(column + 1),
            companions: columns.count(column + 2),
            sensors: columns.count(column + 3),
        }
    }
}

impl NodeRow {
    fn from_row(row: &SqliteRow) -> Self {
        let columns = Columns(row);
        Self {
            public_key: columns.text(0).unwrap_or_default(),
            name: columns.text(1),
            role: columns.text(2),
            lat: columns.real(3),
            lon: columns.real(4),
            last_seen: columns.text(5),
            first_seen: columns.text(6),
            advert_count: columns.count(7),
            battery_mv: columns.integer(8),
            temperature_c: columns.real(9),
            foreign: columns.boolean(10).unwrap_or_default(),
            default_scope: columns.text(11),
        }
    }
}
