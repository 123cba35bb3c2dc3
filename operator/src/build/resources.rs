//! Requests and limits where a resource names none, from figures that were measured.
//!
//! `spec.ingestor.resources` and `spec.server.resources` each replace the whole default of their container. To merge
//! them would make limits below our requests, which an API server refuses, and leave nobody a way to have no limit.
//!
//! There is no limit on processor time: a throttled program misses the deadlines of its shutdown.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use meshcore_resource::{IngestorSettings, ServerSettings};

/// The ingestor takes 48.5 MiB at its peak, while it drains a broker's backlog as fast as it can.
const INGESTOR_MEMORY_MIB: i64 = 64;
/// Four times that: each further source may bring a backlog of its own.
const INGESTOR_MEMORY_LIMIT_MIB: i64 = 256;
/// The server takes 24 MiB while it reads pages of a database of any size, without clients.
const SERVER_MEMORY_MIB: i64 = 32;
/// On top of that for requests of many at once, and for the allocator's waste.
const SERVER_HEADROOM_MIB: i64 = 56;
/// What each WebSocket client takes. With the default of 2000 the limit comes to 128 MiB.
const CLIENT_KIB: i64 = 20;
/// Each program idles near 0; this is its share where the machine is busy. The ingestor stores some 5,000 messages a
/// second in it.
const CPU: &str = "50m";

pub(super) fn of_ingestor(settings: &IngestorSettings) -> ResourceRequirements {
    let theirs = settings.resources.clone();
    theirs.unwrap_or_else(|| requirements(INGESTOR_MEMORY_MIB, INGESTOR_MEMORY_LIMIT_MIB))
}

pub(super) fn of_server(settings: &ServerSettings) -> ResourceRequirements {
    let theirs = settings.resources.clone();
    theirs.unwrap_or_else(|| {
        let clients = (settings.max_connections.max(0) * CLIENT_KIB + 1023) / 1024;
        requirements(
            SERVER_MEMORY_MIB,
            SERVER_MEMORY_MIB + SERVER_HEADROOM_MIB + clients,
        )
    })
}

fn requirements(memory_mib: i64, memory_limit_mib: i64) -> ResourceRequirements {
    let memory = |mib: i64| ("memory".to_owned(), Quantity(format!("{mib}Mi")));
    let cpu = ("cpu".to_owned(), Quantity(CPU.to_owned()));
    ResourceRequirements {
        requests: Some(BTreeMap::from([cpu, memory(memory_mib)])),
        limits: Some(BTreeMap::from([memory(memory_limit_mib)])),
        claims: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{json_of, resource};
    use super::*;

    fn both(spec: Value) -> (Value, Value) {
        let spec = resource(spec).spec;
        (
            json_of(&of_ingestor(&spec.ingestor)),
            json_of(&of_server(&spec.server)),
        )
    }

    #[test]
    fn the_defaults_have_room_above_what_was_measured() {
        let (ingestor, server) = both(json!({}));
        assert_eq!(
            ingestor,
            json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}})
        );
        assert_eq!(
            server,
            json!({"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}})
        );
    }

    #[test]
    fn the_servers_limit_follows_the_connections_that_it_takes() {
        for (connections, limit) in [
            (1, "89Mi"),
            (100, "90Mi"),
            (10_000, "284Mi"),
            (100_000, "2042Mi"),
        ] {
            let (_, server) = both(json!({"server": {"maxConnections": connections}}));
            assert_eq!(server["limits"]["memory"], limit, "{connections}");
        }
    }

    #[test]
    fn what_the_resource_says_replaces_the_whole_default_of_that_container() {
        let wanted = json!({"limits": {"cpu": "2"}});
        let (ingestor, server) =
            both(json!({"ingestor": {"resources": wanted}, "server": {"resources": {}}}));
        assert_eq!(ingestor, wanted);
        assert_eq!(server, json!({}));
    }
}
