//! A mosquitto of one's own.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::process::wait_until;

/// A machine that is busy takes its time.
const START_LIMIT: Duration = Duration::from_mins(1);

/// How the broker is set up.
#[derive(Debug, Clone, Default)]
pub struct MosquittoOptions {
    /// Lines for its configuration, after the listener and `allow_anonymous`.
    pub lines: Vec<String>,
    /// Whether sessions and queues survive a clean restart.
    pub persistence: bool,
    /// The port; 0 takes a free one.
    pub port: u16,
}

/// A running mosquitto; it ends with this value.
#[derive(Debug)]
pub struct Mosquitto {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts a broker with queues without limit, as a feed needs them.
    ///
    /// # Errors
    /// When mosquitto isn't installed or does not come up.
    pub fn start(options: &MosquittoOptions) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = if options.port == 0 {
            crate::free_port()
        } else {
            options.port
        };
        let mut config =
            format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n");
        if options.persistence {
            writeln!(
                config,
                "persistence true\npersistence_location {}/",
                folder.path().display()
            )?;
        }
        for line in &options.lines {
            writeln!(config, "{line}")?;
        }
        std::fs::write(folder.path().join("mosquitto.conf"), config)?;
        // Started by root it changes to its own user, who must be able to write here.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        }
        let mut broker = Self {
            folder,
            port,
            child: None,
        };
        broker.start_again()?;
        Ok(broker)
    }

    /// Starts the broker after it was stopped or killed, on the same port with the same folder.
    pub fn start_again(&mut self) -> Result<()> {
        let log_file = self.folder.path().join("mosquitto.log");
        let log = std::fs::File::create(&log_file)?;
        let child = Command::new(Self::binary()?)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start mosquitto")?;
        let child = self.child.insert(child);
        let port = self.port;
        let answers = wait_until("mosquitto listens", START_LIMIT, || {
            // Somebody else may have the port and answer; it says so only when it has all that it was told to have.
            let says = std::fs::read_to_string(&log_file).unwrap_or_default();
            let answers =
                says.contains(" running") && TcpStream::connect(("127.0.0.1", port)).is_ok();
            let ended = child.try_wait();
            (answers || !matches!(ended, Ok(None))).then_some(ended)
        });
        let ended = answers.with_context(|| self.log())??;
        ensure!(ended.is_none(), "mosquitto has ended:\n{}", self.log());
        Ok(())
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its address as ingestors write it.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("mosquitto.log")).unwrap_or_default()
    }

    /// Kills it without a word.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn binary() -> Result<PathBuf> {
        for folder in ["/usr/sbin", "/usr/bin", "/usr/local/sbin"] {
            let path = PathBuf::from(folder).join("mosquitto");
            if path.exists() {
                return Ok(path);
            }
        }
        bail!("mosquitto is not installed: apt-get install mosquitto")
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_else_has_is_not_taken_for_a_broker() {
        let first = Mosquitto::start(&MosquittoOptions::default()).unwrap();
        let error = Mosquitto::start(&MosquittoOptions {
            port: first.port(),
            ..MosquittoOptions::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("in use"), "{error:#}");
    }
}
