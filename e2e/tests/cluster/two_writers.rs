//! Never two writers: who comes second waits, says for whom, and who was overtaken stops.

mod holder;

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use meshcore_testkit::http_get;
use serde_json::{Value, json};

use crate::figures::seconds;
use crate::grace::SHORT;
use crate::grace::end::{POD, status_of};
use crate::scene::{Broker, Load, Scene, until, wait_for_page};
use holder::Holder;

const RATE: u32 = 50;

pub(crate) async fn a_pod_waits_for_the_lock_of_another_process(scene: Scene) {
    let broker = Broker::start(&scene).await;
    scene.deploy(&json!({ "shutdown": SHORT })).await;
    let page = scene.page().await;
    let load = Load::start(&broker, 0, RATE);
    scene.wait_for_packets(&page, 50).await;
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
    let broker = Broker::start(&scene).await;
    scene.deploy(&json!({ "shutdown": SHORT })).await;
    let page = scene.page().await;
    let load = Load::start(&broker, 0, RATE);
    scene.wait_for_packets(&page, 50).await;
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
    until("the old one has ended", || old.exit_code().is_some()).await;
    scene.figure(
        "from the takeover to the end of the old writer",
        seconds(overtaken.elapsed()),
        "",
    );
    assert_eq!(old.exit_code(), Some(1));
    let report = std::fs::read(scene.database().with_extension("db.shutdown-ingestor.json"));
    let report: Value = serde_json::from_slice(&report.unwrap()).unwrap();
    let why = report["causeDetail"].as_str().unwrap_or_default();
    assert!(why.contains("another program writes to"), "{report}");
    scene.wait("mcd/mesh", "condition=Ready").await;

    drop(shim);
    until("the old pod is gone", || {
        old.is_gone() && old_server.is_gone()
    })
    .await;
    wait_for_page(&page).await;
    let hashes = load.finish().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    scene.stop_and_check(&hashes).await;
}

impl Scene {
    /// That the pod's ingestor waits for whoever holds the lock, and says so wherever people look.
    async fn assert_waits_for(&self, holder: &str) {
        let pod = self
            .wait_for_pod("an ingestor that runs", |pod| {
                pod.metadata.deletion_timestamp.is_none() && address_of_ingestor(pod).is_some()
            })
            .await;
        let address = address_of_ingestor(&pod).unwrap();
        let mut said = String::new();
        until("it says what it waits for", || {
            let answer = http_get(&format!("http://{address}:8081/health/startup"));
            let (status, body) = answer.unwrap_or_default();
            said = body;
            status == 503 && said.contains("is being written by another process")
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
        let now = self.pods().await.get(POD).await.unwrap();
        assert_eq!(now.uid(), pod.uid());
        let status = status_of(&now, "ingestor");
        assert_eq!((status.restart_count, status.ready), (0, false));
    }
}

/// The pod's address, if its ingestor runs and has not started.
fn address_of_ingestor(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let ingestor = status.init_container_statuses.as_ref()?.first()?;
    ingestor.state.as_ref()?.running.as_ref()?;
    (ingestor.started != Some(true)).then(|| status.pod_ip.clone())?
}
