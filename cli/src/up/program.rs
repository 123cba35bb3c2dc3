//! One program as a child process: how it is started, and what it says.

use std::io::{self, PipeReader, PipeWriter};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use meshcore_lifecycle::STOP_WITH_PARENT;
use meshcore_resource::programs::{Env, RESERVED_VARIABLES};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use super::lines::{LastWords, Lines};
use super::output::{Output, Who};

/// How long the last lines of a program that has ended may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What is to be run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) who: Who,
    pub(super) binary: PathBuf,
    pub(super) env: Env,
    /// Its standard input. It ends, and the program stops, when all who can write to it have ended.
    pub(super) lifeline: PipeReader,
    /// What it keeps open as long as it lives: somebody else's lifeline.
    pub(super) holds: Option<PipeWriter>,
    /// From its SIGTERM until it is killed: its own deadline and the budget's margin.
    pub(super) patience: Duration,
}

/// A running program.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) child: Child,
    pub(super) began: Instant,
    log: JoinHandle<LastWords>,
}

impl Program {
    /// The name of its binary.
    pub(super) fn name(&self) -> String {
        let name = self.binary.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Starts it; what it says goes to `output`.
    pub(super) fn start(&self, output: &Output) -> io::Result<Life> {
        let mut command = Command::new(&self.binary);
        for variable in RESERVED_VARIABLES {
            command.env_remove(variable);
        }
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("LOG_FORMAT", "text")
            .env(STOP_WITH_PARENT, "1")
            // The terminal's Ctrl-C is for `up` alone, which stops the programs in their order.
            .process_group(0)
            .stdin(self.lifeline.try_clone()?)
            .stderr(Stdio::piped());
        match &self.holds {
            Some(writer) => command.stdout(writer.try_clone()?),
            None => command.stdout(Stdio::null()),
        };
        let mut child = command.spawn()?;
        let stderr = child.stderr.take();
        let log = tokio::spawn(pass_on(stderr, self.who, output.clone()));
        Ok(Life {
            child,
            began: Instant::now(),
            log,
        })
    }
}

impl Life {
    /// Asks it to stop.
    pub(super) fn terminate(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // It may have ended just now; then nobody needs to be asked.
            _ = kill_process(pid, Signal::TERM);
        }
    }

    /// What it said last, when it has ended.
    pub(super) async fn last_words(self) -> LastWords {
        let words = tokio::time::timeout(LAST_LINES, self.log).await;
        words.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// Passes on what a program says, line by line, until it ends.
async fn pass_on(stderr: Option<ChildStderr>, who: Who, output: Output) -> LastWords {
    let mut lines = Lines::default();
    let mut last_words = LastWords::default();
    let Some(mut stderr) = stderr else {
        return last_words;
    };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        for line in lines.push(buffer.get(..count).unwrap_or_default()) {
            last_words.hear(&line);
            output.line(who, line).await;
        }
    }
    if let Some(line) = lines.rest() {
        last_words.hear(&line);
        output.line(who, line).await;
    }
    last_words
}
