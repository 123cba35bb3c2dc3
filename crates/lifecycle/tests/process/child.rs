//! The program under test: what it does is chosen by a variable of its environment.

use std::env;
use std::fs::File;
use std::future::pending;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use meshcore_lifecycle::{
    Cause, Outlets, Readiness, ShutdownManager, Signals, StepError, StepFailure, StepNote,
    exit_code,
};
use tokio::runtime::{Builder, Runtime};

/// The variable that names the scenario.
pub(crate) const SCENARIO: &str = "LIFECYCLE_TEST_SCENARIO";
/// The variable that names the folder of the report.
pub(crate) const FOLDER: &str = "LIFECYCLE_TEST_FOLDER";
/// The report's file in that folder.
pub(crate) const REPORT: &str = "report.json";
/// The termination message's file in that folder.
pub(crate) const TERMINATION_LOG: &str = "termination-log";
/// The file in that folder that says that standard output is stuck.
pub(crate) const STUCK: &str = "stuck";
/// No child needs this long; one that does is broken.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// What each line begins with that the parent is to read; the test harness prints lines, too.
pub(crate) const PREFIX: &str = "child: ";

/// The budget of scenarios that are to overrun it, whatever they got done before.
pub(crate) const SHORT: Duration = Duration::from_secs(1);
/// The budget of scenarios that are to overrun it in a certain place, which a busy machine must let them reach.
const ROOMY: Duration = Duration::from_secs(5);
/// The budget of scenarios that end by themselves, and what never comes.
const LONG: Duration = Duration::from_hours(1);

fn say(line: &str) {
    println!("{PREFIX}{line}");
    io::stdout().flush().unwrap();
}

fn block_for_ever() -> ! {
    loop {
        thread::sleep(LONG);
    }
}

/// Makes the file [`STUCK`] when nothing has been written for a while.
fn tell_when_stuck(written: &AtomicU64) {
    let mut before = None;
    loop {
        let count = written.load(Ordering::Relaxed);
        if before.replace(count) == Some(count) {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    File::create(PathBuf::from(env::var_os(FOLDER).unwrap()).join(STUCK)).unwrap();
}

/// Runs the scenario, if there is one, and ends the process.
pub(crate) fn main() {
    let Ok(scenario) = env::var(SCENARIO) else {
        return;
    };
    let signals = Signals::install().unwrap();
    let scenario = scenario.as_str();
    let log = tracing_subscriber::fmt().json();
    if scenario == "full-pipe" {
        log.init();
    } else {
        log.with_writer(io::stderr).init();
    }
    if scenario == "early" {
        say("installed");
        while signals.received().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        say("received");
    }
    let budget = match scenario {
        "hanging" | "blocking-step" | "blocked-runtime" | "early" => SHORT,
        "lingering" | "blocked-runtime-in-step" => ROOMY,
        _ => LONG,
    };
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    let readiness = Readiness::starting("opening");
    let mut outlets = Outlets::new()
        .with_file(folder.join(REPORT))
        .with_termination_log(folder.join(TERMINATION_LOG));
    if scenario != "full-pipe" {
        // The report is looked at, so a machine that is busy must not cost it. A stuck pipe never takes it.
        outlets = outlets.with_patience(PATIENCE);
    }
    let manager = ShutdownManager::new("child", budget)
        .with_readiness(readiness.clone())
        .with_signals(&signals)
        .unwrap()
        .with_outlets(outlets);
    let one_thread = [
        "blocked-runtime",
        "blocked-runtime-in-step",
        "patient-blocked",
    ];
    let runtime: Runtime = if one_thread.contains(&scenario) {
        Builder::new_current_thread().enable_all().build().unwrap()
    } else {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    runtime.block_on(run(scenario, signals, readiness, manager));
}

async fn run(scenario: &str, signals: Signals, readiness: Readiness, mut manager: ShutdownManager) {
    if scenario == "early" {
        block_for_ever();
    }
    if scenario == "starting" {
        say("starting");
        let cause = tokio::select! {
            signal = signals.first() => Cause::Signal(signal),
            () = pending() => Cause::Requested,
        };
        manager.run(cause).await.exit();
    }
    if scenario != "lingering" {
        add_steps(scenario, &mut manager);
    }
    if scenario == "task-failed" {
        let error = io::Error::other("short write");
        let cause = Cause::task_failed_with("writer", &error, exit_code::IO_ERROR);
        manager.run(cause).await.exit();
    }
    readiness.started();
    say("ready");
    if scenario == "blocked-runtime" {
        block_for_ever();
    }
    let signal = signals.first().await;
    let outcome = manager.run(Cause::Signal(signal)).await;
    if scenario == "lingering" {
        block_for_ever();
    }
    outcome.exit();
}

fn add_steps(scenario: &str, manager: &mut ShutdownManager) {
    match scenario {
        "failing" => {
            manager.step("drain", |_| async {
                let error = StepError::from("the broker is gone");
                Err::<(), _>(StepFailure::new(exit_code::FAILED, error).into())
            });
            manager.step("disconnect", |_| async {
                let queue: Option<()> = None;
                queue.map(Ok).expect("the queue is broken")
            });
        }
        "hanging" => manager.step("drain", |_| pending::<Result<(), StepError>>()),
        "blocking-step" | "blocked-runtime-in-step" => {
            manager.step("drain", |_| async {
                block_for_ever();
                #[expect(unreachable_code, reason = "gives the step its type")]
                Ok(())
            });
        }
        "patient" => manager.step("drain", |_| async {
            say("draining");
            pending::<Result<(), StepError>>().await
        }),
        "patient-blocked" => manager.step("drain", |_| async {
            say("draining");
            block_for_ever();
            #[expect(unreachable_code, reason = "gives the step its type")]
            Ok(())
        }),
        "full-pipe" => manager.step("drain", |_| async {
            let written = Arc::new(AtomicU64::new(0));
            thread::spawn({
                let written = Arc::clone(&written);
                move || tell_when_stuck(&written)
            });
            loop {
                // The parent's reader hands over one such line at a time, and no test takes it.
                tracing::info!(padding = "x".repeat(1000), "{PREFIX}nobody reads this");
                written.fetch_add(1, Ordering::Relaxed);
            }
            #[expect(unreachable_code, reason = "gives the step its type")]
            Ok(())
        }),
        _ => manager.step("drain", |_| async {
            say("step drain");
            Ok(StepNote::new().messages_left(0))
        }),
    }
    manager.step("checkpoint", |_| async {
        say("step checkpoint");
        Ok(())
    });
}
