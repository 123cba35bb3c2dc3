//! Columns of a row, read so that no content of the file is an error: SQLite keeps whatever was written into
//! a column, and adopted files hold what other programs wrote.

use sqlx::decode::Decode;
use sqlx::sqlite::{Sqlite, SqliteRow, SqliteValueRef};
use sqlx::{Row, TypeInfo, ValueRef};

/// A row whose columns are asked for by their place in the SELECT list.
#[derive(Clone, Copy)]
pub(super) struct Columns<'r>(pub(super) &'r SqliteRow);

impl<'r> Columns<'r> {
    /// Text; bytes that are no UTF-8 become U+FFFD. `None` for NULL.
    pub(super) fn text(self, column: usize) -> Option<String> {
        let value = self.value(column)?;
        let bytes = <Vec<u8> as Decode<Sqlite>>::decode(value).ok()?;
        Some(
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        )
    }

    /// A whole number; `None` for NULL and for what is none.
    pub(super) fn integer(self, column: usize) -> Option<i64> {
        let value = self.value(column)?;
        (value.type_info().name() == "INTEGER")
            .then(|| i64::decode(value).ok())
            .flatten()
    }

    /// A whole number that has a value everywhere: 0 for NULL and for what is none.
    pub(super) fn count(self, column: usize) -> i64 {
        self.integer(column).unwrap_or_default()
    }

    /// A number; `None` for NULL and for what is none.
    pub(super) fn real(self, column: usize) -> Option<f64> {
        let value = self.value(column)?;
        let is_number = matches!(value.type_info().name(), "REAL" | "INTEGER");
        is_number.then(|| f64::decode(value).ok()).flatten()
    }

    /// A truth value as SQLite keeps it; `None` for NULL and for what is no number.
    pub(super) fn boolean(self, column: usize) -> Option<bool> {
        self.integer(column).map(|number| number != 0)
    }

    fn value(self, column: usize) -> Option<SqliteValueRef<'r>> {
        let value = self.0.try_get_raw(column).ok()?;
        (!value.is_null()).then_some(value)
    }
}
