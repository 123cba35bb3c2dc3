//! Setting a damaged file aside, whole, so that ingest goes on and nothing is deleted.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::filesystem::{beside, folder_of, sync_folder};

/// Moves the database, its WAL and its shared memory together to names that end in `.corrupt-<time>`.
/// Gives back the new name of the database.
pub(crate) fn set_aside(db: &Path) -> Result<PathBuf> {
    let stamp = crate::time::now_text().replace([':', '-'], "");
    let mut suffix = format!(".corrupt-{stamp}");
    let mut n = 1;
    while beside(db, &suffix).exists() {
        n += 1;
        suffix = format!(".corrupt-{stamp}-{n}");
    }
    let target = beside(db, &suffix);
    // The main file first. A crash between these leaves a WAL without its file, which `set_orphan_aside` finds;
    // the other way round it would leave a file without its WAL, which looks like a good one and lacks commits.
    for part in ["", "-wal", "-shm"] {
        let from = beside(db, part);
        let to = beside(&target, part);
        match std::fs::rename(&from, &to) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("set aside", from, e)),
        }
    }
    sync_folder(folder_of(db))?;
    Ok(target)
}

/// Moves a WAL without its database away, if there is one: SQLite would delete it.
pub(crate) fn set_orphan_aside(db: &Path) -> Result<Option<PathBuf>> {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
    if bytes(db) > 0 || bytes(&beside(db, "-wal")) == 0 {
        return Ok(None);
    }
    set_aside(db).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_move_together_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        for round in 0..2 {
            for part in ["", "-wal", "-shm"] {
                std::fs::write(beside(&db, part), format!("{round}{part}")).unwrap();
            }
            let target = set_aside(&db).unwrap();
            assert_eq!(
                std::fs::read_to_string(&target).unwrap(),
                format!("{round}")
            );
            assert_eq!(
                std::fs::read_to_string(beside(&target, "-wal")).unwrap(),
                format!("{round}-wal")
            );
            assert!(!db.exists());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 6);
    }

    #[test]
    fn a_wal_that_lost_its_database_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        assert_eq!(set_orphan_aside(&db).unwrap(), None);
        std::fs::write(beside(&db, "-wal"), "commits").unwrap();
        let target = set_orphan_aside(&db).unwrap().unwrap();
        assert_eq!(
            std::fs::read_to_string(beside(&target, "-wal")).unwrap(),
            "commits"
        );
        std::fs::write(&db, "data").unwrap();
        std::fs::write(beside(&db, "-wal"), "commits").unwrap();
        assert_eq!(set_orphan_aside(&db).unwrap(), None);
    }
}
