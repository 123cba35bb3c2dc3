//! What is in the file, read in short read transactions (the check of its pages is one long one).

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::surroundings::{Surroundings, size};
use super::{Finding, surroundings};
use crate::adopt::{is_core_scope, reference::Shape, unusable};
use crate::error::{Result, SqliteContext};
use crate::schema::{APPLICATION_ID, SCHEMA_VERSION};

/// Bytes of a WAL's header, and of each frame's.
const WAL_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// What `PRAGMA auto_vacuum` says of files whose free pages can be given back.
const INCREMENTAL: i64 = 2;
/// How many lines of what is damaged are shown.
const DAMAGE_LINES: u32 = 20;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// `quick_check`: pages and structure.
    Quick,
    /// `integrity_check` and a recount: indexes against rows, totals against what is there.
    Full,
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nothing in it yet.
    Empty,
    /// Ours.
    Ours,
    /// CoreScope's.
    CoreScope,
    /// CoreScope's, and on the way to become ours.
    BeingAdopted,
    /// Somebody else's.
    Foreign,
}

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseFacts {
    /// Whose it is.
    pub kind: Kind,
    /// `PRAGMA application_id`.
    pub application_id: i64,
    /// `PRAGMA user_version`: the schema version of a file of ours.
    pub schema_version: i64,
    /// The newest version that this program knows.
    pub known_schema_version: i64,
    /// `PRAGMA journal_mode`.
    pub journal_mode: String,
    /// The SQLite that is linked into this program.
    pub sqlite_version: String,
    /// Bytes of a page, pages, and pages that are free.
    pub page_bytes: u64,
    /// See above.
    pub pages: u64,
    /// See above.
    pub free_pages: u64,
    /// Frames in the WAL, at most: old ones that will be overwritten count too.
    pub wal_frames: u64,
    /// `none`, `full` or `incremental`.
    pub auto_vacuum: &'static str,
    /// What the check of the pages says; empty for a good file.
    pub damage: Vec<String>,
    /// Packets by the file's own total; `None` where it keeps none.
    pub transmissions: Option<i64>,
    /// Observations, likewise.
    pub observations: Option<i64>,
    /// When the last writer opened it, with which version, and how the one before had ended.
    pub last_session: Option<String>,
    /// Adoptions and imports that were not finished.
    pub unfinished: Vec<String>,
    /// Totals against what is there; only with [`Depth::Full`].
    pub recount: Option<Recount>,
    /// Why it can't be adopted, if it is CoreScope's.
    pub unusable: Option<String>,
}

/// Totals that the file keeps, against what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recount {
    /// Packets that are there.
    pub transmissions: i64,
    /// Observations that are there.
    pub observations: i64,
    /// Packets whose count of observations is wrong.
    pub wrong_counts: i64,
    /// Observations whose packet isn't there.
    pub orphans: i64,
}

impl DatabaseFacts {
    pub(super) async fn read(path: &Path, depth: Depth) -> Result<Self> {
        let mut db = connect_read_only(path, false).await?;
        let facts = Self::read_from(&mut db, path, depth).await;
        db.close().await.during("close the database")?;
        facts
    }

    async fn read_from(db: &mut SqliteConnection, path: &Path, depth: Depth) -> Result<Self> {
        let action = "look at the database";
        let number = |name: &str| format!("SELECT * FROM pragma_{name}");
        let mut numbers = [0_i64; 6];
        for (at, name) in [
            "application_id",
            "user_version",
            "page_size",
            "page_count",
            "freelist_count",
            "auto_vacuum",
        ]
        .iter()
        .enumerate()
        {
            // Six names of this file.
            numbers[at] = sqlx::query_scalar(AssertSqlSafe(number(name)))
                .fetch_one(&mut *db)
                .await
                .during(action)?;
        }
        let [
            application_id,
            schema_version,
            page_size,
            pages,
            free,
            auto_vacuum,
        ] = numbers;
        let journal_mode = text(db, "PRAGMA journal_mode").await?;
        let sqlite_version = text(db, "SELECT sqlite_version()").await?;
        let damage = check_pages(db, depth).await?;
        let positive = |n: i64| u64::try_from(n).unwrap_or(0);
        let page_bytes = positive(page_size);
        let wal = std::fs::metadata(crate::filesystem::beside(path, "-wal")).map_or(0, |m| m.len());
        let mut facts = Self {
            kind: Kind::Foreign,
            application_id,
            schema_version,
            known_schema_version: SCHEMA_VERSION,
            journal_mode,
            sqlite_version,
            page_bytes,
            pages: positive(pages),
            free_pages: positive(free),
            wal_frames: wal.saturating_sub(WAL_HEADER) / (page_bytes + FRAME_HEADER),
            auto_vacuum: match auto_vacuum {
                INCREMENTAL => "incremental",
                1 => "full",
                _ => "none",
            },
            damage,
            transmissions: None,
            observations: None,
            last_session: None,
            unfinished: Vec::new(),
            recount: None,
            unusable: None,
        };
        // A damaged file's tables may not be readable; what is known is said.
        if let Err(error) = facts.read_tables(db, depth).await
            && facts.damage.is_empty()
        {
            return Err(error);
        }
        Ok(facts)
    }

    async fn read_tables(&mut self, db: &mut SqliteConnection, depth: Depth) -> Result<()> {
        let shape = Shape::of(db).await?;
        let names: Vec<String> = shape.tables.keys().cloned().collect();
        let has = |name: &str| shape.tables.contains_key(name);
        self.kind = match (self.application_id, self.schema_version) {
            (APPLICATION_ID, _) => Kind::Ours,
            (0, 0) if names.is_empty() => Kind::Empty,
            (0, 0) if is_core_scope(&names) && has("store_jobs") => Kind::BeingAdopted,
            (0, 0) if is_core_scope(&names) => Kind::CoreScope,
            _ => Kind::Foreign,
        };
        if matches!(self.kind, Kind::CoreScope | Kind::BeingAdopted) {
            self.unusable = unusable(&shape, &Shape::of_ours().await?);
        }
        let action = "read the totals";
        if has("store_state") {
            let totals: Option<(i64, i64)> =
                sqlx::query_as("SELECT transmissions, observations FROM store_state")
                    .fetch_optional(&mut *db)
                    .await
                    .during(action)?;
            (self.transmissions, self.observations) = totals.unzip();
        }
        if has("ingest_sessions") {
            self.last_session = sqlx::query_scalar(
                "SELECT started_at || ', version ' || version || ', before it: ' || previous_end \
                 FROM ingest_sessions ORDER BY id DESC LIMIT 1",
            )
            .fetch_optional(&mut *db)
            .await
            .during(action)?;
        }
        if has("store_jobs") {
            self.unfinished = sqlx::query_scalar(
                "SELECT name || ', step ' || step FROM store_jobs WHERE finished_at IS NULL ORDER BY name",
            )
            .fetch_all(&mut *db)
            .await
            .during(action)?;
        }
        if depth == Depth::Full && self.kind == Kind::Ours {
            self.recount = Some(Recount::of(db).await?);
        }
        Ok(())
    }

    pub(super) fn judge(
        &self,
        around: &Surroundings,
        problems: &mut Vec<Finding>,
        notes: &mut Vec<Finding>,
    ) {
        if !self.damage.is_empty() {
            problems.push(Finding::new(
                format!("the database is damaged: {}", self.damage.join("; ")),
                "restore a copy; or stop the ingestor and `meshcore import` what can be read into a new file",
            ));
        }
        self.judge_kind(around, problems, notes);
        let used = self.pages.saturating_sub(self.free_pages);
        if self.kind == Kind::Ours && self.auto_vacuum != "incremental" {
            notes.push(Finding::new(
                format!(
                    "the file can't shrink (auto_vacuum is {}); {} of {} pages are free and used again",
                    self.auto_vacuum, self.free_pages, self.pages
                ),
                format!(
                    "`meshcore doctor --vacuum` writes it anew: it needs about {} of room",
                    size(used * self.page_bytes)
                ),
            ));
        }
        if let Some(recount) = &self.recount {
            recount.judge(self, problems, notes);
        }
    }

    fn judge_kind(
        &self,
        around: &surroundings::Surroundings,
        problems: &mut Vec<Finding>,
        notes: &mut Vec<Finding>,
    ) {
        let start = "start the ingestor on it";
        match self.kind {
            Kind::Ours if self.schema_version > SCHEMA_VERSION => problems.push(Finding::new(
                format!(
                    "schema version {} is newer than this program knows ({SCHEMA_VERSION})",
                    self.schema_version
                ),
                "install a newer version of these programs",
            )),
            Kind::Ours if self.schema_version < SCHEMA_VERSION => notes.push(Finding::new(
                format!(
                    "schema version {}, the newest is {SCHEMA_VERSION}",
                    self.schema_version
                ),
                format!("{start}: it migrates by itself"),
            )),
            Kind::Ours => {}
            Kind::Empty => notes.push(Finding::new("the file is empty", start)),
            Kind::CoreScope | Kind::BeingAdopted => match &self.unusable {
                Some(reason) => problems.push(Finding::new(
                    format!("this CoreScope database can't be adopted: {reason}"),
                    "let CoreScope's newest ingestor open it once, or `meshcore import` it",
                )),
                None if self.kind == Kind::CoreScope => notes.push(Finding::new(
                    "this is a CoreScope database, fit to be adopted",
                    format!("stop CoreScope and {start}, or `meshcore import` it"),
                )),
                None if around.lock_holder.is_some() => notes.push(Finding::new(
                    "the database is being adopted",
                    "wait: the ingestor's readiness says how far it is",
                )),
                None => notes.push(Finding::new(
                    "its adoption was interrupted",
                    format!("{start}: it goes on"),
                )),
            },
            Kind::Foreign => problems.push(Finding::new(
                format!(
                    "this is another program's file (application_id {}, user_version {})",
                    self.application_id, self.schema_version
                ),
                "name the right file with --db or DB_PATH",
            )),
        }
        for job in self
            .unfinished
            .iter()
            .filter(|job| !job.starts_with("adoption"))
        {
            notes.push(Finding::new(
                format!("unfinished: {job}"),
                "run it again with the same source: it goes on",
            ));
        }
    }
}

impl Recount {
    async fn of(db: &mut SqliteConnection) -> Result<Self> {
        let (transmissions, observations, wrong_counts, orphans) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM transmissions), (SELECT count(*) FROM observations), \
             (SELECT count(*) FROM transmissions t WHERE observation_count <> \
              (SELECT count(*) FROM observations o WHERE o.transmission_id = t.id)), \
             (SELECT count(*) FROM observations o WHERE NOT EXISTS \
              (SELECT 1 FROM transmissions t WHERE t.id = o.transmission_id))",
        )
        .fetch_one(db)
        .await
        .during("count again")?;
        Ok(Self {
            transmissions,
            observations,
            wrong_counts,
            orphans,
        })
    }

    fn judge(&self, facts: &DatabaseFacts, problems: &mut Vec<Finding>, notes: &mut Vec<Finding>) {
        let Self {
            transmissions,
            observations,
            wrong_counts,
            orphans,
        } = *self;
        let cure = "stop the ingestor and run `meshcore doctor --recount`";
        if facts.transmissions != Some(transmissions) || facts.observations != Some(observations) {
            problems.push(Finding::new(
                format!(
                    "the totals are wrong: {} packets and {} observations are kept, {transmissions} and {observations} are there",
                    facts.transmissions.unwrap_or(0),
                    facts.observations.unwrap_or(0)
                ),
                cure,
            ));
        }
        if wrong_counts > 0 {
            problems.push(Finding::new(
                format!("{wrong_counts} packets have a wrong count of their observations"),
                cure,
            ));
        }
        if orphans > 0 {
            notes.push(Finding::new(
                format!("{orphans} observations have no packet"),
                "nothing to do: older programs left them, and nothing shows them",
            ));
        }
    }
}

/// A connection that can't write, create or checkpoint. `is_immutable` is for files that nobody changes: no lock
/// is taken then, and a WAL is not looked at.
pub(crate) async fn connect_read_only(path: &Path, is_immutable: bool) -> Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(is_immutable)
        .create_if_missing(false)
        .foreign_keys(false)
        .busy_timeout(Duration::from_secs(2))
        .pragma("query_only", "ON")
        .pragma("wal_autocheckpoint", "0")
        .disable_statement_logging()
        .connect()
        .await
        .during("open the database for reading")
}

async fn check_pages(db: &mut SqliteConnection, depth: Depth) -> Result<Vec<String>> {
    let pragma = match depth {
        Depth::Quick => format!("PRAGMA quick_check({DAMAGE_LINES})"),
        Depth::Full => format!("PRAGMA integrity_check({DAMAGE_LINES})"),
    };
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(pragma))
        .fetch_all(db)
        .await
        .during("check the pages")?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

async fn text(db: &mut SqliteConnection, sql: &'static str) -> Result<String> {
    sqlx::query_scalar(sql)
        .fetch_one(db)
        .await
        .during("look at the database")
}
