//! The file at the database's path: whether it is there, whether it can be read, and whether it is still the
//! same one. The ingestor makes it, migrates it, and sets a damaged one aside; an import may put another there.

use std::error::Error;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use meshcore_store::{Class, Error as StoreError, Reader};

/// The database's path.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
}

/// Which file stands at the path. A file that is open keeps its number, so another one has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl DatabaseFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Which file stands at the path; `None` when there is none.
    pub(crate) async fn id(&self) -> io::Result<Option<FileId>> {
        match tokio::fs::metadata(&self.path).await {
            Ok(metadata) => Ok(Some(FileId {
                device: metadata.dev(),
                inode: metadata.ino(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A reader, and which file it reads.
    ///
    /// # Errors
    /// Why there is none, in a sentence for people.
    pub(crate) async fn open(&self) -> Result<(Reader, FileId), String> {
        let path = self.path.display();
        let before = self
            .id()
            .await
            .map_err(|error| format!("{path}: {error}"))?;
        let Some(id) = before else {
            return Err(format!("waiting for {path}, which the ingestor makes"));
        };
        let reader = Reader::open(&self.path)
            .await
            .map_err(|e| self.sentence(&e))?;
        match self.id().await {
            Ok(Some(after)) if after == id => Ok((reader, id)),
            _ => Err(format!("{path} is being replaced")),
        }
    }

    /// What `error` says about the database.
    pub(crate) fn sentence(&self, error: &StoreError) -> String {
        let path = self.path.display();
        let chain = chain(error);
        match error.class() {
            Class::Corrupt => {
                format!("{path} is damaged ({chain}); waiting for the ingestor to set it aside")
            }
            Class::Busy => format!("{path} is locked by another process ({chain})"),
            Class::Refused => chain,
            _ => format!("{path} can't be read ({chain})"),
        }
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
