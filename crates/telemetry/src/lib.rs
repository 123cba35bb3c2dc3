//! What every program shows of itself: log lines, and the port with health and metrics.

mod admin;
pub mod health;
mod last_shutdown;
mod listen;
mod logging;
pub mod plain_http;

pub use admin::{AdminServer, Health, router};
pub use last_shutdown::LastShutdown;
pub use listen::bound_socket;
pub use logging::{LogFormat, init_logging};
