//! What happens when a program dies or does not stop.

use std::io::{PipeReader, PipeWriter, Write};
use std::process::Stdio;

use meshcore_testkit::{free_port, http_get, wait_until};
use rustix::process::{Pid, Signal, kill_process};

use super::harness::{SOON, Up, command, write};

#[test]
fn a_program_that_dies_is_started_again_and_nothing_stored_is_lost() {
    let mut up = Up::start(&["--demo", "--rate", "50"]);
    up.wait_for_counter("totalObservations", 20);
    let first = up.child("meshcore-ingestor");
    kill_process(first, Signal::KILL).unwrap();
    let line = up.wait_for_line("The ingestor has ended");
    assert!(line.contains("exit code 137 (it was killed"), "{line}");
    up.wait_for_line("It is started again in 1 s");
    let stored = up.wait_for_counter("totalObservations", 20);
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
    let (_, after) = log
        .split_once("up       |   server    KILLED after ")
        .expect("it was killed");
    let (seconds, _) = after.split_once(" s,").expect("seconds");
    assert!(seconds.parse::<f64>().unwrap() >= 6.0, "{log}");
    assert!(log.contains("up       |   ingestor  clean, "), "{log}");
}

#[test]
fn a_program_that_waits_to_be_started_again_does_not_hold_a_stop_up() {
    let mut up = Up::start(&[]);
    up.wait_until_it_runs();
    // The waits double, until one is long enough for a slow finger.
    for _ in 0..4 {
        let before = up.log().matches("The server has ended").count();
        kill_process(up.child("meshcore-server"), Signal::KILL).unwrap();
        let more = || (up.log().matches("The server has ended").count() > before).then_some(());
        wait_until("it has ended", SOON, more).unwrap();
    }
    up.wait_for_line("It is started again in 8 s");
    up.press_ctrl_c();
    assert_eq!(up.exit_code(), 137, "{}", up.log());
    assert!(
        up.log()
            .contains("server    was not running; it had ended with exit code 137")
    );
    assert!(up.report("ingestor").unwrap().clean);
}

#[test]
fn a_terminal_that_nobody_reads_does_not_hold_a_stop_up() {
    let folder = tempfile::tempdir().unwrap();
    let [server, health] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let (unread, stderr) = full_pipe();
    let mut up = command(
        folder.path(),
        &["--listen", &server, "--health-address", &health],
    )
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .stderr(stderr)
    .spawn()
    .unwrap();
    let url = format!("http://{server}/health/ready");
    let ready = wait_until("it runs", SOON, || {
        http_get(&url).ok().filter(|answer| answer.0 == 200)
    });
    let pid = Pid::from_raw(i32::try_from(up.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let ended = wait_until("it ends", SOON, || up.try_wait().unwrap());
    // Nothing is left behind when it did not.
    drop(up.kill());
    ready.unwrap();
    assert_eq!(ended.unwrap().code(), Some(0));
    drop(unread);
}

/// A pipe that takes nothing in, as that of a terminal that was stopped.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}
