//! A real Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager, built by
//! `scripts/kubernetes.sh` and run on loopback. There are no nodes, so pods stay pending.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use meshcore_testkit::kubernetes::ControlPlane;
//!
//! let Some(plane) = ControlPlane::shared() else {
//!     return Ok(()); // Go is missing, which was said aloud; in CI this line is not reached.
//! };
//! let namespace = plane.namespace().await?;
//! let operator = plane.service_account(namespace.name(), "default").await?;
//! let mark = plane.audit().mark().await?;
//! // … whatever `operator.kubeconfig()` may do …
//! let writes = plane.audit().since(mark).await?.by_user(operator.user()).writes();
//! assert_eq!(writes.len(), 0, "{writes}");
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use anyhow::{Context, Result};

mod access;
mod audit;
mod authority;
mod cluster;
mod component;
mod control_plane;
mod disks;
mod faults;
mod janitor;
mod namespace;
mod node;
mod pods;
mod programs;

pub use access::Access;
pub use audit::{AuditEntry, AuditLog, AuditMark, Requests};
pub use cluster::{Cluster, archives, build_cluster};
pub use component::Component;
pub use control_plane::ControlPlane;
pub use disks::Disks;
pub use faults::{Fate, FaultProxy, Moment, Plan, RequestInfo, SeededFaults, Seen, fault_seed};
pub use namespace::Namespace;
pub use node::{NODE, NODE_ADDRESS};
pub use pods::{ReadyPods, ready_status, set_pod_status, waiting_status};
pub use programs::{Version, gateway_api_crds, gitops_crds, helm, kubectl, lua};

/// Asks `question` again and again until it has an answer, and lets others work in the meantime.
///
/// # Errors
/// When it has none after a minute; `what` says what was waited for.
pub async fn wait_for<T>(what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    const LIMIT: Duration = Duration::from_mins(1);
    let wait = async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::time::timeout(LIMIT, wait).await;
    answer.with_context(|| format!("not after {LIMIT:?}: {what}"))
}
