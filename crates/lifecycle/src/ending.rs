//! The only places where this crate ends the process.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracing::error;

use crate::progress::{Ending, Progress};
use crate::{Outlets, Signal, events};

/// How long a forced end may wait for its report: the disk or the log may be what is stuck.
const REPORT_PATIENCE: Duration = Duration::from_millis(500);

/// Ends the process in the ordinary way.
#[expect(
    clippy::exit,
    reason = "returning from main would wait for blocking tasks of the runtime"
)]
pub(crate) fn exit(code: u8) -> ! {
    std::process::exit(i32::from(code))
}

/// Ends the process because of a second signal, after a word about what was left.
pub(crate) fn force(progress: Option<Arc<Progress>>, signal: Signal) -> ! {
    let ending = Ending::Forced(signal);
    let code = ending.exit_code();
    report_within_patience(progress, ending, move |left| {
        error!(
            event = events::SHUTDOWN_FORCED,
            signal = signal.name(),
            exit_code = code,
            left = ?left,
            "A second signal ends the process at once"
        );
        format!(
            "second {}: exit {code} at once, left: {}",
            signal.name(),
            left.join(", ")
        )
    });
    signal_hook::low_level::exit(i32::from(code))
}

/// Ends the process because its deadline passed and the runtime did nothing about it.
pub(crate) fn overrun(progress: Arc<Progress>) -> ! {
    let code = Ending::Overrun.exit_code();
    report_within_patience(Some(progress), Ending::Overrun, move |left| {
        error!(
            event = events::SHUTDOWN_WATCHDOG_FIRED,
            exit_code = code,
            left = ?left,
            "The shutdown deadline passed and the runtime is blocked, the watchdog ends the process"
        );
        format!(
            "shutdown deadline passed, runtime blocked: exit {code}, left: {}",
            left.join(", ")
        )
    });
    // Not std's exit: its exit handlers may wait for a lock that a stuck thread holds.
    signal_hook::low_level::exit(i32::from(code))
}

/// Writes the report to the files and to the log from threads of their own, since each may block,
/// and returns when both are done or patience is over. `announce` logs and gives a line for stderr.
fn report_within_patience(
    progress: Option<Arc<Progress>>,
    ending: Ending,
    announce: impl FnOnce(&[String]) -> String + Send + 'static,
) {
    let patience = progress.as_ref().map_or(REPORT_PATIENCE, |progress| {
        progress.outlets().patience(REPORT_PATIENCE)
    });
    let (done, all_done) = mpsc::channel::<()>();
    let run = |name: &str, job: Box<dyn FnOnce() + Send>| {
        let done = done.clone();
        // Without a thread there is no report; the exit must come all the same.
        drop(thread::Builder::new().name(name.to_owned()).spawn(move || {
            job();
            drop(done);
        }));
    };
    let for_log = progress.clone();
    run(
        "last-log",
        Box::new(move || {
            let report = for_log.map(|progress| progress.report(ending));
            let line = announce(report.as_ref().map_or(&[], |report| &report.left));
            if let Some(report) = report {
                Outlets::log(&report);
            }
            // A broken stderr has no one left to tell.
            drop(writeln!(std::io::stderr(), "{line}"));
        }),
    );
    if let Some(progress) = progress {
        let write = move || progress.outlets().write(&progress.report(ending));
        run("last-report", Box::new(write));
    }
    drop(done);
    // Nothing is ever sent: the channel disconnects when the last job is done.
    _ = all_done.recv_timeout(patience);
}
