//! A resource that is as it is asked for costs no write.

use std::time::Duration;

use crate::support::{Stage, minimal};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_starts_anew_writes_nothing() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    for name in ["mesh", "other"] {
        stage.apply(name, minimal()).await;
        stage.until_available(name).await;
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
    stage.until_available("mesh").await;
    stage.quiet().await;
    let before = stage.reconciles();
    let mark = stage.mark().await;
    stage.until_reconciles(before + 10).await;
    let requests = stage.since(mark).await;
    assert_eq!(requests.len(), 0, "{requests}");
}
