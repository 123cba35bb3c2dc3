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
use crate::names::{INGESTOR_PORT, SERVER_PORT};

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

/// The server from where the resource says, or from anywhere; health and metrics from the pods of the cluster, among
/// them the operator and whoever collects metrics.
fn ingress(resource: &MeshCoreDeployment) -> Vec<NetworkPolicyIngressRule> {
    let from = resource.spec.network_policy.ingress_from.clone();
    let all_pods = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    vec![
        NetworkPolicyIngressRule {
            from: (!from.is_empty()).then_some(from),
            ports: Some(vec![port("TCP", SERVER_PORT)]),
        },
        NetworkPolicyIngressRule {
            from: Some(vec![all_pods]),
            ports: Some(vec![port("TCP", INGESTOR_PORT)]),
        },
    ]
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
