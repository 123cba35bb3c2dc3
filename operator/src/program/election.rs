//! The election as a task.

use meshcore_lifecycle::{Cause, StepError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::lease::{Elector, LeaseLost};

/// The election as a task; without one, it never ends.
pub(super) struct Election {
    task: Option<JoinHandle<Result<(), LeaseLost>>>,
    stop: CancellationToken,
}

impl Election {
    pub(super) fn begin(elector: Option<Elector>) -> Self {
        let stop = CancellationToken::new();
        let task = elector.map(|elector| tokio::spawn(elector.run(stop.clone())));
        Self { task, stop }
    }

    /// Waits for an end that nobody asked for: the leadership is lost.
    pub(super) async fn ended(&mut self) -> Cause {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(ended) => Cause::task_ended("lease", ended),
            Err(panic) => Cause::task_ended::<(), _>("lease", Err(panic)),
        }
    }

    /// Whether there is a Lease to give back.
    pub(super) fn is_on(&self) -> bool {
        self.task.is_some()
    }

    /// Gives the Lease back.
    pub(super) async fn release(self) -> Result<(), StepError> {
        self.stop.cancel();
        match self.task {
            Some(task) => Ok(task.await??),
            None => Ok(()),
        }
    }
}
