//! The page's API.

use std::time::Duration;

use anyhow::{Result, ensure};
use meshcore_testkit::http_get_within;
use serde_json::Value;

use super::until;

/// How long an answer may take. For a moment connections to a pod that is gone are neither taken nor refused.
const LIMIT: Duration = Duration::from_secs(2);

/// The JSON that `address` (host and port) serves at `path`.
pub(crate) async fn get(address: &str, path: &str) -> Result<Value> {
    let url = format!("http://{address}{path}");
    tokio::task::spawn_blocking(move || {
        let (status, body) = http_get_within(LIMIT, &url)?;
        ensure!(status == 200, "{url}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    })
    .await?
}

/// Waits until the page answers.
pub(crate) async fn wait_for_page(page: &str) {
    until("the page answers", async || get(page, "/api/stats").await).await;
}
