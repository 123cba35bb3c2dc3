//! Setting a damaged file aside, whole, so that ingest goes on and nothing is deleted.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::filesystem::{beside, sync_folder};

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
    // The WAL first: a main file without its WAL is the one state that could be mistaken for a good file.
    for part in ["-wal", "-shm", ""] {
        let from = beside(db, part);
        let to = beside(&target, part);
        match std::fs::rename(&from, &to) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("set aside", from, e)),
        }
    }
    if let Some(folder) = db.parent() {
        sync_folder(folder)?;
    }
    Ok(target)
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
}
