//! The `MeshCoreDeployment` resource of `meshcore.dev/v1alpha1`: its fields, how a file with one is read, which
//! rules hold, and what the ingestor and the server get from it.
//!
//! ```text
//! text ─ parse ─▶ MeshCoreDeployment ─ validate ─▶ violations
//!                        └──────────── programs ─▶ the ingestor's file, the environment of both programs
//! ```
//!
//! Pure: no file, no client, no clock. The names of the fields are in `camelCase` in the file.

mod cluster;
mod crd;
mod parse;
pub mod programs;
mod quantity;
mod rules;
mod schema;
mod source;
mod spec;
mod status;
mod validate;

pub use cluster::{
    Digests, HttpRoute, Image, Ingress, IpFamilyPolicy, LocalRef, NetworkPolicy, ParentRef,
    PodDisruptionBudget, PodSettings, PullPolicy, Rollout, Service, ServiceType,
};
pub use crd::{crd, crd_yaml};
pub use meshcore_lifecycle::ShutdownBudget;
pub use parse::{
    All, FieldError, Found, MAX_BYTES, Parsed, ResourceError, Skipped, parse, parse_all, read,
};
pub use quantity::Amount;
pub use source::{CredentialsRef, MqttSource, Protocol, SecretKeyRef, SecretRef, SourceTls};
pub use spec::{
    AccessMode, Channels, EnvVar, IngestorSettings, MeshCoreDeployment, MeshCoreDeploymentSpec,
    ReclaimPolicy, Retention, ServerSettings, Storage,
};
pub use status::{
    EffectiveImages, EffectiveStatus, GraceBreakdown, LastShutdown, MeshCoreDeploymentStatus,
    Observed, ShutdownPhase, StorageStatus, TemplateStatus,
};
pub use validate::Violation;

/// The group and version of the resource.
pub const API_VERSION: &str = "meshcore.dev/v1alpha1";
/// The kind of the resource.
pub const KIND: &str = "MeshCoreDeployment";

impl MeshCoreDeployment {
    /// The name; empty where there is none, which no resource of an API server is.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

/// For `skip_serializing_if`: what is as it would be without a word is not written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
