//! The operator: turns each `MeshCoreDeployment` into a StatefulSet of one pod and what it needs, and says in the
//! status how it is.
//!
//! ```text
//! watches ─▶ queue ─▶ dereference ─▶ validate ─▶ build ─▶ apply ─▶ update_status
//!                     reads            pure        pure     writes   writes, if anything changed
//! ```

pub mod api;
pub mod apply;
pub mod args;
pub mod backoff;
pub mod build;
pub mod bundle;
pub mod cache;
pub mod clients;
pub mod context;
pub mod controller;
pub mod dereference;
pub mod discovery;
pub mod events;
pub mod health;
pub mod kind;
pub mod last_shutdown;
pub mod lease;
pub mod live;
pub mod metrics;
pub mod names;
mod patience;
pub mod pressure;
pub mod probe;
pub mod problem;
pub mod program;
pub mod rbac;
pub mod settings;
pub mod status;
pub mod validate;

pub use bundle::Bundle;
pub use clients::Clients;
pub use context::Context;
pub use settings::Settings;
