//! Two small files beside the database: how the last process life ended, and the installation's name.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::filesystem::{beside, folder_of, sync_folder};

/// How the last process life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviousEnd {
    /// There was none: the file is new.
    New,
    /// It closed the file.
    Clean,
    /// It was killed, or the power failed.
    Unclean,
    /// It ended because of an I/O error.
    IoError,
}

impl PreviousEnd {
    /// The word in `ingest_sessions.previous_end`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Clean => "clean",
            Self::Unclean => "unclean",
            Self::IoError => "io_error",
        }
    }
}

/// What the marker says of a life that goes on. As long as the other word: the one is written over the other
/// in place, which a full disk can't refuse.
const RUNNING: &str = "running ";

/// The marker beside the file: there while a writer lives, gone after a clean end, with another word in it
/// after an I/O error.
pub(crate) struct Life;

impl Life {
    fn marker(db: &Path) -> PathBuf {
        beside(db, ".running")
    }

    /// How the last life ended, as far as its marker tells.
    pub(crate) fn read(db: &Path) -> PreviousEnd {
        match std::fs::read_to_string(Self::marker(db)) {
            Ok(text) if text.trim() == PreviousEnd::IoError.as_str() => PreviousEnd::IoError,
            Err(error) if error.kind() == io::ErrorKind::NotFound => PreviousEnd::Clean,
            Ok(_) | Err(_) => PreviousEnd::Unclean,
        }
    }

    /// Notes that a life begins.
    pub(crate) fn begin(db: &Path) -> Result<()> {
        let path = Self::marker(db);
        match Self::write(&path, RUNNING) {
            // That it is there says enough.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && path.exists() => Ok(()),
            other => other.map_err(|e| Error::io("write", &path, e)),
        }?;
        sync_folder(folder_of(db))
    }

    /// Notes that this life ends in an I/O error.
    pub(crate) fn note_io_error(db: &Path) {
        let path = Self::marker(db);
        if let Err(error) = Self::write(&path, PreviousEnd::IoError.as_str()) {
            tracing::error!(path = %path.display(), %error, "The I/O error could not be noted for the next start");
        }
    }

    /// Notes that this life ended well.
    pub(crate) fn end(db: &Path) {
        if let Err(error) = std::fs::remove_file(Self::marker(db)) {
            tracing::warn!(%error, "The marker of this life could not be removed");
        }
    }

    fn write(path: &Path, word: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.write_all(word.as_bytes())?;
        file.sync_all()
    }
}

/// The random name of this installation, if it has one already.
pub(crate) fn read_instance(db: &Path) -> Option<String> {
    let text = std::fs::read_to_string(beside(db, ".instance")).ok()?;
    let text = text.trim();
    (text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_owned())
}

/// Gives this installation a name. Durable before it is used: brokers keep our sessions under it.
pub(crate) fn write_instance(db: &Path) -> Result<String> {
    let instance = random_hex::<6>();
    let path = beside(db, ".instance");
    File::create(&path)
        .and_then(|mut file| {
            file.write_all(format!("{instance}\n").as_bytes())?;
            file.sync_all()
        })
        .map_err(|e| Error::io("write", &path, e))?;
    sync_folder(folder_of(db))?;
    Ok(instance)
}

/// Random bytes in hex.
pub(crate) fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_tells_how_the_last_life_ended() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        assert_eq!(Life::read(&db), PreviousEnd::Clean);
        Life::begin(&db).unwrap();
        assert_eq!(Life::read(&db), PreviousEnd::Unclean);
        Life::note_io_error(&db);
        assert_eq!(Life::read(&db), PreviousEnd::IoError);
        Life::begin(&db).unwrap();
        assert_eq!(Life::read(&db), PreviousEnd::Unclean);
        Life::end(&db);
        assert_eq!(Life::read(&db), PreviousEnd::Clean);
        // A power cut can leave the file without its content.
        File::create(Life::marker(&db)).unwrap();
        assert_eq!(Life::read(&db), PreviousEnd::Unclean);
        assert_eq!(RUNNING.len(), PreviousEnd::IoError.as_str().len());
    }

    #[test]
    fn the_name_is_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("a.db");
        assert_eq!(read_instance(&db), None);
        let name = write_instance(&db).unwrap();
        assert_eq!(read_instance(&db), Some(name));
    }
}
