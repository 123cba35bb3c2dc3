//! The server: reads the database and shows it over HTTP and WebSocket. It never writes, creates or
//! checkpoints.

pub mod api;
pub mod config;
pub mod database;
mod http;
pub mod live;
mod metrics;
mod program;
mod tail;

pub use config::{Args, Config, ConfigError};
pub use http::PerAddress;
pub use program::run;
