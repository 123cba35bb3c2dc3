//! Whether the operator can do its work, and whether a restart would help if it can't.
//!
//! - **Readiness** says what is wrong: the API server is away, the definition is not installed, rights are missing, a
//!   watch hears nothing.
//! - **Liveness** fails in one case only: a watch has been silent for long while a direct request works. Then the
//!   fault is in this process, and a restart helps. When the API server is away, it does not.

mod liveness;
mod probe;
mod watches;

pub use liveness::{Liveness, Patience};
pub use probe::Probe;
pub use watches::{Heard, Watches};
