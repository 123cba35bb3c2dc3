//! The operator of a life: in this process, or as one that is killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meshcore_operator::clients::Timeouts;
use meshcore_testkit::Program;
use meshcore_testkit::kubernetes::{Access, Fate, FaultProxy, Moment, Plan, RequestInfo};
use tempfile::TempDir;

use super::aim::Spoiler;
use crate::operator::BINARY;
use crate::support::lane::{IMPATIENT, Lane, Operator};

/// What becomes of a life's aims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// They fail.
    Fails,
    /// The operator is killed when the API server has done what they ask for, and knows nothing of it; another one
    /// starts at once.
    IsKilled,
}

/// The operator of a life.
pub(crate) enum Running {
    Here(Operator),
    Process(Arc<Victim>),
}

impl Running {
    pub(crate) async fn start(way: Way, lane: &Lane, proxy: &FaultProxy, plan: &Spoiler) -> Self {
        match way {
            Way::Fails => {
                proxy.set_plan(plan.clone());
                // A record must not have what is only sent again because this machine is busy.
                let timeouts = if plan.is_idle() {
                    Timeouts::default()
                } else {
                    IMPATIENT
                };
                Self::Here(lane.operator(proxy, timeouts).await)
            }
            Way::IsKilled => {
                let access = proxy.access(&lane.access).unwrap();
                let victim = Arc::new(Victim::new(access, lane.name()));
                let killer = Killer {
                    plan: plan.clone(),
                    victim: Arc::clone(&victim),
                    met: Mutex::default(),
                };
                proxy.set_plan(killer);
                victim.restart();
                Self::Process(victim)
            }
        }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Here(_) => String::new(),
            Self::Process(victim) => lock(&victim.program)
                .as_ref()
                .map_or_else(String::new, Program::log),
        }
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        match self {
            Self::Here(operator) => operator.stop().await,
            // The proxy's plan holds it too.
            Self::Process(victim) => drop(lock(&victim.program).take()),
        }
    }
}

/// An operator as a process.
pub(crate) struct Victim {
    access: Access,
    namespace: String,
    program: Mutex<Option<Program>>,
    folder: TempDir,
}

impl Victim {
    fn new(access: Access, namespace: &str) -> Self {
        Self {
            access,
            namespace: namespace.to_owned(),
            program: Mutex::default(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Kills the one that runs, and starts the next.
    fn restart(&self) {
        let mut program = lock(&self.program);
        if let Some(mut program) = program.take() {
            let status = program.ended().unwrap();
            assert_eq!(status, None, "it ended by itself:\n{}", program.log());
            program.kill().unwrap();
        }
        let arguments = [
            "run",
            "--namespace",
            &self.namespace,
            // The next one would have to wait until the Lease of the one before is over.
            "--leader-election",
            "false",
            "--address",
            "127.0.0.1:0",
        ];
        let env = [("KUBECONFIG", self.access.kubeconfig())];
        let log = self.folder.path().join("operator.log");
        *program = Some(Program::start(Path::new(BINARY), &arguments, &env, &log).unwrap());
    }
}

/// Kills the operator at what it aims at.
struct Killer {
    plan: Spoiler,
    victim: Arc<Victim>,
    /// The numbers of requests that are aims.
    met: Mutex<BTreeSet<u64>>,
}

impl Plan for Killer {
    fn fate(&self, request: &RequestInfo) -> Fate {
        if self.plan.hit(request).is_some() {
            lock(&self.met).insert(request.number);
        }
        Fate::Pass
    }

    fn observe(&self, request: &RequestInfo, moment: Moment) {
        if moment == Moment::Executed && lock(&self.met).remove(&request.number) {
            self.victim.restart();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
