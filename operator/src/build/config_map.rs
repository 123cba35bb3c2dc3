//! The programs' configuration, in an object that never changes: a change is another object.

use k8s_openapi::api::core::v1::ConfigMap;
use meshcore_resource::MeshCoreDeployment;

use super::{hash, metadata, places};

/// Hexadecimal digits of the hash in the name: 40 bits, for the few configurations that one resource has had.
const HASH_DIGITS: usize = 10;

pub(super) fn build(resource: &MeshCoreDeployment) -> ConfigMap {
    let content = content(resource);
    let name = format!(
        "{}-config-{}",
        metadata::name(resource),
        hash::hex(&content, HASH_DIGITS)
    );
    ConfigMap {
        metadata: metadata::owned(resource, name),
        data: Some([(places::CONFIG_KEY.to_owned(), content)].into()),
        immutable: Some(true),
        binary_data: None,
    }
}

/// The ingestor's file, for the eyes of people too. Its text decides the name of the object, and so whether the pod
/// restarts: it must not depend on the order in which a map happens to be kept.
fn content(resource: &MeshCoreDeployment) -> String {
    let mut config = resource.spec.ingestor_config(&places::secrets());
    config.sort_all_objects();
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{json_of, metadata, resource};
    use super::*;

    #[test]
    fn the_configuration_never_changes_and_its_name_says_what_is_in_it() {
        let config_map = json_of(&build(&resource(json!({"retention": {"packetDays": 7}}))));
        let text = config_map["data"]["ingestor.json"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(text).unwrap(),
            json!({
                "mqttSources": [{
                    "name": "local",
                    "broker": "mqtt://mosquitto",
                    "protocol": "auto",
                    "topics": ["meshcore/#"],
                    "iataFilter": [],
                }],
                "hashChannels": [],
                "retention": {"packetDays": 7},
            })
        );
        assert_eq!(
            config_map,
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": metadata(&format!("bay-config-{}", hash::hex(text, 10))),
                "data": {"ingestor.json": text},
                "immutable": true,
            })
        );
    }

    #[test]
    fn another_configuration_has_another_name_and_an_equal_one_the_same() {
        let name = |spec| build(&resource(spec)).metadata.name.unwrap();
        let plain = name(json!({}));
        assert_ne!(plain, name(json!({"retention": {"packetDays": 7}})));
        // None of these is in the file.
        let else_where = json!({"stopped": true, "ingestor": {"logLevel": "debug"}, "server": {"maxConnections": 5}});
        assert_eq!(plain, name(else_where));
    }
}
