//! The ingestor: MQTT sources → feed → packet → the one writer of the database.
//!
//! A message at QoS 1 is acknowledged to its broker only after the commit that holds it is durable.

mod acknowledge;
mod clock;
pub mod config;
mod describe;
mod geography;
mod interpret;
mod metrics;
mod program;
mod source;
mod subscriptions;

pub use describe::Describer;
pub use metrics::Metrics;
pub use program::{StartError, run};
pub use source::SourceState;
