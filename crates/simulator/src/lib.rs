//! A simulated MeshCore mesh: nodes that advertise, chat and answer, repeaters that forward, and
//! observers that publish what they hear in the feed shapes that real feeders use.
//!
//! The library does no I/O and reads no clock. Time is simulated: every [`FeedMessage`] carries its
//! offset from the start that [`SimulationOptions`] names, and whoever publishes it waits as long,
//! or does not. Equal options give the same messages, byte for byte. The sequence never ends.
//!
//! Each message says what it really is ([`Truth`]), so that a test can check what a consumer
//! made of it.
//!
//! ```
//! use meshcore_simulator::{Simulation, SimulationOptions, Truth};
//!
//! let mut simulation = Simulation::new(SimulationOptions::default())?;
//! let receptions = simulation
//!     .by_ref()
//!     .take(100)
//!     .filter(|message| matches!(message.truth, Truth::Reception(_)))
//!     .count();
//! assert!(receptions > 50);
//! # Ok::<(), meshcore_simulator::OptionsError>(())
//! ```

mod chatter;
mod feed;
mod message;
mod names;
mod node;
mod observer;
mod options;
mod propagation;
mod radio;
mod rng;
mod simulation;
mod status;
mod traffic;
mod world;

pub use message::{FeedMessage, Reception, Truth};
pub use node::{Node, Role};
pub use observer::{Dialect, Observer};
pub use options::{OptionsError, Region, SimulationOptions};
pub use simulation::Simulation;
pub use world::World;
