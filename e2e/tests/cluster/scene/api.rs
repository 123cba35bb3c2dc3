//! The page's API.

use anyhow::{Result, ensure};
use meshcore_testkit::http_get;
use serde_json::Value;

use super::until;

/// The JSON that `address` (host and port) serves at `path`.
pub(crate) async fn get(address: &str, path: &str) -> Result<Value> {
    let url = format!("http://{address}{path}");
    tokio::task::spawn_blocking(move || {
        let (status, body) = http_get(&url)?;
        ensure!(status == 200, "{url}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    })
    .await?
}

/// Waits until the page answers.
pub(crate) async fn wait_for_page(page: &str) {
    until("the page answers", async || get(page, "/api/stats").await).await;
}
