use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use prometheus_client::encoding::text::encode;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use super::*;
use bytes::Bytes;

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

#[test]
fn resources_are_counted_by_condition_and_down_to_nothing() {
    let (metrics, registry) = Metrics::new();
    let resources = [
        vec![("Ready", "True"), ("Stalled", "False"), ("Theirs", "True")],
        vec![("Ready", "False"), ("Stalled", "False")],
    ];
    metrics.show_resources(resources.into_iter());
    let shown = text(&registry);
    for line in [
        "meshcore_operator_resources 2",
        "meshcore_operator_resources_by_condition{type=\"Ready\",status=\"True\"} 1",
        "meshcore_operator_resources_by_condition{type=\"Stalled\",status=\"False\"} 2",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    assert!(!shown.contains("Theirs"), "{shown}");
    metrics.show_resources(std::iter::empty::<[(&str, &str); 0]>());
    let line = "meshcore_operator_resources_by_condition{type=\"Stalled\",status=\"False\"} 0";
    assert!(text(&registry).contains(line));
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_is_timed_however_it_ends() {
    let (metrics, registry) = Metrics::new();
    let timer = metrics.reconcile_begins();
    assert!(text(&registry).contains("meshcore_operator_reconciles_running 1"));
    tokio::time::advance(Duration::from_secs(3)).await;
    drop(timer);
    let shown = text(&registry);
    assert!(shown.contains("meshcore_operator_reconciles_running 0"));
    assert!(
        shown.contains("meshcore_operator_reconcile_seconds_sum 3.0"),
        "{shown}"
    );
    assert!(shown.contains("meshcore_operator_reconcile_seconds_count 1"));
}

/// Sends one request through the layer, to a server that answers with `status`, or not at all.
async fn send(observe: &ObserveApi, method: Method, uri: &str, status: Option<StatusCode>) {
    let server = service_fn(move |_: Request<()>| async move {
        let status = status
            .ok_or_else(|| BoxError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)))?;
        let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
        *response.status_mut() = status;
        Ok::<_, BoxError>(response)
    });
    let request = Request::builder().method(method).uri(uri).body(()).unwrap();
    if let Ok(response) = observe.layer(server).oneshot(request).await {
        response.into_body().collect().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_and_watches_heard() {
    let (metrics, registry) = Metrics::new();
    let watches = Watches::default();
    let observe = ObserveApi::watching(Arc::clone(&metrics), watches.clone());
    let set = "/apis/apps/v1/namespaces/a/statefulsets/b";
    let secret = "/api/v1/namespaces/a/secrets/b";
    send(&observe, Method::PATCH, set, Some(StatusCode::OK)).await;
    send(&observe, Method::PATCH, set, Some(StatusCode::CONFLICT)).await;
    send(&observe, Method::GET, secret, Some(StatusCode::NOT_FOUND)).await;
    send(&observe, Method::GET, secret, Some(StatusCode::FORBIDDEN)).await;
    send(&observe, Method::DELETE, set, None).await;
    send(
        &observe,
        Method::GET,
        "/api/v1/pods?watch=true",
        Some(StatusCode::OK),
    )
    .await;
    tokio::time::advance(Duration::from_secs(7)).await;
    metrics.show_watches(&watches);

    let shown = text(&registry);
    for line in [
        "meshcore_operator_api_writes_total{verb=\"patch\",kind=\"StatefulSet\"} 2",
        "meshcore_operator_api_writes_total{verb=\"delete\",kind=\"StatefulSet\"} 1",
        "meshcore_operator_api_request_errors_total{verb=\"patch\",kind=\"StatefulSet\",reason=\"409\"} 1",
        "meshcore_operator_api_request_errors_total{verb=\"get\",kind=\"Secret\",reason=\"403\"} 1",
        "meshcore_operator_api_request_errors_total{verb=\"delete\",kind=\"StatefulSet\",reason=\"timeout\"} 1",
        "meshcore_operator_watch_age_seconds{kind=\"Pod\"} 7.0",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    assert!(
        !shown.contains("404"),
        "that something is not there is no failure: {shown}"
    );
}
