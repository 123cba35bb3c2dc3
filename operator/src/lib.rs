//! The operator: turns each `MeshCoreDeployment` into a StatefulSet of one pod and what it needs, and says in the
//! status how it is.
//!
//! ```text
//! watches ─▶ queue ─▶ dereference ─▶ validate ─▶ build ─▶ apply ─▶ update_status
//!                     reads            pure        pure     writes   writes, if anything changed
//! ```

pub mod args;
pub mod build;
pub mod bundle;
pub mod discovery;
pub mod health;
pub mod last_shutdown;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod rbac;
pub mod settings;

pub use bundle::Bundle;
pub use settings::Settings;
