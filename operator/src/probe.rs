//! `meshcore-operator probe URL`: whether a program is as it should be, from a container without a shell.

use std::time::Duration;

use anyhow::{Context, bail};
use http::Uri;
use meshcore_telemetry::plain_http;

/// How long the program may take for its answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks `url`, such as `http://meshcore-operator:8080/health/ready`, and gives the body of the answer.
///
/// # Errors
/// When there is no answer, or it is not 200; with what it says.
pub async fn probe(url: &str) -> anyhow::Result<String> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    let Some(authority) = uri.authority().filter(|_| uri.scheme_str() == Some("http")) else {
        bail!("{url} must begin with http:// and a host");
    };
    let host = format!(
        "{}:{}",
        authority.host(),
        authority.port_u16().unwrap_or(80)
    );
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let answer = tokio::time::timeout(LIMIT, plain_http::get(&host, path));
    let (status, body) = answer
        .await
        .with_context(|| format!("{url} did not answer in {} s", LIMIT.as_secs()))?
        .with_context(|| format!("{url} can't be asked"))?;
    let body = String::from_utf8_lossy(&body).trim_end().to_owned();
    if status != http::StatusCode::OK {
        bail!("{url} answers {status}: {body}");
    }
    Ok(body)
}
