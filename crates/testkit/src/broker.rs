//! A mosquitto of one's own.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::wait_until;

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
        let log = std::fs::File::create(self.folder.path().join("mosquitto.log"))?;
        let child = Command::new(Self::binary()?)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start mosquitto")?;
        self.child = Some(child);
        let port = self.port;
        wait_until("mosquitto listens", Duration::from_secs(10), || {
            TcpStream::connect(("127.0.0.1", port))
                .is_ok()
                .then_some(())
        })
        .with_context(|| self.log())
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
