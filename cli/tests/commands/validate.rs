//! `meshcore validate` as people call it: what an API server would say, with lines.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::common::{meshcore, run, stderr};

const GOOD: &str = "\
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {name: bay-area}
spec:
  mqttSources:
    - name: local
      broker: mqtt://mosquitto:1883
  storage:
    size: 10Gi
    storageClassName: fast
";

/// The exit code, and what was said.
fn validate(folder: &Path, args: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = meshcore(&[&["validate"], args].concat())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("its input");
    // One that has files does not read, and may have ended.
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.stdout.is_empty());
    (output.status.code(), stderr(&output).to_owned())
}

fn with_files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

#[test]
fn a_good_resource_is_told_with_its_grace_as_a_sum() {
    let folder = with_files(&[("r.yaml", GOOD)]);
    assert_eq!(
        validate(folder.path(), &["r.yaml"], ""),
        (
            Some(0),
            "OK: bay-area in r.yaml\n  grace 60 s = preStop 5 + serverDrain 20 + ingestorDrain 10 + \
             checkpoint 15 + margin 10\n"
                .to_owned()
        )
    );
}

#[test]
fn every_sample_is_good() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/samples");
    for file in std::fs::read_dir(samples).expect("a folder") {
        let path = file.expect("a file").path();
        let output = run(&["validate", &path.to_string_lossy()]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!stderr(&output).contains("warning"), "{}", stderr(&output));
    }
}

#[test]
fn all_that_is_wrong_is_told_with_its_line() {
    let folder = with_files(&[]);
    let text = GOOD
        .replace("mqtt://mosquitto:1883", "tcp://me:hunter2@b\n      tls: {}")
        .replace("size: 10Gi", "size: 10 GB\n    existingClaim: old");
    let (code, said) = validate(folder.path(), &["-"], &text);
    assert_eq!(code, Some(2));
    for part in [
        "error: the resource bay-area in standard input breaks rules:\n",
        "  spec.mqttSources[0].broker (line 7): must begin with mqtt://",
        "  spec.mqttSources[0].broker (line 7): a user name or password",
        "  spec.storage.size (line 10): must be a quantity",
        "  spec.storage.size (line 10): cannot go with existingClaim",
        "  spec.storage.storageClassName (line 12): cannot go with existingClaim",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");

    // Wrong types and unknown fields too, also inside Kubernetes' own.
    let text = GOOD.to_owned()
        + "  stopped: 'yes'\n  pod:\n    tolerations:\n      - kei: a\n    volumes: [{emptyDir: {}}]\n";
    let (code, said) = validate(folder.path(), &["-"], &text);
    assert_eq!(code, Some(2));
    for part in [
        "the resource bay-area in standard input can't be used; its fields can't be used:",
        "  spec.stopped (line 11): wrong type: a text, expected true or false",
        "  spec.pod.tolerations[0].kei (line 14): unknown field; did you mean key?",
        "  spec.pod.volumes[0].name (line 15): is missing",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[test]
fn each_resource_of_a_file_has_its_own_answer() {
    let second = GOOD.replace("bay-area", "second").replace("10Gi", "ten");
    let third = GOOD.replace("bay-area", "third").replace("size", "sise");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: mosquitto}\n";
    let text = [GOOD, secret, &second, &third].join("---\n");
    let folder = with_files(&[("all.yaml", &text)]);
    let (code, said) = validate(folder.path(), &["all.yaml"], "");
    assert_eq!(code, Some(2));
    for part in [
        "OK: bay-area in all.yaml\n",
        "Not looked at: Secret mosquitto\n",
        "the resource second in all.yaml breaks rules:\n  spec.storage.size (line 24): ",
        "the resource third in all.yaml can't be used; ",
        "  spec.storage.sise (line 35): unknown field; did you mean size?",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let two = [GOOD, &GOOD.replace("bay-area", "second")].join("---\n");
    let (code, said) = validate(folder.path(), &["-"], &two);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("OK: ").count(), 2, "{said}");
}

#[test]
fn what_cannot_be_changed_is_told_beside_the_old_resource() {
    let status = "status:\n  storage: {capacity: 10Gi}\n  fromTheFuture: {}\n";
    let failed_growth = GOOD.replace("10Gi", "100Gi") + status;
    let folder = with_files(&[("old.yaml", GOOD), ("grown.yaml", &failed_growth)]);
    let with = |old: &str, new: &str| validate(folder.path(), &["-", "--old", old], new);

    let (code, said) = with("old.yaml", &GOOD.replace("10Gi", "20Gi"));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("OK: bay-area in standard input, also as a change\n"),
        "{said}"
    );

    let (code, said) = with(
        "old.yaml",
        &GOOD.replace("10Gi", "5Gi").replace("fast", "slow"),
    );
    assert_eq!(code, Some(2));
    for part in [
        "  spec.storage.storageClassName (line 10): cannot be changed",
        "  spec.storage.size (line 9): cannot shrink; write 10Gi or more",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    // A growth that failed may be taken back, to what there is.
    assert_eq!(with("grown.yaml", GOOD).0, Some(0));
    let (code, said) = with("grown.yaml", &GOOD.replace("10Gi", "9Gi"));
    assert!(
        code == Some(2) && said.contains("write 10Gi or more"),
        "{said}"
    );
    // Another resource has no past.
    let (code, said) = with(
        "old.yaml",
        &GOOD.replace("bay-area", "b").replace("10Gi", "1Gi"),
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("as a change"), "{said}");
    let (code, said) = with("nothing.yaml", GOOD);
    assert!(
        code == Some(2) && said.contains("cannot read the file nothing.yaml"),
        "{said}"
    );
}

#[test]
fn a_grace_period_that_nobody_waits_for_is_warned_about() {
    let folder = with_files(&[]);
    let (code, said) = validate(
        folder.path(),
        &["-"],
        &(GOOD.to_owned() + "  shutdown:\n    checkpointSeconds: 600\n"),
    );
    assert_eq!(code, Some(0), "a warning refuses nothing");
    assert!(said.contains("  grace 645 s = "), "{said}");
    assert!(
        said.contains("warning:\n    spec.shutdown (line 11): 645 s are more than 600 s"),
        "{said}"
    );
}
