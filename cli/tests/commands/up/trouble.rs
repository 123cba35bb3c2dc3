//! What happens when a program dies or does not stop.

use rustix::process::{Signal, kill_process};

use super::harness::{Up, write};

#[test]
fn a_program_that_dies_is_started_again_and_nothing_stored_is_lost() {
    let mut up = Up::start(&["--demo", "--rate", "50"]);
    up.wait_for_counter("totalObservations", 20);
    let first = up.child("meshcore-ingestor");
    kill_process(first, Signal::KILL).unwrap();
    let line = up.wait_for_line("The ingestor has ended");
    assert!(line.contains("exit code 137 (it was killed"), "{line}");
    up.wait_for_line("It is started again in 1 s");
    let stored = up.counter("totalObservations").unwrap();
    assert!(stored >= 20);
    up.wait_for_counter("totalObservations", stored + 20);
    assert_ne!(up.child("meshcore-ingestor"), first);

    let server = up.child("meshcore-server");
    kill_process(server, Signal::ABORT).unwrap();
    let line = up.wait_for_line("The server has ended");
    assert!(line.contains("exit code 134 (it aborted)"), "{line}");
    up.wait_for_counter("totalObservations", stored + 30);
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 0, "only the last lives count: {}", up.log());
}

#[test]
fn a_program_past_its_deadline_and_margin_is_killed_and_the_next_one_still_stops_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let resource = "\
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {name: slow}
spec:
  mqttSources: [{name: nobody, broker: 'mqtt://127.0.0.1:1'}]
  storage: {size: 1Gi}
  shutdown: {serverDrainSeconds: 1, marginSeconds: 5}
";
    write(folder.path(), "slow.yaml", resource);
    let mut up = Up::start_in(folder, &["-f", "{}/slow.yaml"]);
    up.wait_until_it_runs();
    // It can't run, so its own watchdog can't end it either.
    kill_process(up.child("meshcore-server"), Signal::STOP).unwrap();
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 124, "{}", up.log());
    let log = up.log();
    assert!(
        log.contains("up       |   server    KILLED after 6."),
        "{log}"
    );
    assert!(log.contains("up       |   ingestor  clean, "), "{log}");
}

#[test]
fn a_program_that_waits_to_be_started_again_does_not_hold_a_stop_up() {
    let mut up = Up::start(&[]);
    up.wait_until_it_runs();
    for _ in 0..3 {
        let before = up.log().matches("The server has ended").count();
        kill_process(up.child("meshcore-server"), Signal::KILL).unwrap();
        let more = || (up.log().matches("The server has ended").count() > before).then_some(());
        meshcore_testkit::wait_until("it has ended", super::harness::SOON, more).unwrap();
    }
    up.wait_for_line("It is started again in 4 s");
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 137, "{}", up.log());
    assert!(
        up.log()
            .contains("server    was not running; it had ended with exit code 137")
    );
    assert!(up.report("ingestor").unwrap().clean);
}
