//! What a process in a container can do, by what the kernel says of it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use crate::scene::Process;

/// The user and the group of all our containers.
const ID: u32 = 65532;

/// The first process of a container.
pub(super) struct Sandbox {
    process: Process,
}

impl Sandbox {
    pub(super) fn of(process: Process) -> Self {
        Self { process }
    }

    /// Asserts that it is nobody in particular, that it has no capability and can get none, that its system calls are
    /// filtered, and that nothing can be written to its root.
    pub(super) fn assert_restricted(&self) {
        for identity in ["Uid", "Gid"] {
            assert_eq!(
                self.status(identity),
                [ID.to_string().as_str(); 4].join("\t"),
                "{identity}"
            );
        }
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(self.status(set), "0".repeat(16), "{set}");
        }
        assert_eq!(self.status("NoNewPrivs"), "1");
        assert_eq!(self.status("Seccomp"), "2", "not filtered");
        // Even for root of the node.
        let written = fs::write(self.process.file("root/probe"), "");
        assert_eq!(written.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    }

    pub(super) fn assert_has_no_token(&self) {
        let secrets = self.process.file("root/var/run/secrets");
        assert!(!secrets.exists(), "{}", secrets.display());
        let mounts = self.mounts();
        assert!(!mounts.contains("serviceaccount"), "{mounts}");
    }

    /// Where something is mounted that it can write to; what is below /dev and /proc is the runtime's.
    pub(super) fn writable_mounts(&self) -> Vec<String> {
        let mounts = self.mounts();
        // Of a line: number, parent, device, root, where, options, …
        let mounts = mounts.lines().map(|line| line.split(' ').collect());
        let mut writable: Vec<_> = mounts
            .filter(|fields: &Vec<&str>| fields[5].split(',').any(|option| option == "rw"))
            .map(|fields| fields[4].to_owned())
            .filter(|at| !at.starts_with("/dev") && !at.starts_with("/proc"))
            .filter(|at| self.may_write(at))
            .collect();
        writable.sort();
        writable
    }

    /// Whether the file or folder is its own, its group's or everybody's to write to.
    fn may_write(&self, path: &str) -> bool {
        let path = path.trim_start_matches('/');
        let found = fs::metadata(self.process.file("root").join(path)).unwrap();
        let mode = found.mode();
        (found.uid() == ID && mode & 0o200 != 0)
            || (found.gid() == ID && mode & 0o020 != 0)
            || mode & 0o002 != 0
    }

    fn mounts(&self) -> String {
        fs::read_to_string(self.process.file("mountinfo")).unwrap()
    }

    fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(self.process.file("status")).unwrap();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap().to_owned()
    }
}
