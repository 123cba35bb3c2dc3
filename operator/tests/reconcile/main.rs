//! The controller in this process against a real API server: what it makes, puts back, leaves alone, and says.

mod calm;
mod claims;
mod create;
mod drift;
mod growth;
mod rollout;
mod steady;
mod stop;
mod support;
mod unreadable;
mod wrong;
