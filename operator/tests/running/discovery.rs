//! What a real API server serves, and how it is read.

use meshcore_operator::discovery::{Definition, Discovery};
use meshcore_testkit::kubernetes::{ControlPlane, gateway_api_crds};
use serde_json::Value;

/// A control plane of one's own: what it serves is changed here.
fn plane() -> Option<ControlPlane> {
    ControlPlane::start(meshcore_testkit::kubernetes::Version::chosen()).unwrap()
}

/// Looks until it is as wanted: an API server publishes a definition some time after it serves it.
async fn look_until(discovery: &mut Discovery, is_wanted: impl Fn(&Definition, bool) -> bool) {
    let limit = std::time::Duration::from_mins(1);
    let looking = async {
        loop {
            discovery.look().await.unwrap();
            let routes = discovery.http_route().borrow().is_some();
            if is_wanted(&discovery.definition().borrow(), routes) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let looked = tokio::time::timeout(limit, looking).await;
    let (definition, routes) = (discovery.definition(), discovery.http_route());
    assert!(
        looked.is_ok(),
        "{:?} {:?}",
        definition.borrow(),
        routes.borrow()
    );
}

#[tokio::test]
async fn what_the_cluster_serves_is_found_and_followed() {
    let Some(plane) = plane() else { return };
    // Nobody special: no role at all.
    let namespace = plane.namespace().await.unwrap();
    let anybody = plane
        .service_account(namespace.name(), "anybody")
        .await
        .unwrap();
    let mut discovery = Discovery::new(anybody.client().await.unwrap());
    look_until(&mut discovery, |definition, routes| {
        *definition == Definition::Unknown && !routes
    })
    .await;

    plane
        .install_crds(&meshcore_resource::crd_yaml())
        .await
        .unwrap();
    look_until(&mut discovery, |definition, _| {
        *definition == Definition::Current
    })
    .await;

    let mut older: Value = serde_yaml::from_str(&meshcore_resource::crd_yaml()).unwrap();
    let schema = &mut older["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let spec = &mut schema["properties"]["spec"]["properties"];
    spec.as_object_mut().unwrap().remove("rollout").unwrap();
    plane.install_crds(&older.to_string()).await.unwrap();
    let missing = Definition::Differs(vec!["spec.rollout (missing)".to_owned()]);
    look_until(&mut discovery, |definition, _| *definition == missing).await;

    let Some(gateway) = gateway_api_crds().unwrap() else {
        return;
    };
    for file in gateway {
        let text = std::fs::read_to_string(&file).unwrap();
        if text.contains("kind: HTTPRoute\n") {
            plane.install_crds(&text).await.unwrap();
        }
    }
    look_until(&mut discovery, |_, routes| routes).await;
    let route = discovery.http_route().borrow().clone().unwrap();
    assert_eq!((route.version.as_str(), route.has_timeouts), ("v1", true));

    let mark = plane.audit().mark().await.unwrap();
    for _ in 0..5 {
        discovery.look().await.unwrap();
    }
    let asked = plane
        .audit()
        .since(mark)
        .await
        .unwrap()
        .by_user(anybody.user());
    let is_index = |uri: &str| uri == "/openapi/v3";
    assert!(asked.iter().all(|entry| is_index(&entry.uri)), "{asked}");
    assert_eq!(asked.len(), 5, "{asked}");
}
