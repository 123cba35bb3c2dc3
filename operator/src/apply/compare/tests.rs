#![expect(
    clippy::needless_pass_by_value,
    reason = "a test reads better without & before each json!"
)]

use serde_json::{Value, json};

use super::differences;
use crate::kind::Kind;

fn pod(spec: Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

fn in_pod(desired: Value, live: Value) -> Vec<String> {
    differences(Kind::StatefulSet, &pod(desired), &pod(live))
}

fn in_service(desired: &Value, live: &Value) -> Vec<String> {
    differences(Kind::Service, desired, live)
}

#[test]
fn defaults_and_foreign_fields_of_the_live_object_are_no_differences() {
    let desired = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "a", "labels": {"ours": "1"}},
        "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80}]},
    });
    let live = json!({
        "metadata": {"name": "a", "uid": "1", "labels": {"ours": "1", "theirs": "2"}},
        "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "sessionAffinity": "None",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]},
        "status": {"loadBalancer": {}},
    });
    assert_eq!(in_service(&desired, &live), [""; 0]);
}

#[test]
fn every_value_that_differs_or_is_missing_is_named() {
    let desired =
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"type": "ClusterIP"}});
    let live = json!({"metadata": {"labels": {"a": "x"}}, "spec": {"type": "NodePort"}});
    let expected = ["metadata.labels.a", "metadata.labels.b", "spec.type"];
    assert_eq!(in_service(&desired, &live), expected);
}

#[test]
fn containers_are_found_by_name_and_injected_ones_stay() {
    let desired = json!({"containers": [{"name": "server", "image": "a:2"}]});
    let live = json!({"containers": [{"name": "proxy", "image": "p:1"}, {"name": "server", "image": "a:1"}]});
    let expected = ["spec.template.spec.containers[server].image"];
    assert_eq!(in_pod(desired, live), expected);
}

#[test]
fn a_missing_item_is_one_difference() {
    let desired =
        json!({"volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]});
    let live = json!({"volumes": [{"name": "tmp", "emptyDir": {}}]});
    assert_eq!(in_pod(desired, live), ["spec.template.spec.volumes[data]"]);
}

#[test]
fn an_empty_object_that_means_something_is_missed() {
    let desired = json!({"volumes": [{"name": "tmp", "emptyDir": {}}]});
    let live = json!({"volumes": [{"name": "tmp", "hostPath": {"path": "/"}}]});
    let expected = ["spec.template.spec.volumes[tmp].emptyDir"];
    assert_eq!(in_pod(desired, live), expected);
}

#[test]
fn what_an_api_server_drops_when_empty_is_not_missed() {
    let desired =
        json!({"nodeSelector": {}, "tolerations": [], "priorityClassName": "", "affinity": null});
    assert_eq!(in_pod(desired, json!({})), [""; 0]);
}

#[test]
fn false_and_zero_are_values() {
    let account = json!({"automountServiceAccountToken": false});
    let found = differences(Kind::ServiceAccount, &account, &json!({}));
    assert_eq!(found, ["automountServiceAccountToken"]);
    let set = json!({"spec": {"replicas": 0}});
    let found = differences(Kind::StatefulSet, &set, &json!({"spec": {}}));
    assert_eq!(found, ["spec.replicas"]);
}

#[test]
fn a_list_that_is_one_value_has_the_same_items_in_the_same_order() {
    let desired = || json!({"containers": [{"name": "a", "args": ["x", "y"]}]});
    for args in [json!(["y", "x"]), json!(["x"]), json!(["x", "y", "z"])] {
        let live = json!({"containers": [{"name": "a", "args": args}]});
        assert!(!in_pod(desired(), live).is_empty());
    }
    assert_eq!(in_pod(desired(), desired()), [""; 0]);
}

#[test]
fn items_of_a_whole_list_may_have_defaults() {
    let desired = json!({"tolerations": [{"key": "a", "operator": "Exists"}]});
    let live =
        json!({"tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 300}]});
    assert_eq!(in_pod(desired, live), [""; 0]);
}

#[test]
fn quantities_are_compared_by_what_they_mean() {
    let resources = |memory: &str, cpu: &str| json!({"containers": [{"name": "a", "resources": {"limits": {"memory": memory}, "requests": {"cpu": cpu}}}]});
    assert_eq!(
        in_pod(resources("1024Mi", "0.5"), resources("1Gi", "500m")),
        [""; 0]
    );
    assert_eq!(
        in_pod(resources("1025Mi", "0.5"), resources("1Gi", "500m")).len(),
        1
    );
}

#[test]
fn a_text_that_looks_like_a_quantity_is_a_text() {
    let env = |value: &str| json!({"containers": [{"name": "a", "env": [{"name": "SIZE", "value": value}]}]});
    let expected = ["spec.template.spec.containers[a].env[SIZE].value"];
    assert_eq!(in_pod(env("1Gi"), env("1024Mi")), expected);
}

#[test]
fn ports_of_one_number_differ_by_protocol() {
    let desired = json!({"spec": {"ports": [{"port": 53, "protocol": "UDP", "name": "dns"}]}});
    let live = json!({"spec": {"ports": [{"port": 53, "protocol": "TCP", "name": "dns"}]}});
    assert_eq!(in_service(&desired, &live), ["spec.ports[53]"]);
}

#[test]
fn a_port_without_protocol_is_a_tcp_port() {
    let desired = json!({"containers": [{"name": "a", "ports": [{"containerPort": 80}]}]});
    let live =
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]});
    assert_eq!(in_pod(desired, live), [""; 0]);
}

#[test]
fn a_number_and_its_digits_are_one_int_or_string() {
    let desired = json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}});
    let live = json!({"spec": {"ports": [{"port": 80, "targetPort": "8080", "protocol": "TCP"}]}});
    assert_eq!(in_service(&desired, &live), [""; 0]);
}

#[test]
fn a_restart_annotation_of_others_stays() {
    let template = |annotations: Value| json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    let desired = template(json!({"ours": "1"}));
    let live = template(json!({"ours": "1", "kubectl.kubernetes.io/restartedAt": "now"}));
    assert_eq!(differences(Kind::StatefulSet, &desired, &live), [""; 0]);
}

#[test]
fn a_flag_that_an_api_server_drops_when_it_is_false_is_no_difference() {
    let mounts =
        |mount: Value| json!({"containers": [{"name": "server", "volumeMounts": [mount]}]});
    let desired = json!({"name": "a", "mountPath": "/a", "readOnly": false, "subPath": ""});
    let live = json!({"name": "a", "mountPath": "/a"});
    assert_eq!(in_pod(mounts(desired.clone()), mounts(live)), [""; 0]);
    let live = json!({"name": "a", "mountPath": "/a", "readOnly": true});
    assert_eq!(in_pod(mounts(desired), mounts(live)).len(), 1);

    let context =
        |context: Value| json!({"containers": [{"name": "server", "securityContext": context}]});
    let desired = json!({"allowPrivilegeEscalation": false});
    assert_eq!(in_pod(context(desired), context(json!({}))).len(), 1);
}
