//! Never two writers: who comes second waits, says for whom, and who was overtaken stops.

mod holder;

use std::time::Instant;

use k8s_openapi::api::core::v1::ContainerStatus;
use meshcore_testkit::http_get;
use serde_json::{Value, json};

use crate::figures::seconds;
use crate::grace::BRISK;
use crate::scene::{Broker, Load, POD, Pod, Scene, until, wait_for_page};
use holder::Holder;

const RATE: u32 = 50;

pub(crate) async fn a_pod_waits_for_the_lock_of_another_process(scene: Scene) {
    let (load, page) = scene.writes().await;
    scene.change(&json!({"stopped": true})).await;
    scene
        .wait(
            "mcd/mesh",
            "jsonpath={.status.conditions[?(@.type=='Ready')].reason}=Stopped",
        )
        .await;
    let holder = Holder::take(&scene.database()).await;
    scene.change(&json!({"stopped": false})).await;
    scene.assert_waits_for(&holder.name()).await;

    let released = Instant::now();
    drop(holder);
    scene.wait("mcd/mesh", "condition=Ready").await;
    scene.figure(
        "from the release of the lock to Ready",
        seconds(released.elapsed()),
        "",
    );
    wait_for_page(&page).await;
    let hashes = load.finish().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    scene.stop_and_check(&hashes).await;
}

/// The kubelet can't reach the old pod's processes, as on a node that is cut off.
pub(crate) async fn a_pod_that_outlives_its_forced_deletion_is_waited_for_and_fenced(scene: Scene) {
    let (load, page) = scene.writes().await;
    let old = scene.process("ingestor").await;
    let old_server = scene.process("server").await;
    let old_page = scene.value("pod/mesh-0", "{.status.podIP}").await + ":8080";
    let shim = old.parent().freeze().await;
    scene
        .kubectl(&["delete", "pod", POD, "--force", "--grace-period=0"])
        .await
        .unwrap();

    scene.assert_waits_for("meshcore-ingestor").await;
    // The old server is in no Service any more, and shows what the old ingestor goes on to write.
    let count = scene.wait_for_packets(&old_page, 0).await;
    scene.wait_for_packets(&old_page, count + 50).await;

    // As if they were on two machines: each locks a file of its own.
    std::fs::remove_file(scene.database().with_extension("db.writer")).unwrap();
    let overtaken = Instant::now();
    let code = until("the old one has ended", async || {
        old.exit_code().ok_or("it runs")
    })
    .await;
    scene.figure(
        "from the takeover to the end of the old writer",
        seconds(overtaken.elapsed()),
        "",
    );
    assert_eq!(code, 1);
    let report = std::fs::read(scene.database().with_extension("db.shutdown-ingestor.json"));
    let report: Value = serde_json::from_slice(&report.unwrap()).unwrap();
    let why = report["causeDetail"].as_str().unwrap_or_default();
    assert!(why.contains("another program writes to"), "{report}");
    scene.wait("mcd/mesh", "condition=Ready").await;

    drop(shim);
    until("the old pod is gone", async || {
        let is_gone = old.is_gone() && old_server.is_gone();
        is_gone.then_some(()).ok_or("something of it runs")
    })
    .await;
    wait_for_page(&page).await;
    let hashes = load.finish().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    scene.stop_and_check(&hashes).await;
}

impl Scene {
    /// A deployment that takes packets.
    async fn writes(&self) -> (Load, String) {
        let broker = Broker::start(self).await;
        self.deploy(&json!({ "shutdown": BRISK })).await;
        let page = self.page().await;
        let load = Load::start(&broker, 0, RATE);
        self.wait_for_packets(&page, 50).await;
        (load, page)
    }

    /// That the pod's ingestor waits for whoever holds the lock, and says so wherever people look.
    async fn assert_waits_for(&self, holder: &str) {
        let pod = self
            .wait_for_pod("an ingestor that runs", |pod| {
                !pod.is_being_deleted() && has_unstarted_ingestor(pod)
            })
            .await;
        let url = format!("http://{}:8081/health/startup", pod.address().unwrap());
        let said = until("it says what it waits for", async || {
            let (status, body) = http_get(&url).unwrap_or_default();
            let waits = status == 503 && body.contains("is being written by another process");
            if waits { Ok(body) } else { Err(body) }
        })
        .await;
        assert!(said.contains(holder), "{said}");
        let log = self
            .kubectl(&["logs", POD, "-c", "ingestor"])
            .await
            .unwrap();
        assert!(
            log.contains("Waiting for the database") && log.contains(holder),
            "{log}"
        );
        let path = "{.status.conditions[?(@.type=='Ready')]}";
        let waits = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}=Starting";
        self.wait("mcd/mesh", waits).await;
        let condition = self.value("mcd/mesh", path).await;
        assert!(
            condition.contains("Sidecar ingestor of pod mesh-0")
                && condition.contains("kubectl logs mesh-0 -c ingestor"),
            "{condition}"
        );
        self.assert_has_not_restarted(&pod).await;
    }

    /// It waits; it does not crash again and again.
    async fn assert_has_not_restarted(&self, pod: &Pod) {
        let now = self.pod().await;
        assert_eq!(now.uid(), pod.uid());
        let status = now.container("ingestor").unwrap();
        assert_eq!((status.restart_count, status.ready), (0, false));
    }
}

/// Whether its ingestor runs and has not started.
fn has_unstarted_ingestor(pod: &Pod) -> bool {
    let is_running = |status: &ContainerStatus| status.state.as_ref()?.running.as_ref().map(drop);
    let ingestor = pod.container("ingestor");
    let ingestor = ingestor.filter(|status| is_running(status).is_some());
    pod.address().is_some() && ingestor.is_some_and(|status| status.started != Some(true))
}
