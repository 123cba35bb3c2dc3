//! What happens when the pod is stopped: in its order, within its time, and whatever hangs.

pub(crate) mod end;
mod slow_client;
pub(crate) mod stop;

use std::time::{Duration, Instant};

use meshcore_lifecycle::ShutdownBudget;
use serde_json::{Value, json};

use crate::figures::seconds;
use crate::scene::{Broker, Load, SOON, Scene, get, wait_for_page};
use end::PodEnd;
use slow_client::{PACKETS, SlowClient};
use stop::Stop;

/// Packets a second.
const RATE: u32 = 50;
/// The default, but that new connections don't have five seconds to go elsewhere: 56 s. A stop under load takes only a
/// few of them, and still comes to its end on a machine that does much else.
pub(crate) const BRISK: ShutdownBudget = ShutdownBudget {
    pre_stop_seconds: 1,
    server_drain_seconds: 20,
    ingestor_drain_seconds: 10,
    checkpoint_seconds: 15,
    margin_seconds: 10,
};
/// The same for a server that takes all of its time: 41 s.
const BLOCKED: ShutdownBudget = ShutdownBudget {
    server_drain_seconds: 5,
    ..BRISK
};
/// A budget that is all used: 12 s. When a slow client is cut, a second of the server's time is left for the rest.
const SHORT: ShutdownBudget = ShutdownBudget {
    pre_stop_seconds: 0,
    server_drain_seconds: 4,
    ingestor_drain_seconds: 1,
    checkpoint_seconds: 2,
    margin_seconds: 5,
};
/// 300 s.
const LONG: ShutdownBudget = ShutdownBudget {
    pre_stop_seconds: 5,
    server_drain_seconds: 200,
    ingestor_drain_seconds: 50,
    checkpoint_seconds: 35,
    margin_seconds: 10,
};

pub(crate) async fn a_pod_deleted_twenty_times_under_load_ends_in_order_each_time(scene: Scene) {
    let broker = Broker::start(&scene).await;
    scene.deploy(&json!({})).await;
    let page = scene.page().await;
    let load = Load::start(&broker, 0, RATE);
    let mut looks = 0;
    for (budget, times) in [(ShutdownBudget::default(), 4), (BRISK, 16)] {
        scene.change(&json!({ "shutdown": budget })).await;
        let grace = budget.termination_grace_period_seconds();
        scene.wait_for_grace(grace).await;
        let mut stops = Vec::new();
        for _ in 0..times {
            stops.push(Stop::checked(&scene, &page, &budget).await);
        }
        looks += stops.iter().filter(|stop| stop.saw_wal).count();
        let of = |what: &str| format!("{times} deletions, grace of {grace} s: {what}");
        let target = format!("max {grace} s");
        scene.median_and_most(&of("until gone"), stops.iter().map(|it| it.took), &target);
        scene.median_and_most(&of("page away"), stops.iter().map(|it| it.gap), "");
    }
    scene.figure("WAL seen empty on the disk, of 20 stops", looks, "");
    assert!(
        looks > 0,
        "the next writer was always quicker than the look"
    );
    let hashes = load.finish().await;
    scene.wait_for_packets(&page, hashes.len()).await;
    let gap = scene.stop_and_check(&hashes).await;
    scene.figure("acknowledged packets, none lost", hashes.len(), "");
    scene.figure("longest time without a packet", seconds(gap), "");
}

pub(crate) async fn a_blocked_server_is_ended_by_its_watchdog(scene: Scene) {
    let (load, page) = scene.under_load(&BLOCKED).await;
    scene.process("server").await.block_runtime();
    wait_for_silence(&page).await;
    let end = PodEnd::by_deletion(&scene).await;

    assert_eq!(end.server.exit_code, 124);
    let report = end.server.report.as_ref().unwrap();
    assert!(!report.clean && report.left == ["run"], "{report:?}");
    end.assert_was_served(&BLOCKED, report);
    let took = Duration::from_millis(report.took_milliseconds);
    assert!(took >= BLOCKED.server_deadline(), "{report:?}");
    end.assert_checkpointed();
    end.assert_within(&BLOCKED);
    assert!(!end.server.was_killed(&scene) && !end.ingestor.was_killed(&scene));
    scene.figure("deletion to gone", seconds(end.took), "41 s");

    let told = scene.last_shutdown(&end.uid).await;
    assert_unclean(&told, "server: SIGTERM, left: run (exit code 124)");
    let phases = told["phases"].as_array().unwrap();
    assert!(phases.iter().any(|it| it["name"] == "checkpoint"), "{told}");
    scene.comes_back(&end, load, &page).await;
}

pub(crate) async fn a_frozen_server_is_killed_and_takes_nothing_with_it(scene: Scene) {
    let (load, page) = scene.under_load(&SHORT).await;
    let frozen = scene.process("server").await.freeze().await;
    let end = PodEnd::by_deletion(&scene).await;
    drop(frozen);

    assert_eq!(end.server.exit_code, 137);
    assert!(end.server.was_killed(&scene) && end.server.report.is_none());
    // The kubelet gives the sidecar two seconds at least, whatever has been spent.
    end.assert_checkpointed();
    scene.figure("deletion to gone", seconds(end.took), "12 s, and 2 s");

    let told = scene.last_shutdown(&end.uid).await;
    assert_unclean(&told, "server: SIGKILL, no report (exit code 137)");
    assert_eq!(told["observed"], "Watch", "{told}");
    scene.comes_back(&end, load, &page).await;
}

pub(crate) async fn a_budget_of_twelve_seconds_cuts_a_slow_client(scene: Scene) {
    let (load, page) = scene.under_load(&SHORT).await;
    let client = SlowClient::start(&page).await;
    let end = PodEnd::by_deletion(&scene).await;
    end.assert_is_clean(&SHORT);
    assert!(!client.finish(Duration::from_secs(1)).await);
    let report = end.server.report.as_ref().unwrap();
    assert_eq!(report.details["requestsCut"], 1, "{report:?}");
    scene.figure("deletion to gone", seconds(end.took), "12 s");
    scene.comes_back(&end, load, &page).await;
}

/// Longer than the default would let it live.
pub(crate) async fn a_budget_of_300_seconds_lets_a_slow_client_finish(scene: Scene) {
    let (load, page) = scene.under_load(&LONG).await;
    let client = SlowClient::start(&page).await;
    let default = ShutdownBudget::default().termination_grace_period_seconds();
    let patience = Duration::from_secs(default + 2);
    let (end, is_whole) = tokio::join!(PodEnd::by_deletion(&scene), async {
        tokio::time::sleep(patience).await;
        client.finish(SOON).await
    });
    assert!(is_whole, "{:?}", end.server.report);
    end.assert_is_clean(&LONG);
    assert!(end.took >= patience, "{:?}", end.took);
    scene.figure("deletion to gone", seconds(end.took), "300 s");
    let away = scene.comes_back(&end, load, &page).await;
    // While the server drained, the ingestor went on.
    assert!(away < patience, "no packet for {away:?}");
}

/// Waits until the page says nothing; each look gives up after some seconds.
async fn wait_for_silence(page: &str) {
    let began = Instant::now();
    while get(page, "/health/live").await.is_ok() {
        assert!(began.elapsed() < SOON, "it still answers");
    }
}

fn assert_unclean(told: &Value, cause: &str) {
    assert_eq!(told["clean"], false, "{told}");
    assert_eq!(told["cause"], cause, "{told}");
}

impl Scene {
    /// A deployment with this budget, so many packets that an answer is long, and more to come.
    async fn under_load(&self, budget: &ShutdownBudget) -> (Load, String) {
        let broker = Broker::start(self).await;
        self.deploy(&json!({ "shutdown": budget })).await;
        let grace = budget.termination_grace_period_seconds();
        self.wait_for_grace(grace).await;
        let page = self.page().await;
        // For the slow client.
        let first = Load::start(&broker, 1_000_000, 400);
        self.wait_for_packets(&page, PACKETS).await;
        first.finish().await;
        (Load::start(&broker, 0, RATE), page)
    }

    /// Waits until a pod with so many seconds to stop is ready.
    async fn wait_for_grace(&self, grace: u64) {
        self.wait_for_pod("the grace", |pod| {
            let spec = pod.0.spec.as_ref().unwrap();
            spec.termination_grace_period_seconds == i64::try_from(grace).ok() && pod.is_ready()
        })
        .await;
    }

    /// That nothing acknowledged is lost; gives the longest time without a packet.
    async fn comes_back(self, end: &PodEnd, load: Load, page: &str) -> Duration {
        self.wait_for_another_pod(&end.uid).await;
        wait_for_page(page).await;
        let hashes = load.finish().await;
        self.wait_for_packets(page, PACKETS + hashes.len()).await;
        let gap = self.stop_and_check(&hashes).await;
        self.figure("longest time without a packet", seconds(gap), "");
        gap
    }

    fn median_and_most(&self, of: &str, times: impl Iterator<Item = Duration>, target: &str) {
        let mut times: Vec<_> = times.collect();
        times.sort();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        let text = format!("p50 {}, max {}", seconds(median), seconds(most));
        self.figure(of, text, target);
    }
}
