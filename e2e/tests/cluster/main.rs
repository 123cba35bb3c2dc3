//! The promises, on a real cluster: our images under a kubelet, with volumes, Services, names and Helm.
//!
//! All tests share one cluster and one operator, installed by Helm, and each has a namespace of its own, which
//! admits only pods that need nothing (the restricted Pod Security Standard). At the end there is a table of figures.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]
#![expect(clippy::print_stdout, reason = "figures are for whoever reads the log")]

mod day_two;
mod figures;
mod gitops;
mod grace;
mod loss;
mod main_job;
mod scene;
mod security;
mod two_writers;

use std::future::Future;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use meshcore_testkit::can_mount;
use meshcore_testkit::kubernetes::Cluster;
use scene::{Company, Scene};

/// As many at once as a small machine can serve; they wait more than they work.
const THREADS: usize = 4;

/// Tests by their names: functions that get a scene of their own.
macro_rules! tests {
    ($($module:ident::$test:ident,)*) => { trials!(Company::Others, $($module::$test,)*) };
}

/// Tests that disturb the whole node or the operator, or promise a time: each runs while no other does.
macro_rules! tests_alone {
    ($($module:ident::$test:ident,)*) => { trials!(Company::Nobody, $($module::$test,)*) };
}

macro_rules! trials {
    ($company:expr, $($module:ident::$test:ident,)*) => {
        vec![$(trial(concat!(stringify!($module), "::", stringify!($test)), $company, $module::$test)),*]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let mut tests = tests![
        // The longest first.
        grace::a_pod_deleted_twenty_times_under_load_ends_in_order_each_time,
        grace::a_budget_of_300_seconds_lets_a_slow_client_finish,
        gitops::a_tool_that_applies_again_and_again_is_no_quarrel,
        loss::containers_that_are_killed_lose_nothing,
        loss::pods_that_are_replaced_lose_nothing,
        loss::a_rotated_password_restarts_nothing_and_loses_nothing,
        grace::a_blocked_server_is_ended_by_its_watchdog,
        grace::a_frozen_server_is_killed_and_takes_nothing_with_it,
        grace::a_budget_of_twelve_seconds_cuts_a_slow_client,
        two_writers::a_pod_waits_for_the_lock_of_another_process,
        two_writers::a_pod_that_outlives_its_forced_deletion_is_waited_for_and_fenced,
        security::the_operator_uses_each_right_that_it_holds,
        security::namespaces_refuse_pods_that_ask_for_more,
        security::pods_have_no_token_no_capability_and_nothing_to_write_to,
        day_two::a_claim_grows_while_it_is_used_and_keeps_its_class,
        day_two::a_full_disk_is_told_and_loses_nothing,
        day_two::a_stop_and_a_deletion_leave_the_data,
        day_two::a_downgrade_is_refused_and_says_so,
        day_two::a_rollout_restart_is_left_alone,
    ];
    // Last, since nothing new begins while one of them waits for its turn.
    tests.extend(tests_alone![
        main_job::a_mesh_is_seen_within_half_a_minute,
        loss::a_node_and_an_operator_that_are_replaced_lose_nothing,
    ]);
    if !arguments.list {
        if !can_mount() {
            return ExitCode::SUCCESS;
        }
        Cluster::move_apart().unwrap();
    }
    arguments.test_threads.get_or_insert(THREADS);
    let conclusion = libtest_mimic::run(&arguments, tests);
    figures::print();
    if !arguments.list {
        security::nothing_was_forbidden();
    }
    conclusion.exit_code()
}

fn trial<F>(name: &'static str, company: Company, test: fn(Scene) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(async {
            // Where there is none, that was said aloud; in CI this is not reached.
            if let Some(scene) = Scene::new(name, company).await {
                test(scene).await;
            }
        });
        Ok(())
    })
}
