//! The order of a stop: what is being written comes to its end, and then the Lease goes back.

use meshcore_lifecycle::{Cause, Deadline, Outcome, ShutdownManager, StepError, StepNote};

use super::election::Election;
use super::work::Working;

/// Stops. A controller that may not finish is dropped where it is.
pub(super) async fn stop(
    mut shutdown: ShutdownManager,
    working: Option<(Working, bool)>,
    election: Election,
    cause: Cause,
) -> Outcome {
    if let Some((working, may_finish)) = working {
        shutdown.step("drain_reconciles", move |deadline| async move {
            drain(working, may_finish, deadline).await
        });
    }
    if election.is_on() {
        shutdown.step("release_lease", |_| election.release());
    }
    shutdown.run(cause).await
}

/// Lets the reconciles that run come to their end, but for those that take too long: the Lease must go back in time.
async fn drain(
    mut working: Working,
    may_finish: bool,
    deadline: Deadline,
) -> Result<StepNote, StepError> {
    let patience = deadline.keeping(deadline.remaining() / 4);
    if may_finish && patience.limit(working.drained()).await.is_ok() {
        return Ok(StepNote::new());
    }
    working.cut().await;
    Ok(StepNote::new().detail("reconcilesCut", true))
}
