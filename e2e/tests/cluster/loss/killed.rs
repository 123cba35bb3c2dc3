//! Deaths without a warning, and one with.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::story::Story;
use crate::scene::{Pod, Scene};

/// What SIGKILL leaves, whoever sends it.
const KILLED: i32 = 128 + 9;

pub(crate) async fn containers_that_are_killed_lose_nothing(scene: Scene) {
    let mut story = Story::begin(scene, &json!({})).await;
    story
        .incident("SIGKILL of the ingestor", async |story| {
            kill(&story.scene, "ingestor").await;
        })
        .await;
    story
        .incident("SIGKILL of the server", async |story| {
            kill(&story.scene, "server").await;
        })
        .await;
    story
        .incident("pod delete", async |story| {
            let pod = story.scene.pod().await;
            let delete = ["delete", "pod/mesh-0"];
            story.scene.kubectl(&delete).await.unwrap();
            story.scene.wait_for_another_pod(pod.uid()).await;
        })
        .await;
    // In a new pod, since the kubelet lets a container that dies again wait.
    story
        .incident("OOM kill of the ingestor", async |story| {
            exhaust_memory(&story.scene, "ingestor").await;
        })
        .await;
    story.end().await;
}

async fn kill(scene: &Scene, container: &str) {
    let pod = scene.pod().await;
    let id = pod.container_id(container).unwrap();
    scene
        .cluster
        .ctr(&["tasks", "kill", "--signal=SIGKILL", id])
        .unwrap();
    assert_eq!(death(scene, &pod, container).await, "Error");
}

/// Eats the memory of the container's control group from within it, but with pages of a file in memory, which nobody
/// can be killed for: the kernel takes the program.
async fn exhaust_memory(scene: &Scene, container: &str) {
    let pod = scene.pod().await;
    let group = control_group(scene, pod.container_id(container).unwrap());
    let folder = tempfile::tempdir_in(scene.cluster.folder().join("memory")).unwrap();
    let script = "echo $$ >\"$0/cgroup.procs\" && exec dd if=/dev/zero of=\"$1\" bs=1M count=1024";
    let mut eater = Command::new("sh")
        .args(["-c", script])
        .arg(&group)
        .arg(folder.path().join("eaten"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let reason = death(scene, &pod, container).await;
    eater.kill().unwrap();
    eater.wait().unwrap();
    assert_eq!(reason, "OOMKilled");
}

/// Waits until the container has died by SIGKILL and the pod is ready again with its next life: the reason of the
/// kubelet.
async fn death(scene: &Scene, before: &Pod, container: &str) -> String {
    let came_back =
        |pod: &Pod| pod.container_id(container) != before.container_id(container) && pod.is_ready();
    let after = scene.wait_for_pod("it came back", came_back).await;
    assert_eq!(after.uid(), before.uid(), "the pod stays");
    let status = after.container(container).unwrap();
    let last = status.last_state.as_ref().unwrap();
    let last = last.terminated.as_ref().unwrap();
    assert_eq!(last.exit_code, KILLED, "{last:?}");
    last.reason.clone().unwrap()
}

/// The folder of the control group that limits the memory of a container.
fn control_group(scene: &Scene, id: &str) -> PathBuf {
    let groups = std::fs::read_to_string(scene.process_of(id).file("cgroup")).unwrap();
    let of = |prefix: &str| {
        groups
            .lines()
            .find_map(|line| line.split_once(prefix).map(|(_, path)| path.to_owned()))
    };
    // Version 1 has a tree for memory, version 2 one for everything.
    match of(":memory:/") {
        Some(path) => Path::new("/sys/fs/cgroup/memory").join(path),
        None => Path::new("/sys/fs/cgroup").join(of("0::/").unwrap()),
    }
}
