//! Ctrl-C and SIGTERM: the first one asks for a clean stop, the second one ends the process.

use tokio::sync::watch;

/// Tells when somebody asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens for signals from here on. Needs a tokio runtime.
    pub(crate) fn on_signals() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (tx, rx) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                };
                if tx.send_replace(true) {
                    std::process::exit(code);
                }
            }
        });
        Ok(Self(rx))
    }

    /// Whether somebody asked already.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until somebody asks.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped.
    pub(crate) async fn asked(&mut self) {
        // The sender lives as long as the runtime; without one nobody can ask.
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
