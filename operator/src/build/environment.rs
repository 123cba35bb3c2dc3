//! The environment of the containers: what `meshcore_resource::programs` says, and what only a cluster can look up.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource};
use meshcore_resource::programs::Env;
use meshcore_resource::{EnvVar as Wish, MeshCoreDeployment};

use super::places;

/// Where SQLite sorts what is too large for memory, when it adopts a database.
const SQLITE_FOLDER: &str = "SQLITE_TMPDIR";

pub(super) fn of_ingestor(resource: &MeshCoreDeployment) -> Vec<EnvVar> {
    let mut programs = resource.ingestor_env(&places::of_programs());
    // The volume has room for it, and nothing else in the pod can be written to but a small `/tmp`.
    programs.push((SQLITE_FOLDER.to_owned(), places::DATA.to_owned()));
    merged(&resource.spec.ingestor.env, programs)
}

pub(super) fn of_server(resource: &MeshCoreDeployment) -> Vec<EnvVar> {
    let programs = resource.server_env(&places::of_programs());
    merged(&resource.spec.server.env, programs)
}

/// The resource's own variables in their order, which matters to `$(OTHER)` in a value, then those that are made.
fn merged(wishes: &[Wish], programs: Env) -> Vec<EnvVar> {
    let is_made = |name: &str| wishes.iter().all(|wish| wish.name != name);
    let made = programs.into_iter().filter(|(name, _)| is_made(name));
    let made = made.map(|(name, value)| variable(name, Some(value), None));
    let theirs = wishes.iter().cloned();
    theirs
        .map(|wish| variable(wish.name, wish.value, wish.value_from))
        .chain(made)
        .collect()
}

/// An API server keeps no empty value, and would be asked to again and again.
fn variable(name: String, value: Option<String>, value_from: Option<EnvVarSource>) -> EnvVar {
    EnvVar {
        name,
        value: value.filter(|value| !value.is_empty()),
        value_from,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{json_of, resource};
    use super::*;

    #[test]
    fn the_resources_own_variables_come_first_in_their_order() {
        let machine = json!({"fieldRef": {"fieldPath": "spec.nodeName"}});
        let env = json!([
            {"name": "MACHINE", "valueFrom": machine},
            {"name": "LABEL", "value": "on $(MACHINE)"},
            {"name": "A", "value": ""},
        ]);
        let made = |name: &str, value: &str| json!({"name": name, "value": value});
        let expected = [
            json!({"name": "MACHINE", "valueFrom": machine}),
            made("LABEL", "on $(MACHINE)"),
            json!({"name": "A"}),
            made("SHUTDOWN_PRE_STOP_SECONDS", "5"),
            made("SHUTDOWN_SERVER_DRAIN_SECONDS", "20"),
            made("SHUTDOWN_INGESTOR_DRAIN_SECONDS", "10"),
            made("SHUTDOWN_CHECKPOINT_SECONDS", "15"),
            made("SHUTDOWN_MARGIN_SECONDS", "10"),
            made("MESHCORE_CONFIG", "/etc/meshcore/config/ingestor.json"),
            made("DB_PATH", "/data/meshcore.db"),
            made("MESHCORE_INGESTOR_ADDRESS", "[::]:8081"),
            made("LOG_LEVEL", "info"),
            made("SQLITE_TMPDIR", "/data"),
        ];
        let of = of_ingestor(&resource(json!({"ingestor": { "env": env }})));
        assert_eq!(json_of(&of), json!(expected));
    }

    #[test]
    fn the_server_gets_its_own() {
        let spec = json!({"server": {"maxConnections": 7, "logLevel": "warn"}, "ingestor": {"env": [{"name": "A"}]}});
        let env = of_server(&resource(spec));
        let value = |name: &str| env.iter().find(|env| env.name == name)?.value.as_deref();
        assert_eq!(value("MESHCORE_SERVER_MAX_CONNECTIONS"), Some("7"));
        assert_eq!(value("MESHCORE_SERVER_ADDRESS"), Some("[::]:8080"));
        assert_eq!(value("LOG_LEVEL"), Some("warn"));
        assert_eq!(value("DB_PATH"), Some("/data/meshcore.db"));
        assert!(
            env.iter()
                .all(|env| env.name != "A" && env.name != "MESHCORE_CONFIG")
        );
    }
}
