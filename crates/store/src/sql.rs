//! Multi-row statements of a few fixed sizes. A statement costs 50 to 75 µs through sqlx whatever it does,
//! so rows go in by the hundred; the sizes are fixed so that each statement is prepared once.

use std::sync::Arc;

use sqlx::Arguments;
use sqlx::encode::Encode;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::types::Type;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::error::{Result, SqliteContext};

/// How many rows one statement may carry, largest first.
const CHUNKS: [usize; 5] = [512, 128, 32, 8, 1];

/// A statement with a list of rows in it, in each of the sizes.
#[derive(Debug)]
pub(crate) struct RowsStatement {
    action: &'static str,
    columns: usize,
    by_size: [SqlStr; CHUNKS.len()],
}

/// The values of the rows of one statement.
#[derive(Debug, Default)]
pub(crate) struct Values(SqliteArguments);

impl Values {
    /// Appends the next column's value.
    pub(crate) fn push<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        self.0
            .add(value)
            .expect("integers, floats, text and blobs can always be encoded");
        self
    }
}

impl RowsStatement {
    /// `before` and `after` surround the list of rows; `action` names the statement in errors.
    pub(crate) fn new(action: &'static str, before: &str, columns: usize, after: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let by_size = CHUNKS.map(|size| {
            let sql: Arc<str> =
                format!("{before} {} {after}", vec![row.as_str(); size].join(",")).into();
            // Only placeholders are put together here, no data.
            AssertSqlSafe(sql).into_sql_str()
        });
        Self {
            action,
            columns,
            by_size,
        }
    }

    /// Runs the statement over `rows`, and tells `done` for each chunk which range it was and how many rows
    /// changed.
    pub(crate) async fn run<T>(
        &self,
        db: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Values, &T),
        mut done: impl FnMut(std::ops::Range<usize>, u64),
    ) -> Result<()> {
        let mut start = 0;
        while start < rows.len() {
            let left = rows.len() - start;
            let (sql, size) = self
                .by_size
                .iter()
                .zip(CHUNKS)
                .find(|(_, size)| *size <= left)
                .expect("the smallest chunk is one row");
            let chunk = &rows[start..start + size];
            let mut values = Values::default();
            values.0.reserve(size * self.columns, 0);
            for row in chunk {
                bind(&mut values, row);
            }
            let result = sqlx::query_with(sql.clone(), values.0)
                .execute(&mut *db)
                .await
                .during(self.action)?;
            done(start..start + size, result.rows_affected());
            start += size;
        }
        Ok(())
    }

    /// [`Self::run`] for statements whose row counts don't matter.
    pub(crate) async fn execute<T>(
        &self,
        db: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&mut Values, &T),
    ) -> Result<()> {
        self.run(db, rows, bind, |_, _| ()).await
    }
}
