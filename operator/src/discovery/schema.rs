//! The schemas that are looked at.

use serde_json::Value;

/// What the schema of our resource is called in its document.
pub(super) const RESOURCE: &str = "dev.meshcore.v1alpha1.MeshCoreDeployment";

/// What the schema of `HTTPRoute` is called in the document of this version.
pub(super) fn http_route(version: &str) -> String {
    format!("io.k8s.networking.gateway.{version}.HTTPRoute")
}

/// Whether a rule of an `HTTPRoute` may have time-outs.
pub(super) fn has_timeouts(http_route: &Value) -> bool {
    let rule = "/properties/spec/properties/rules/items/properties";
    http_route.pointer(&format!("{rule}/timeouts")).is_some()
}

/// The schema of our resource, as this operator knows it.
pub(super) fn ours() -> Value {
    let versions = meshcore_resource::crd().spec.versions;
    let version = versions
        .into_iter()
        .find(|version| version.name == "v1alpha1");
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
    serde_json::to_value(schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn time_outs_are_looked_for_where_rules_have_them() {
        let with = |rule: &Value| json!({"properties": {"spec": {"properties": {"rules": {"items": {"properties": rule}}}}}});
        assert!(has_timeouts(&with(&json!({"timeouts": {}, "matches": {}}))));
        assert!(!has_timeouts(&with(&json!({"matches": {}}))));
        assert!(!has_timeouts(&json!({})));
    }

    #[test]
    fn our_own_schema_is_there() {
        assert!(
            ours()
                .pointer("/properties/spec/properties/mqttSources")
                .is_some()
        );
    }
}
