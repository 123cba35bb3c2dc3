//! Starts the program under test, talks to it, and reads what it leaves.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use meshcore_lifecycle::{Report, STOP_WITH_PARENT, Signal};
use rustix::process::{Pid, Signal as UnixSignal, kill_process};
use tempfile::TempDir;

use super::child::{FOLDER, PATIENCE, PREFIX, REPORT, SCENARIO, STUCK, TERMINATION_LOG};

/// A running child. It is killed when a test gives up on it.
pub(crate) struct Child {
    process: process::Child,
    lines: Receiver<String>,
    log: Option<thread::JoinHandle<String>>,
    folder: TempDir,
}

/// What a child left.
pub(crate) struct Ended {
    /// The exit code.
    pub(crate) code: i32,
    /// The lines that it said and no one had waited for.
    pub(crate) lines: Vec<String>,
    /// Its standard error: the log as lines of JSON, and what the watchdog says there.
    pub(crate) log: String,
    folder: TempDir,
}

impl Child {
    pub(crate) fn start(scenario: &str) -> Self {
        Self::start_with(scenario, |_| {})
    }

    /// Starts a child that is to stop when its parent ends, or when [`Self::close_input`] looks as if it did.
    pub(crate) fn start_with_parent(scenario: &str) -> Self {
        Self::start_with(scenario, |command| {
            command.env(STOP_WITH_PARENT, "1").stdin(Stdio::piped());
        })
    }

    fn start_with(scenario: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TERMINATION_LOG), "").unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "child_main", "--nocapture"])
            .env(SCENARIO, scenario)
            .env(FOLDER, folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        adjust(&mut command);
        let mut process = command.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut stderr = process.stderr.take().unwrap();
        // The reader waits for the test at each line, so a full pipe is one that no test reads.
        let (said, lines) = mpsc::sync_channel(0);
        thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { break };
                // The harness prints the name of the test without a line's end.
                if let Some((_, line)) = line.split_once(PREFIX)
                    && said.send(line.to_owned()).is_err()
                {
                    break;
                }
            }
        });
        let log = thread::spawn(move || {
            let mut log = Vec::new();
            stderr.read_to_end(&mut log).unwrap();
            String::from_utf8_lossy(&log).into_owned()
        });
        Self {
            process,
            lines,
            log: Some(log),
            folder,
        }
    }

    /// Waits until the child says `line`, which must be what it says next.
    pub(crate) fn expect_line(&mut self, line: &str) {
        assert_eq!(self.lines.recv_timeout(PATIENCE).as_deref(), Ok(line));
    }

    /// Closes the child's standard input, as the system does when the parent ends.
    pub(crate) fn close_input(&mut self) {
        drop(self.process.stdin.take());
    }

    pub(crate) fn kill(&self, signal: Signal) {
        let signal = match signal {
            Signal::Interrupt => UnixSignal::INT,
            _ => UnixSignal::TERM,
        };
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the child, which must end by itself.
    pub(crate) fn wait(mut self) -> Ended {
        let mut lines = Vec::new();
        let give_up = Instant::now() + PATIENCE;
        // The lines end when the child does.
        while let Ok(line) = self.lines.recv_timeout(give_up - Instant::now()) {
            lines.push(line);
        }
        let code = self.wait_for_exit();
        let log = self.log.take().unwrap().join().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Ended {
            code,
            lines,
            log,
            folder,
        }
    }

    /// Waits until the child can write no more, because nobody reads what it writes.
    pub(crate) fn wait_until_stdout_is_stuck(&self) {
        let give_up = Instant::now() + PATIENCE;
        while !self.folder.path().join(STUCK).exists() {
            assert!(
                Instant::now() < give_up,
                "the child's output is never stuck"
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the exit code of a child without reading what it says.
    pub(crate) fn wait_for_exit(&mut self) -> i32 {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code().expect("the child exits and is not killed");
            }
            assert!(Instant::now() < give_up, "the child does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It has ended already, but for a test that failed.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Ended {
    /// The report file.
    pub(crate) fn report(&self) -> Report {
        let path = self.folder.path().join(REPORT);
        Report::read_previous(&path)
            .unwrap()
            .unwrap_or_else(|| panic!("no report: {}", self.log))
    }

    /// The termination message.
    pub(crate) fn termination_message(&self) -> String {
        fs::read_to_string(self.folder.path().join(TERMINATION_LOG)).unwrap()
    }

    /// The names of the logged events in their order.
    pub(crate) fn events(&self) -> Vec<String> {
        self.log
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|line| Some(line["fields"]["event"].as_str()?.to_owned()))
            .collect()
    }
}
