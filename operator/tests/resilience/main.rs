//! The operator while things fail around it, on a real API server: requests that are spoiled, processes that are
//! killed, watches that go silent, two operators at once, and nothing at all.
//!
//! Most of these tests wait most of the time, the longest for five minutes, so all of them run at once.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]
#![expect(clippy::print_stdout, reason = "figures are for whoever reads the log")]

mod bounds;
mod calls;
mod fencing;
#[path = "../common/operator.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod operator;
mod quiet;
mod support;

use std::future::Future;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use meshcore_testkit::kubernetes::ControlPlane;

/// More than there are tests.
const THREADS: usize = 64;

/// Tests by their names: the functions that get the control plane that all share.
macro_rules! tests {
    ($($module:ident::$test:ident,)*) => {
        vec![$(trial(concat!(stringify!($module), "::", stringify!($test)), $module::$test)),*]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let tests = tests![
        calls::each_call_fails_and_the_end_is_the_same,
        calls::a_kill_after_each_call_changes_nothing,
        quiet::five_minutes_of_resync_and_a_restart_cost_no_write_but_the_lease,
        fencing::a_leader_that_was_frozen_in_a_reconcile_writes_nothing_when_it_goes_on,
        bounds::every_request_is_answered_with_500,
        bounds::every_request_is_one_too_many,
        bounds::every_write_is_a_conflict,
        bounds::every_watch_is_refused,
        bounds::every_watch_breaks_at_once,
        bounds::every_watch_is_too_old_at_once,
        bounds::every_watch_ends_at_once,
    ];
    libtest_mimic::run(&arguments, tests).exit_code()
}

fn trial<F>(name: &str, test: fn(&'static ControlPlane) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(name, move || {
        // Where there is none, that was said aloud; in CI this is not reached.
        if let Some(plane) = ControlPlane::shared() {
            runtime().block_on(test(plane));
        }
        Ok(())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made")
}
