//! Multi-row statements of a few fixed sizes. A statement has work of its own beside that of its rows (it opens
//! the tables and, for a table whose ids never come again, reads and notes the highest), so rows go in by the
//! dozen; the sizes are fixed so that each statement is prepared once.

use rusqlite::{Connection, Statement, ToSql};

use crate::error::{Result, SqliteContext};

/// How many rows one statement may carry, largest first. More than this gains nothing.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// A statement with a list of rows in it, in each of the sizes.
#[derive(Debug)]
pub(crate) struct RowsStatement {
    action: &'static str,
    by_size: [String; CHUNKS.len()],
}

/// Takes the values of the rows of one statement, column by column.
pub(crate) struct Values<'a, 'db> {
    statement: &'a mut Statement<'db>,
    /// The parameter that comes next; they count from 1.
    next: usize,
    bound: rusqlite::Result<()>,
}

impl Values<'_, '_> {
    /// Binds the next column's value.
    pub(crate) fn push(&mut self, value: impl ToSql) -> &mut Self {
        if self.bound.is_ok() {
            self.bound = self.statement.raw_bind_parameter(self.next, value);
        }
        self.next += 1;
        self
    }
}

impl RowsStatement {
    /// `before` and `after` surround the list of rows; `action` names the statement in errors.
    pub(crate) fn new(action: &'static str, before: &str, columns: usize, after: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        Self {
            action,
            by_size: CHUNKS
                .map(|size| format!("{before} {} {after}", vec![row.as_str(); size].join(","))),
        }
    }

    /// Runs the statement over `rows`, and tells `done` for each chunk which range it was and how many rows
    /// changed.
    pub(crate) fn run<T>(
        &self,
        db: &Connection,
        rows: &[T],
        bind: impl Fn(&mut Values<'_, '_>, &T),
        mut done: impl FnMut(std::ops::Range<usize>, usize),
    ) -> Result<()> {
        let mut start = 0;
        for (sql, size) in self.by_size.iter().zip(CHUNKS) {
            if rows.len() - start < size {
                continue;
            }
            let mut statement = db.prepare_cached(sql).during(self.action)?;
            while let Some(chunk) = rows.get(start..start + size) {
                let mut values = Values {
                    statement: &mut statement,
                    next: 1,
                    bound: Ok(()),
                };
                for row in chunk {
                    bind(&mut values, row);
                }
                values.bound.during(self.action)?;
                let changed = statement.raw_execute().during(self.action)?;
                done(start..start + size, changed);
                start += size;
            }
        }
        Ok(())
    }

    /// [`Self::run`] for statements whose row counts don't matter.
    pub(crate) fn execute<T>(
        &self,
        db: &Connection,
        rows: &[T],
        bind: impl Fn(&mut Values<'_, '_>, &T),
    ) -> Result<()> {
        self.run(db, rows, bind, |_, _| ())
    }
}
