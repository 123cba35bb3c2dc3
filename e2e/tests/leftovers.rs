//! The cluster of `make cluster-up`: it works from outside, and nothing of it is left, however it ends.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use meshcore_testkit::kubernetes::kubectl;
use meshcore_testkit::{can_mount, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What a cluster may leave on a machine, beside what is anybody's.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    mounts: usize,
    folders: usize,
    cgroups: usize,
    processes: usize,
    loops: usize,
    runtime_files: usize,
    links: String,
    rules: String,
}

impl Traces {
    /// Those of the cluster whose folder has this name.
    fn of(name: &str) -> Self {
        let text = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let count = |text: String| text.matches(name).count();
        let groups = ["/sys/fs/cgroup", "-maxdepth", "2", "-name", name];
        Self {
            mounts: count(std::fs::read_to_string("/proc/mounts").unwrap()),
            folders: usize::from(Path::new("/var/tmp").join(name).exists()),
            cgroups: count(text("find", &groups)),
            processes: count(text("ps", &["-eo", "args"])),
            loops: count(text("losetup", &["--list", "--noheadings"])),
            runtime_files: ["/run/netns", "/run/containerd", "/var/lib/cni"]
                .map(|folder| std::fs::read_dir(folder).map_or(0, Iterator::count))
                .iter()
                .sum(),
            links: text("ip", &["-brief", "link"]),
            // Without comments, which tell the time.
            rules: text("iptables-save", &["-t", "nat"])
                .lines()
                .filter(|line| !line.starts_with('#'))
                .collect(),
        }
    }

    /// Waits until only these are left.
    fn wait_for(&self, name: &str) {
        let gone = wait_until("nothing is left", Duration::from_secs(20), || {
            (Self::of(name) == *self).then_some(())
        });
        if gone.is_err() {
            assert_eq!(Self::of(name), *self, "something is left");
        }
    }
}

fn cluster(folder: &Path, command: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meshcore-cluster"))
        .arg("--folder")
        .arg(folder)
        .arg(command)
        .output()
        .unwrap()
}

/// Starts a cluster and gives the name of its folder.
fn up(folder: &Path) -> String {
    let output = cluster(folder, "up");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("export KUBECONFIG="), "{text}");
    let apart = std::fs::read_to_string(folder.join("apart")).unwrap();
    apart.replace("/var/tmp/", "")
}

#[test]
fn a_cluster_is_reached_from_outside_and_leaves_nothing_also_when_it_is_killed() {
    if !can_mount() {
        return;
    }
    let Some(kubectl) = kubectl().unwrap() else {
        return;
    };
    let nothing = Traces::of("meshcore-apart-none");
    let home = TempDir::new().unwrap();
    let folder = home.path().join("cluster");
    let name = up(&folder);
    let nodes = Command::new(kubectl)
        .args(["get", "nodes", "--no-headers"])
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .output()
        .unwrap();
    let nodes = String::from_utf8(nodes.stdout).unwrap();
    assert!(nodes.starts_with("node1   Ready"), "{nodes}");
    let there = Traces::of(&name);
    assert!(there.folders > 0 && there.cgroups > 0 && there.processes > 0);
    assert!(cluster(&folder, "down").status.success());
    assert!(!folder.exists());
    nothing.wait_for(&name);

    let name = up(&folder);
    let keeper = std::fs::read_to_string(folder.join("keep.pid")).unwrap();
    let keeper = Pid::from_raw(keeper.trim().parse().unwrap()).unwrap();
    kill_process(keeper, Signal::KILL).unwrap();
    nothing.wait_for(&name);
    let down = cluster(&folder, "down");
    assert!(down.status.success(), "there is nothing to stop any more");
}
