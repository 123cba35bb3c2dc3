//! A password that changes.

use std::process::Command;
use std::time::Instant;

use meshcore_testkit::http_get;
use meshcore_testkit::kubernetes::wait_for;
use serde_json::json;

use super::story::Story;
use crate::figures::seconds;
use crate::scene::{Pod, Scene, bare_id};

const USER: &str = "analyzer";

pub(crate) async fn a_rotated_password_restarts_nothing_and_loses_nothing(scene: Scene) {
    let credentials = json!({"name": "sign-in"});
    let spec = json!({"mqttSources": [
        {"name": "broker", "broker": "mqtt://broker:1883", "credentialsSecretRef": credentials},
        // It takes nothing, so that it stores nothing that the first one missed.
        {"name": "other", "broker": "mqtt://broker:1883", "topics": ["other/#"]},
    ]});
    scene.apply(&secret("the-first-password")).await.unwrap();
    let mut story = Story::begin(scene, &spec).await;
    // From now on the broker looks at passwords; as the password is right, nobody notices.
    accept_only(&story.scene, "the-first-password").await;
    let pod = story.scene.pod().await;
    story
        .incident("Secret rotation", async |story| {
            rotate(&story.scene, &pod).await;
        })
        .await;
    let now = story.scene.pod().await;
    assert!(pod.is_untouched(&now), "no container was restarted");
    story.end().await;
}

async fn rotate(scene: &Scene, pod: &Pod) {
    let others = connects(pod, "other").await;
    accept_only(scene, "the-second-password").await;
    // With the old one it gets no further, so what connects below has the new one.
    connected(pod, 0).await;
    let began = Instant::now();
    scene.apply(&secret("the-second-password")).await.unwrap();
    connected(pod, 1).await;
    let delay = seconds(began.elapsed());
    scene.figure("from the Secret's change to the connection", delay, "");
    let now = connects(pod, "other").await;
    assert_eq!(now, others, "others stay connected");
}

/// Waits until the source that signs in is connected (1) or not (0).
async fn connected(pod: &Pod, expected: u64) {
    wait_for(&format!("connected: {expected}"), async || {
        (metric(pod, "connected", "broker").await? == expected).then_some(())
    })
    .await
    .unwrap();
}

/// How often a source has connected.
async fn connects(pod: &Pod, source: &str) -> u64 {
    wait_for("the ingestor counts", async || {
        metric(pod, "connects_total", source).await
    })
    .await
    .unwrap()
}

/// What the ingestor counts of a source; `None` too when it does not answer in time.
async fn metric(pod: &Pod, name: &str, source: &str) -> Option<u64> {
    let url = format!("http://{}:8081/metrics", pod.address()?);
    let metrics = tokio::task::spawn_blocking(move || http_get(&url));
    let (_, text) = metrics.await.unwrap().ok()?;
    let name = format!("meshcore_source_{name}{{source=\"{source}\"}} ");
    let line = text.lines().find(|line| line.starts_with(&name))?;
    line[name.len()..].parse().ok()
}

fn secret(password: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sign-in"},
        "stringData": {"username": USER, "password": password},
    })
    .to_string()
}

/// Tells the broker the one password of the user; whoever is connected by another one has to go.
async fn accept_only(scene: &Scene, password: &str) {
    let disks = scene.cluster.disks();
    let folder = disks.path(scene.namespace.name(), "broker").unwrap();
    let users = folder.join("users");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&users)
        .args([USER, password])
        .status()
        .expect("mosquitto_passwd comes with mosquitto: apt-get install mosquitto");
    assert!(made.success());
    make_readable(&users);
    // Such files are part of its configuration.
    let settings = folder.join("users.conf");
    std::fs::write(&settings, "password_file /data/users\n").unwrap();
    make_readable(&settings);
    let id = broker_container(scene).await;
    let reload = ["tasks", "kill", "--signal=SIGHUP", &id];
    scene.cluster.ctr(&reload).unwrap();
}

/// The only container of the broker.
async fn broker_container(scene: &Scene) -> String {
    let path = "{.items[0].status.containerStatuses[0].containerID}";
    let output = format!("-o=jsonpath={path}");
    let get = ["get", "pods", "-l=app=broker", &output];
    let id = scene.kubectl(&get).await.unwrap();
    bare_id(&id).to_owned()
}

fn make_readable(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
}
