//! Who may talk to the pod, and whom it may talk to, where the resource asks for such limits.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meshcore_resource::{MeshCoreDeployment, MqttSource};

use super::{labels, metadata};
use crate::names::{FIELD_MANAGER, INGESTOR_PORT, NAME, SERVER_PORT};

const DNS_PORT: i32 = 53;

pub(super) fn build(resource: &MeshCoreDeployment) -> Option<NetworkPolicy> {
    let is_wanted = resource.spec.network_policy.enabled;
    is_wanted.then(|| NetworkPolicy {
        metadata: metadata::owned(resource, metadata::name(resource)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels::label_selector(resource)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress(resource)),
            egress: Some(egress(resource)),
        }),
    })
}

/// The server from where the resource says, or from anywhere; the ingestor's health and metrics from the pods of the
/// cluster, whoever collects metrics. The operator asks both programs how their last life ended.
fn ingress(resource: &MeshCoreDeployment) -> Vec<NetworkPolicyIngressRule> {
    let mut from = resource.spec.network_policy.ingress_from.clone();
    if !from.is_empty() {
        from.push(pods(Some(operator())));
    }
    vec![
        NetworkPolicyIngressRule {
            from: (!from.is_empty()).then_some(from),
            ports: Some(vec![port("TCP", SERVER_PORT)]),
        },
        NetworkPolicyIngressRule {
            from: Some(vec![pods(None)]),
            ports: Some(vec![port("TCP", INGESTOR_PORT)]),
        },
    ]
}

/// Pods of all namespaces.
fn pods(pod_selector: Option<LabelSelector>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector,
        ip_block: None,
    }
}

/// The operator's own pods, as the chart and the manifests label them.
fn operator() -> LabelSelector {
    LabelSelector {
        match_labels: Some([(NAME.to_owned(), FIELD_MANAGER.to_owned())].into()),
        match_expressions: None,
    }
}

/// Names, and the brokers by their ports: a policy can't match names.
fn egress(resource: &MeshCoreDeployment) -> Vec<NetworkPolicyEgressRule> {
    let dns = vec![port("UDP", DNS_PORT), port("TCP", DNS_PORT)];
    let mut rules = vec![to_any(dns)];
    let brokers = broker_ports(&resource.spec.mqtt_sources);
    if !brokers.is_empty() {
        rules.push(to_any(
            brokers
                .into_iter()
                .map(|number| port("TCP", number))
                .collect(),
        ));
    }
    rules.extend(resource.spec.network_policy.extra_egress.iter().cloned());
    rules
}

/// In order and each once, so that the order of the sources does not matter.
fn broker_ports(sources: &[MqttSource]) -> BTreeSet<i32> {
    let ports = sources.iter().filter_map(MqttSource::broker_port);
    ports.map(i32::from).collect()
}

fn to_any(ports: Vec<NetworkPolicyPort>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(ports),
        to: None,
    }
}

fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(number)),
        end_port: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{json_of, metadata, resource, selector};
    use super::*;

    fn port(protocol: &str, port: i32) -> Value {
        json!({"protocol": protocol, "port": port})
    }

    #[test]
    fn everybody_may_see_the_page_and_the_pod_may_reach_names_and_brokers() {
        assert_eq!(
            json_of(&build(&resource(
                json!({"networkPolicy": {"enabled": true}})
            ))),
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": metadata("bay"),
                "spec": {
                    "podSelector": {"matchLabels": selector()},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [
                        {"ports": [port("TCP", 8080)]},
                        {"ports": [port("TCP", 8081)], "from": [{"namespaceSelector": {}}]},
                    ],
                    "egress": [
                        {"ports": [port("UDP", 53), port("TCP", 53)]},
                        {"ports": [port("TCP", 1883)]},
                    ],
                },
            })
        );
        assert_eq!(build(&resource(json!({}))), None);
    }

    #[test]
    fn the_resource_says_who_comes_in_and_what_else_goes_out() {
        let from = json!({"podSelector": {"matchLabels": {"a": "b"}}});
        let operator = json!({
            "namespaceSelector": {},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "meshcore-operator"}},
        });
        let extra = json!({"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]});
        let policy = json!({"enabled": true, "ingressFrom": [from], "extraEgress": [extra]});
        let policy = json_of(&build(&resource(json!({ "networkPolicy": policy }))));
        assert_eq!(
            policy["spec"]["ingress"][0]["from"],
            json!([from, operator])
        );
        assert_eq!(policy["spec"]["egress"][2], extra);
    }

    #[test]
    fn each_brokers_port_is_opened_once_in_whatever_order_they_stand() {
        let brokers = [
            "wss://a",
            "mqtt://b:1884",
            "mqtts://c",
            "ws://d",
            "mqtt://e:1884",
        ];
        let sources =
            brokers.map(|broker| json!({"name": &broker[broker.len() - 1..], "broker": broker}));
        let spec = json!({"mqttSources": sources, "networkPolicy": {"enabled": true}});
        let policy = json_of(&build(&resource(spec)));
        let ports = [80, 443, 1884, 8883].map(|number| port("TCP", number));
        assert_eq!(policy["spec"]["egress"][1], json!({ "ports": ports }));
    }
}
