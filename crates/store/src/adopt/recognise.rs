//! Whether a file is one of CoreScope's, and one that can be adopted.

use std::path::Path;

use sqlx::sqlite::SqliteConnection;

use super::reference::{Shape, Table};
use crate::error::{Error, Result};

/// The tables that make a file one of CoreScope's.
const TABLES: [&str; 4] = ["transmissions", "observations", "observers", "nodes"];

/// What stands in the way of adopting a CoreScope database.
const CURE: &str = "let CoreScope's newest ingestor open it once, which brings it up to date, \
                    or copy what can be read of it with `meshcore import`";

/// Whether `tables` are CoreScope's. `_migrations` alone can be anybody's, and so can `nodes`.
pub(crate) fn is_core_scope(tables: &[String]) -> bool {
    let has = |name: &str| tables.iter().any(|t| t == name);
    (has("transmissions") && (has("observations") || has("observers")))
        || (has("observers") && has("nodes") && has("_migrations"))
}

/// Refuses a CoreScope database of a shape that our writer can't work with.
pub(crate) async fn check_usable(db: &mut SqliteConnection, path: &Path) -> Result<()> {
    let theirs = Shape::of(db).await?;
    match unusable(&theirs, &Shape::of_ours().await?) {
        None => Ok(()),
        Some(reason) => Err(Error::Unadoptable {
            path: path.to_owned(),
            reason: format!("{reason}: {CURE}"),
        }),
    }
}

/// Why our writer can't work with a CoreScope database, if it can't.
pub(crate) fn unusable(theirs: &Shape, ours: &Shape) -> Option<String> {
    if let Some(missing) = TABLES.iter().find(|t| !theirs.tables.contains_key(**t)) {
        return Some(format!("it has no table `{missing}`"));
    }
    ours.tables
        .iter()
        .find_map(|(name, wanted)| unusable_table(theirs.tables.get(name)?, wanted))
}

fn unusable_table(found: &Table, wanted: &Table) -> Option<String> {
    let name = &found.name;
    for column in wanted.columns.iter().filter(|c| c.is_essential()) {
        if found.column(&column.name).is_none() {
            return Some(format!(
                "its table `{name}` has no column `{}`",
                column.name
            ));
        }
    }
    for column in found.columns.iter().filter(|c| c.is_essential()) {
        let is_known = wanted
            .column(&column.name)
            .is_some_and(|known| known.is_essential() || known.not_null);
        if !is_known {
            return Some(format!(
                "its column `{name}.{}` must have a value, and this version has none for it",
                column.name
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_scope_is_known_by_its_tables() {
        for (tables, wanted) in [
            (
                &["transmissions", "observations", "observers", "nodes"][..],
                true,
            ),
            (&["transmissions", "observations"], true),
            (&["nodes", "observers", "_migrations"], true),
            (&["nodes", "_migrations"], false),
            (&["holiday", "transmissions"], false),
            (&[], false),
        ] {
            let tables: Vec<_> = tables.iter().map(ToString::to_string).collect();
            assert_eq!(is_core_scope(&tables), wanted, "{tables:?}");
        }
    }
}
