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

mod access;
mod audit;
mod authority;
mod component;
mod control_plane;
mod faults;
mod janitor;
mod namespace;
mod pods;
mod programs;

pub use access::Access;
pub use audit::{AuditEntry, AuditLog, AuditMark, Requests};
pub use component::Component;
pub use control_plane::ControlPlane;
pub use faults::{Fate, FaultProxy, Moment, Plan, RequestInfo, SeededFaults, Seen};
pub use namespace::Namespace;
pub use pods::{ReadyPods, ready_status, set_pod_status};
pub use programs::{Version, gateway_api_crds, gitops_crds, helm, lua};

/// A number that is another one each time, for names.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::thread::current().id())
}
