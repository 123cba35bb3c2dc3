//! Notices when a file with a source's password, key or certificate changes, so that a rotated secret takes
//! effect without a restart: only the source concerned connects anew.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Source;

/// How often the files are looked at. The kubelet itself takes up to a minute to bring a changed Secret.
const LOOK: Duration = Duration::from_secs(2);

/// The files of one source, as they were when they were last read.
#[derive(Debug)]
pub(super) struct SecretWatch {
    files: Vec<PathBuf>,
    noted: Vec<Option<Fingerprint>>,
}

/// What tells one state of a file from the next. A mounted Secret is replaced by another file behind a
/// symbolic link; an editor may also write into the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl SecretWatch {
    /// Watches all files that `source` reads for a connection.
    pub(super) fn new(source: &Source) -> Self {
        let files: Vec<PathBuf> = source
            .credentials
            .files()
            .chain(source.tls.files())
            .map(PathBuf::from)
            .collect();
        let mut watch = Self {
            noted: Vec::new(),
            files,
        };
        watch.note();
        watch
    }

    /// Notes how the files are. Call it before they are read: what changes in between is noticed then.
    pub(super) fn note(&mut self) {
        self.noted = self.look();
    }

    /// Waits until a file is not as it was noted; never without files.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped: what was noted stays.
    pub(super) async fn changed(&self) {
        if self.files.is_empty() {
            std::future::pending::<()>().await;
        }
        while self.look() == self.noted {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A few calls of `stat` for files of the local disk: not worth a thread.
    fn look(&self) -> Vec<Option<Fingerprint>> {
        self.files
            .iter()
            .map(|file| std::fs::metadata(file).ok().as_ref().map(Fingerprint::of))
            .collect()
    }
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}
