//! A resource that is as it is asked for costs no write.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use meshcore_resource::MeshCoreDeployment;

use crate::support::{Stage, find_condition, minimal, observed};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_starts_anew_writes_nothing() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    for name in ["mesh", "other"] {
        stage.apply(name, minimal()).await;
        stage.until_settled(name).await;
    }
    stage.quiet().await;
    let mark = stage.mark().await;
    stage.stop().await;
    stage.start().await;
    stage.quiet().await;
    let requests = stage.since(mark).await;
    let lists = requests.clone().only(|entry| entry.verb == "list");
    assert!(!lists.is_empty(), "it did start: {requests}");
    assert_eq!(requests.clone().writes().len(), 0, "{}", requests.writes());
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_again_without_a_reason_writes_nothing() {
    let Some(mut stage) = Stage::without_operator().await else {
        return;
    };
    stage.options(|options| options.resync = Duration::from_millis(200));
    stage.start().await;
    stage.apply("mesh", minimal()).await;
    stage.until_settled("mesh").await;
    stage.quiet().await;
    let before = stage.reconciles();
    let mark = stage.mark().await;
    stage.until_reconciles(before + 10).await;
    let requests = stage.since(mark).await;
    assert_eq!(requests.len(), 0, "{requests}");
}

/// When the status of a condition changed last.
fn since(resource: &MeshCoreDeployment, type_: &str) -> Timestamp {
    let condition = find_condition(resource, type_).expect("it is there");
    condition.last_transition_time.0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_condition_moves_with_its_status_alone() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    stage.apply("mesh", minimal()).await;
    let first = stage
        .until_condition("mesh", "Ready", "False", "Starting")
        .await;
    // Times are whole seconds: another one has to begin.
    while Timestamp::now().as_second() <= since(&first, "Ready").as_second() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.touch("mesh").await;
    let second = stage
        .until_condition("mesh", "Ready", "False", "Starting")
        .await;
    assert!(observed(&second) > observed(&first));
    let third = stage.until_available("mesh").await;
    for type_ in ["Ready", "Reconciling", "Stalled"] {
        assert_eq!(since(&second, type_), since(&first, type_), "{type_}");
    }
    assert!(since(&third, "Ready") > since(&first, "Ready"));
    assert!(since(&third, "Reconciling") > since(&first, "Reconciling"));
    assert_eq!(since(&third, "Stalled"), since(&first, "Stalled"));
}
