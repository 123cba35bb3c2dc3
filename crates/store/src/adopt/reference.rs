//! What a database's tables and indexes are, and what it lacks of ours. Our own schema is read from the same
//! SQL that makes new files, so there is one place that says what a file must have.

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

use crate::error::{Result, SqliteContext};
use crate::schema;

/// A table's column, as `PRAGMA table_info` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) not_null: bool,
    pub(crate) default: Option<String>,
    pub(crate) in_primary_key: bool,
}

impl Column {
    /// Whether a row can't do without it: it must have a value and has none by itself.
    pub(crate) fn is_essential(&self) -> bool {
        (self.not_null && self.default.is_none()) || self.in_primary_key
    }

    /// The text that adds this column to a table. Only constants may be defaults there.
    pub(crate) fn addition(&self, table: &str) -> String {
        let constant = self
            .default
            .as_deref()
            .filter(|text| !text.contains('(') && !text.starts_with("CURRENT"));
        let default = constant.map_or(String::new(), |text| format!(" DEFAULT {text}"));
        let not_null = if self.not_null && constant.is_some() {
            " NOT NULL"
        } else {
            ""
        };
        format!(
            "ALTER TABLE {} ADD COLUMN {} {}{not_null}{default}",
            quoted(table),
            quoted(&self.name),
            self.kind
        )
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) columns: Vec<Column>,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|c| c.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn column_names(&self) -> Vec<&str> {
        self.columns.iter().map(|c| c.name.as_str()).collect()
    }
}

/// An index: made by CREATE INDEX, or by a UNIQUE or PRIMARY KEY in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) unique: bool,
    /// What is indexed, without white space and in lower case.
    pub(crate) terms: Vec<String>,
    /// The condition of a partial index, likewise.
    pub(crate) filter: Option<String>,
    /// `None` for one that the table's own constraint made.
    pub(crate) sql: Option<String>,
}

impl Index {
    /// Whether this one does all that `wanted` is for.
    pub(crate) fn serves_as(&self, wanted: &Self) -> bool {
        let has_rows = self.filter.is_none() || self.filter == wanted.filter;
        let has_order = if wanted.unique {
            self.unique && self.terms == wanted.terms
        } else {
            self.terms.starts_with(&wanted.terms)
        };
        self.table.eq_ignore_ascii_case(&wanted.table) && has_rows && has_order
    }

    /// The text that makes this index under `name`, unique or not, for the rows that `filter` names.
    pub(crate) fn creation(&self, name: &str, unique: bool, filter: Option<&str>) -> String {
        let filter = filter.map_or(String::new(), |text| format!(" WHERE {text}"));
        format!(
            "CREATE {}INDEX {} ON {}({}){filter}",
            if unique { "UNIQUE " } else { "" },
            quoted(name),
            quoted(&self.table),
            self.terms.join(",")
        )
    }
}

/// The tables, indexes and views of a database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) views: BTreeMap<String, String>,
}

impl Shape {
    /// Reads what is there.
    pub(crate) async fn of(db: &mut SqliteConnection) -> Result<Self> {
        let action = "read the tables";
        let mut shape = Self::default();
        let columns = sqlx::query(
            "SELECT m.name, coalesce(m.sql, ''), c.name, c.type, c.\"notnull\", c.dflt_value, c.pk > 0 \
             FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY m.name, c.cid",
        )
        .fetch_all(&mut *db)
        .await
        .during(action)?;
        for row in columns {
            let get = |at: usize| row.try_get::<String, _>(at).during(action);
            let name = get(0)?;
            let sql = get(1)?;
            let table = shape.tables.entry(name.clone()).or_insert_with(|| Table {
                name,
                sql,
                columns: Vec::new(),
            });
            table.columns.push(Column {
                name: get(2)?,
                kind: get(3)?,
                not_null: row.try_get(4).during(action)?,
                default: row.try_get(5).during(action)?,
                in_primary_key: row.try_get(6).during(action)?,
            });
        }
        shape.views = sqlx::query_as("SELECT name, sql FROM sqlite_schema WHERE type = 'view'")
            .fetch_all(&mut *db)
            .await
            .during(action)?
            .into_iter()
            .collect();
        shape.indexes = indexes_of(db).await?;
        Ok(shape)
    }

    /// What a new file of ours has.
    pub(crate) async fn of_ours() -> Result<Self> {
        let mut db = SqliteConnectOptions::new()
            .in_memory(true)
            .disable_statement_logging()
            .connect()
            .await
            .during("open a database in memory")?;
        schema::migrate(&mut db, 0).await?;
        let shape = Self::of(&mut db).await;
        db.close().await.during("close a database in memory")?;
        shape
    }

    /// Whether an index has this name.
    pub(crate) fn has_index(&self, name: &str) -> bool {
        let has_name = |index: &Index| index.name.eq_ignore_ascii_case(name);
        self.indexes.iter().any(has_name)
    }

    /// The indexes of `ours` that nothing here does the work of.
    pub(crate) fn missing_indexes<'a>(&self, ours: &'a Self) -> Vec<&'a Index> {
        let is_missing = |wanted: &&Index| !self.indexes.iter().any(|i| i.serves_as(wanted));
        ours.indexes.iter().filter(is_missing).collect()
    }
}

async fn indexes_of(db: &mut SqliteConnection) -> Result<Vec<Index>> {
    let action = "read the indexes";
    let rows = sqlx::query(
        "SELECT i.name, m.name, i.\"unique\", s.sql, \
         (SELECT group_concat(x.name, char(10)) FROM pragma_index_info(i.name) x) \
         FROM sqlite_schema m JOIN pragma_index_list(m.name) i \
         LEFT JOIN sqlite_schema s ON s.name = i.name AND s.type = 'index' \
         WHERE m.type = 'table' ORDER BY m.name, i.name",
    )
    .fetch_all(db)
    .await
    .during(action)?;
    let mut indexes = Vec::new();
    for row in rows {
        let sql: Option<String> = row.try_get(3).during(action)?;
        let (terms, filter) = if let Some(sql) = &sql {
            parse_index(sql)
        } else {
            let names: Option<String> = row.try_get(4).during(action)?;
            let terms = names.unwrap_or_default().lines().map(normal).collect();
            (terms, None)
        };
        indexes.push(Index {
            name: row.try_get(0).during(action)?,
            table: row.try_get(1).during(action)?,
            unique: row.try_get(2).during(action)?,
            terms,
            filter,
            sql,
        });
    }
    Ok(indexes)
}

/// What `CREATE INDEX … ON table(terms) WHERE filter` indexes.
fn parse_index(sql: &str) -> (Vec<String>, Option<String>) {
    let mut terms = Vec::new();
    let mut term = String::new();
    let mut depth = 0_u32;
    let mut quote = None;
    let mut rest = "";
    for (at, c) in sql.char_indices() {
        if let Some(open) = quote {
            quote = (c != open).then_some(open);
        } else {
            match c {
                '\'' | '"' => quote = Some(c),
                '(' => {
                    depth += 1;
                    if depth == 1 {
                        continue;
                    }
                }
                ')' => depth = depth.saturating_sub(1),
                ',' if depth == 1 => {
                    terms.push(normal(&std::mem::take(&mut term)));
                    continue;
                }
                _ => {}
            }
            if c == ')' && depth == 0 {
                terms.push(normal(&term));
                rest = &sql[at + 1..];
                break;
            }
        }
        if depth > 0 {
            term.push(c);
        }
    }
    let rest = rest.trim();
    let filter = rest
        .get(..5)
        .filter(|word| word.eq_ignore_ascii_case("where"))
        .map(|_| normal_filter(&rest[5..]));
    (terms, filter)
}

/// An indexed term without white space, quotes around names, and in lower case but for texts.
fn normal(term: &str) -> String {
    let bare: String = term
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '`' | '[' | ']'))
        .flat_map(char::to_lowercase)
        .collect();
    bare.strip_suffix("asc").map_or(bare.clone(), str::to_owned)
}

/// A condition with single spaces, in lower case.
fn normal_filter(text: &str) -> String {
    let spaced = text
        .replace('=', " = ")
        .replace(['"', '`'], "")
        .to_lowercase();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A name in double quotes, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(sql: &str) -> Index {
        let (terms, filter) = parse_index(sql);
        Index {
            name: "i".to_owned(),
            table: "t".to_owned(),
            unique: sql.contains("UNIQUE"),
            terms,
            filter,
            sql: Some(sql.to_owned()),
        }
    }

    #[test]
    fn an_index_is_known_by_what_it_does_and_not_by_its_spelling() {
        let wanted = index(
            "CREATE UNIQUE INDEX i ON t(transmission_id, observer_idx, COALESCE(path_json,''))",
        );
        for (sql, serves) in [
            (
                "CREATE UNIQUE INDEX IF NOT EXISTS other ON \"t\" ( transmission_id ASC,\n observer_idx,coalesce( path_json, '' ) )",
                true,
            ),
            (
                "CREATE INDEX i ON t(transmission_id, observer_idx, COALESCE(path_json,''))",
                false,
            ),
            (
                "CREATE UNIQUE INDEX i ON t(transmission_id, observer_id, COALESCE(path_json,''))",
                false,
            ),
            (
                "CREATE UNIQUE INDEX i ON t(transmission_id, observer_idx, COALESCE(path_json,'')) WHERE id > 5",
                false,
            ),
        ] {
            assert_eq!(index(sql).serves_as(&wanted), serves, "{sql}");
        }
        let wanted = index("CREATE INDEX i ON t(from_pubkey) WHERE from_pubkey IS NOT NULL");
        for (sql, serves) in [
            ("CREATE INDEX i ON t(from_pubkey)", true),
            ("CREATE INDEX i ON t(from_pubkey, id)", true),
            (
                "CREATE INDEX i ON t(from_pubkey)  where from_pubkey is  not null",
                true,
            ),
            (
                "CREATE INDEX i ON t(from_pubkey) WHERE payload_type=4",
                false,
            ),
            ("CREATE INDEX i ON t(id, from_pubkey)", false),
        ] {
            assert_eq!(index(sql).serves_as(&wanted), serves, "{sql}");
        }
    }

    #[tokio::test]
    async fn our_own_shape_lacks_nothing() {
        let ours = Shape::of_ours().await.unwrap();
        assert!(ours.tables.contains_key("store_jobs"));
        assert!(ours.missing_indexes(&ours).is_empty());
        assert!(Shape::default().missing_indexes(&ours).len() > 10);
    }
}
