//! One process's decisions, and many processes in a simulated world.

use super::*;

mod many;
mod one;

const SECOND: Duration = Duration::from_secs(1);

fn wall() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn election(identity: &str, now: Instant) -> Election {
    Election::new("ns", "lease", identity, Timing::default(), now)
}
