//! A running `meshcore up`, in a process group of its own as in a terminal.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use meshcore_lifecycle::{Report, report_path};
use meshcore_testkit::{Program, free_port, http_get, wait_until};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use super::programs;

/// How long a test waits for what should happen at once. The machine may be busy, and the pause before a source tries
/// again is up to 45 s.
pub(crate) const SOON: Duration = Duration::from_mins(2);

/// A running `up` with a folder of its own; it is killed with this value.
pub(crate) struct Up {
    pub(crate) folder: TempDir,
    program: Program,
    log: PathBuf,
}

impl Up {
    /// Starts it with ports of its own, its data in `data` below a new folder.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), args)
    }

    /// Starts it in a folder that may have files in it; `{}` in an argument stands for that folder.
    pub(crate) fn start_in(folder: TempDir, args: &[&str]) -> Self {
        let log = folder.path().join("log");
        // That of an earlier life.
        drop(std::fs::remove_file(&log));
        let mut command = command(folder.path(), args);
        command.process_group(0);
        let program = Program::start_command(&mut command, &[("RUST_LOG", "info")], &log).unwrap();
        Self {
            folder,
            program,
            log,
        }
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until a line has `part` in it, and gives that line.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        let found = wait_until(part, SOON, || {
            let log = self.log();
            // The last line may not be whole yet.
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let line = whole.lines().find(|line| line.contains(part))?;
            Some(line.to_owned())
        });
        found.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// Waits until everything runs.
    #[track_caller]
    pub(crate) fn wait_until_it_runs(&self) {
        self.wait_for_line("Ctrl-C stops everything");
    }

    /// An address that it announced, such as that of `counters`.
    #[track_caller]
    pub(crate) fn url(&self, name: &str) -> String {
        let line = self.wait_for_line(&format!("|   {name} "));
        line.split_whitespace().last().unwrap().to_owned()
    }

    /// The port of the embedded broker.
    #[track_caller]
    pub(crate) fn broker_port(&self) -> u16 {
        let line = self.wait_for_line("mqtt://127.0.0.1:");
        let (_, rest) = line.split_once("mqtt://127.0.0.1:").unwrap();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    /// A number of `/api/stats`, if there is an answer in time.
    fn counter(&self, name: &str) -> Option<u64> {
        let (_, body) = http_get(&self.url("counters")).ok()?;
        serde_json::from_str::<Value>(&body).ok()?[name].as_u64()
    }

    /// Waits until a counter is at least `value`, and gives it.
    #[track_caller]
    pub(crate) fn wait_for_counter(&self, name: &str, value: u64) -> u64 {
        let found = wait_until(&format!("{name} is {value}"), SOON, || {
            self.counter(name).filter(|count| *count >= value)
        });
        found.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// The process id of a child by the name of its program.
    #[track_caller]
    pub(crate) fn child(&self, program: &str) -> Pid {
        let parent = self.program.id();
        let found = wait_until(program, SOON, || child_of(parent, program));
        found.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// What a terminal does at Ctrl-C: SIGINT to the whole process group.
    pub(crate) fn press_ctrl_c(&self) {
        kill_process_group(self.pid(), Signal::INT).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.program.id()).unwrap()).unwrap()
    }

    /// Waits for its end; gives the exit code, as a shell sees it.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> i32 {
        let ended = self.program.wait(SOON);
        let status = ended.unwrap_or_else(|error| panic!("{error}"));
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    /// The report that a program left in the folder `data`.
    pub(crate) fn report(&self, program: &str) -> Option<Report> {
        Report::read_previous(&report_path(
            &self.folder.path().join("data/meshcore.db"),
            program,
        ))
        .unwrap()
    }

    /// Puts a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        write(self.folder.path(), name, text);
    }
}

/// `meshcore up` with free ports, and `data` below `folder`; an argument of the test's own wins. Of two that start at
/// once only one could have the usual port of the broker, and a port that `up` finds by itself may be gone before a
/// program that was killed is started again.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(programs().join("meshcore"));
    command.args(["up", "--data"]).arg(folder.join("data"));
    for flag in ["--listen", "--health-address"] {
        if !args.contains(&flag) {
            command.args([flag, &format!("127.0.0.1:{}", free_port())]);
        }
    }
    let has_broker = !args.contains(&"-f") || args.contains(&"--demo");
    if has_broker && !args.contains(&"--broker-port") {
        command.args(["--broker-port", &free_port().to_string()]);
    }
    let place = folder.to_str().unwrap();
    command.args(args.iter().map(|arg| arg.replace("{}", place)));
    command.current_dir(folder);
    command
}

/// Puts a file into a folder, with the folders on the way.
pub(crate) fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The field of `/proc/<pid>/stat` at `index` behind the name: 1 is the parent, 2 the process group.
pub(crate) fn stat(pid: u32, index: usize) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(index)?.parse().ok()
}

fn child_of(parent: u32, program: &str) -> Option<Pid> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let binary = std::fs::read_link(process.path().join("exe")).ok()?;
        let is_child = stat(pid, 1) == Some(parent) && binary.ends_with(program);
        is_child
            .then(|| Pid::from_raw(i32::try_from(pid).ok()?))
            .flatten()
    })
}

/// Whether a process is there and is no zombie.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
