//! Does what an election says: requests, sleep, and the term of the leadership.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::election::{Answer, Election, Loss, Request, Step, Timing};
use super::leadership::Leadership;
use crate::names;

/// How long giving the Lease back may take: longer than that, and waiting for it to expire is no worse.
const RELEASE_TIME: Duration = Duration::from_secs(3);

/// The leadership is over, and this process must not go on.
#[derive(Debug, thiserror::Error)]
#[error("this operator no longer leads; it ends, so that it starts again as one that waits")]
pub struct LeaseLost(#[source] pub Loss);

/// One process's part in the election, as a task.
#[derive(Debug)]
pub struct Elector {
    api: Api<Lease>,
    election: Election,
    leadership: Leadership,
    name: String,
    identity: String,
    /// The holder that was logged last, so that each is logged once.
    logged: Option<String>,
}

impl Elector {
    /// Takes part in the election for `namespace/name`. `client` must be one that no [`WriteGate`](super::WriteGate)
    /// guards: whoever does not lead yet has to write the Lease.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        timing: Timing,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            election: Election::new(namespace, name, identity, timing, Instant::now()),
            leadership: Leadership::awaited(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            logged: None,
        }
    }

    /// The leadership that this election gives.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Takes part until `stop`, then gives the Lease back.
    ///
    /// # Errors
    /// When a leadership was lost. [`Leadership::holds`] says so before this returns.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), LeaseLost> {
        loop {
            match self.election.step(Instant::now(), Timestamp::now()) {
                Step::Lost(loss) => {
                    self.leadership.give_up();
                    return Err(LeaseLost(loss));
                }
                Step::Wait(until) => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = sleep_until(until) => {}
                    }
                }
                // Not cut by `stop`: what was done must be known to be undone.
                Step::Ask(request) => self.ask(request).await,
            }
        }
        self.release().await;
        Ok(())
    }

    async fn ask(&mut self, request: Request) {
        let sent = Instant::now();
        let patience = self.election.patience(sent);
        let answer = match timeout_at(patience, ask(&self.api, &self.name, request)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Failed(format!(
                "the API server did not answer in {} s",
                patience.duration_since(sent).as_secs()
            )),
        };
        if let Answer::Failed(reason) = &answer {
            tracing::warn!(%reason, "The Lease could not be read or written");
        }
        self.election.answer(answer, sent, Instant::now());
        if let Some(until) = self.election.leads_until() {
            self.leadership.hold_until(until);
        }
        self.log_holder();
    }

    fn log_holder(&mut self) {
        let holder = self.election.holder();
        if holder == self.logged.as_deref() {
            return;
        }
        match holder {
            Some(holder) if holder == self.identity => {
                tracing::info!(identity = holder, "This operator leads");
            }
            Some(holder) => {
                tracing::info!(
                    holder,
                    identity = self.identity,
                    "Another operator leads, this one waits"
                );
            }
            None => tracing::info!("Nobody leads"),
        }
        self.logged = holder.map(str::to_owned);
    }

    async fn release(mut self) {
        self.leadership.give_up();
        let Some(lease) = self.election.release(Timestamp::now()) else {
            return;
        };
        let request = Request::Replace(Box::new(lease));
        let answer = timeout(RELEASE_TIME, ask(&self.api, &self.name, request)).await;
        match answer {
            Ok(Answer::Lease(_)) => tracing::info!("The Lease was given back"),
            Ok(other) => {
                tracing::warn!(answer = ?other, "The Lease was not given back, it expires");
            }
            Err(_) => tracing::warn!("The Lease was not given back in time, it expires"),
        }
    }
}

/// Makes the request.
async fn ask(api: &Api<Lease>, name: &str, request: Request) -> Answer {
    let params = PostParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let result = match request {
        Request::Read => api.get(name).await,
        Request::Create(lease) => api.create(&params, &lease).await,
        Request::Replace(lease) => api.replace(name, &params, &lease).await,
    };
    match result {
        Ok(lease) => Answer::Lease(Box::new(lease)),
        Err(kube::Error::Api(status)) if status.code == 404 => Answer::Missing,
        Err(kube::Error::Api(status)) if status.code == 409 => Answer::Conflict,
        Err(error) => Answer::Failed(error.to_string()),
    }
}
