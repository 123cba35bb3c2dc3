//! A database of a newer version.

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::stopped_with_packets;
use crate::scene::{Broker, Scene};

/// Newer than any.
const NEWER: i64 = 99;

pub(crate) async fn a_downgrade_is_refused_and_says_so(scene: Scene) {
    let broker = Broker::start(&scene).await;
    scene.deploy(&json!({})).await;
    let (page, hashes) = stopped_with_packets(&scene, &broker).await;

    // As a newer version would have left it.
    let version = change_version(&scene, NEWER).await;
    scene.change(&json!({"stopped": false})).await;
    let reason = r#"jsonpath={.status.conditions[?(@.type=="Ready")].reason}=CrashLoop"#;
    scene.wait("mcd/mesh", reason).await;
    let message = r#"{.status.conditions[?(@.type=="Ready")].message}"#;
    let message = scene.value("mcd/mesh", message).await;
    for part in [
        "ingestor",
        "exit code 3",
        "schema version 99",
        "install a newer version",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let ready = "{.status.containerStatuses[0].state.running}";
    assert_eq!(
        scene.value("pod/mesh-0", ready).await,
        "",
        "the server runs"
    );

    // As if the newer version were installed again.
    assert_eq!(change_version(&scene, version).await, NEWER);
    scene.kubectl(&["delete", "pod/mesh-0"]).await.unwrap();
    scene.wait("mcd/mesh", "condition=Ready").await;
    scene.wait_for_packets(&page, hashes.len()).await;
    scene.stop_and_check(&hashes).await;
}

/// Sets the version of the schema; gives the one before.
async fn change_version(scene: &Scene, version: i64) -> i64 {
    let options = SqliteConnectOptions::new().filename(scene.database());
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let before = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut database)
        .await
        .unwrap();
    let set = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::raw_sql(set).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    before
}
