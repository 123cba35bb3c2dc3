//! Programs as processes: started, asked, signalled, waited for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running program; it is killed with this value.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `binary` with `env` on top of this process's environment; what it prints goes to `log`.
    pub fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        binary: &Path,
        arguments: &[&str],
        env: &[(K, V)],
        log: &Path,
    ) -> Result<Self> {
        Self::start_command(Command::new(binary).args(arguments), env, log)
    }

    /// [`Self::start`] for a command that wraps the program (strace, nsenter).
    pub fn start_command<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        command: &mut Command,
        env: &[(K, V)],
        log: &Path,
    ) -> Result<Self> {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .envs(env.iter().map(|(key, value)| (key, value)))
            .env("LOG_FORMAT", "text")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id")?;
        kill_process(pid, signal)?;
        Ok(())
    }

    /// Freezes it, and waits until no thread of it runs: a signal only asks for that.
    ///
    /// # Errors
    /// When it still runs after ten seconds, or has ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let tasks = format!("/proc/{}/task", self.id());
        wait_until(
            &format!("{} stands still", self.name),
            Duration::from_secs(10),
            || {
                threads(Path::new(&tasks))
                    .ok()?
                    .iter()
                    .all(|state| *state == 'T')
                    .then_some(())
            },
        )
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to stop.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!(
                    "{} did not end within {limit:?}:\n{}",
                    self.name,
                    self.log()
                );
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until `GET url` answers 200.
    ///
    /// # Errors
    /// When it doesn't within `limit`, or the program ends before.
    pub fn wait_ready(&mut self, url: &str, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before it was ready:\n{}",
                    self.name,
                    self.log()
                );
            }
            let answer = http_get(url);
            if answer.as_ref().is_ok_and(|(status, _)| *status == 200) {
                return Ok(());
            }
            if Instant::now() > until {
                bail!(
                    "{} is not ready after {limit:?}: {answer:?}\n{}",
                    self.name,
                    self.log()
                );
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The state of each thread: the letter after the name in parentheses (proc(5), `stat`).
fn threads(tasks: &Path) -> Result<Vec<char>> {
    let mut states = Vec::new();
    for task in std::fs::read_dir(tasks)? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let after_name = stat.rsplit(") ").next();
        states.extend(after_name.and_then(|rest| rest.chars().next()));
    }
    Ok(states)
}

/// How long an answer may take. A program that does not answer at all is broken; one that has to wait for
/// a processor, beside other tests on two of them, is not.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Status and body of `GET url`.
pub fn http_get(url: &str) -> Result<(u16, String)> {
    http_get_within(ANSWER_LIMIT, url)
}

/// The same for who rather asks again than waits longer than `limit`.
pub fn http_get_within(limit: Duration, url: &str) -> Result<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(url).call()?;
    let status = response.status().as_u16();
    Ok((status, response.body_mut().read_to_string()?))
}

/// Asks `question` again and again until it has an answer.
///
/// # Errors
/// When it has none after `limit`; `what` says what was waited for.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut question: impl FnMut() -> Option<T>,
) -> Result<T> {
    let until = Instant::now() + limit;
    loop {
        if let Some(answer) = question() {
            return Ok(answer);
        }
        if Instant::now() > until {
            bail!("not after {limit:?}: {what}");
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
