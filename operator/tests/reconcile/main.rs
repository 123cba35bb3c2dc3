//! The controller in this process against a real API server: what it makes, puts back, leaves alone, and says.

mod create;
mod drift;
mod steady;
mod support;
