//! Waiting for a program that starts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{ASK_AGAIN, Ending};
use crate::up::health::{self, Readiness};
use crate::up::output::{Output, Who};
use crate::up::supervisor::Supervised;

/// A start that takes longer is worth a word.
const QUICK: Duration = Duration::from_secs(2);

/// Waits until the program has started; says what it waits for when that takes long.
pub(super) async fn until_ready(
    program: &Supervised,
    address: SocketAddr,
    output: &Output,
) -> Result<(), Ending> {
    let name = program.who.name();
    let began = Instant::now();
    let mut said = String::new();
    loop {
        let readiness = tokio::select! {
            refused = program.refused() => {
                return Err(Ending::Refused { program: name, refused });
            }
            readiness = health::readiness(address) => readiness,
        };
        match readiness {
            Readiness::Ready => {
                program.accept();
                return Ok(());
            }
            // As in a pod, where the next container waits for the start alone: what is stored can be read although
            // a full disk keeps more from being written.
            Readiness::NotReady(reason) => {
                let line = format!("The {name} has started, but is not ready: {reason}");
                output.say(Who::Up, &line).await;
                program.accept();
                return Ok(());
            }
            Readiness::Starting(reason) if began.elapsed() > QUICK && reason != said => {
                let line = format!("The {name} is not ready yet: {reason}");
                output.say(Who::Up, &line).await;
                said = reason;
            }
            Readiness::Starting(_) | Readiness::Silent => {}
        }
        tokio::select! {
            refused = program.refused() => {
                return Err(Ending::Refused { program: name, refused });
            }
            () = sleep(ASK_AGAIN) => {}
        }
    }
}
