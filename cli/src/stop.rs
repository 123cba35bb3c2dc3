//! Ctrl-C and SIGTERM: the first one asks for a clean stop; what a second one does depends on the command.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Tells when somebody asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<Asked>);

/// How often somebody asked, and the exit code of the last signal (128 + its number).
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    times: u32,
    code: u8,
}

/// Asks a part of the program to stop.
#[derive(Debug)]
pub(crate) struct StopHandle(watch::Sender<Asked>);

impl StopHandle {
    /// Asks; again and again makes no difference.
    pub(crate) fn ask(&self) {
        self.0.send_modify(|asked| asked.times = 1);
    }
}

impl Stop {
    /// Listens for Ctrl-C and SIGTERM from here on; the second one ends the process. Needs a tokio runtime.
    pub(crate) fn on_signals() -> anyhow::Result<Self> {
        let stop = Self::on_signals_twice()?;
        let mut second = stop.clone();
        tokio::spawn(async move {
            let code = second.asked_again().await;
            std::process::exit(i32::from(code));
        });
        Ok(stop)
    }

    /// Listens for Ctrl-C, SIGTERM and the end of the terminal; the caller does what a second one asks for.
    pub(crate) fn on_signals_twice() -> anyhow::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal_of_terminal()?;
        let (tx, rx) = watch::channel(Asked::default());
        tokio::spawn(async move {
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                    () = hang_up.received() => 129,
                };
                tx.send_modify(|asked| {
                    asked.times += 1;
                    asked.code = code;
                });
            }
        });
        Ok(Self(rx))
    }

    /// For a part of the program that another part stops.
    pub(crate) fn by_hand() -> (StopHandle, Self) {
        let (tx, rx) = watch::channel(Asked::default());
        (StopHandle(tx), Self(rx))
    }

    /// Whether somebody asked already.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.borrow().times > 0
    }

    /// Waits until somebody asks.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped.
    pub(crate) async fn asked(&mut self) {
        self.times(1).await;
    }

    /// Waits until somebody asks a second time; gives the exit code for it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped.
    pub(crate) async fn asked_again(&mut self) -> u8 {
        self.times(2).await
    }

    async fn times(&mut self, times: u32) -> u8 {
        let asked = self.0.wait_for(|asked| asked.times >= times).await;
        if let Some(code) = asked.ok().map(|asked| asked.code) {
            return code;
        }
        // Without the other end nobody can ask.
        std::future::pending().await
    }
}

/// The end of the terminal, unless `nohup` or the like wants the program to outlive it.
struct HangUp(Option<Signal>);

fn signal_of_terminal() -> std::io::Result<HangUp> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if ignores_hang_up(&status) {
        return Ok(HangUp(None));
    }
    signal(SignalKind::hangup()).map(|signal| HangUp(Some(signal)))
}

/// Looks into `/proc/self/status`: signal 1 is the lowest bit of the mask of ignored ones.
fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

impl HangUp {
    async fn received(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ignores_hang_up;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(ignores_hang_up(&status("0000000000001001")));
        assert!(!ignores_hang_up(&status("0000000000001000")));
        assert!(!ignores_hang_up(""));
    }
}
