//! Whether the volume is full. Nothing in the API tells it, but the ingestor does, which is not ready then.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use meshcore_lifecycle::{DISK, ReadinessSnapshot};
use meshcore_telemetry::plain_http;
use tokio::time::timeout;

use crate::names;
use crate::status::pod;

/// How long an answer may take: a reconcile waits for it.
const ANSWER: Duration = Duration::from_secs(2);

/// How long after an answer to ask again, as long as the ingestor is not ready: why it isn't may change, which no watch
/// sees.
pub(crate) const AGAIN: Duration = Duration::from_secs(15);

/// Whether the volume is full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pressure {
    /// It is not.
    Room,
    /// It is; what the ingestor says about it.
    Full(String),
    /// Nobody can say.
    #[default]
    Unknown,
}

/// Asks the ingestor, if it runs and is not ready; one that is ready has room.
pub async fn look(pods: &[Pod]) -> Pressure {
    let Some((ip, is_ready)) = ingestor(pods) else {
        return Pressure::Unknown;
    };
    let (false, Ok(ip)) = (is_ready, ip.parse::<IpAddr>()) else {
        return Pressure::Room;
    };
    let port = u16::try_from(names::INGESTOR_PORT).unwrap_or_default();
    ask(SocketAddr::new(ip, port)).await
}

/// Whether the ingestor has to be asked.
pub(crate) fn is_in_doubt(pods: &[Pod]) -> bool {
    ingestor(pods).is_some_and(|(_, is_ready)| !is_ready)
}

/// The address of the ingestor that counts, and whether it is ready; `None` where none runs.
fn ingestor(pods: &[Pod]) -> Option<(&str, bool)> {
    pod::current(pods).and_then(pod::ingestor)
}

async fn ask(address: SocketAddr) -> Pressure {
    let host = address.to_string();
    let answer = timeout(ANSWER, plain_http::get(&host, "/health/ready")).await;
    let Ok(Ok((_, body))) = answer else {
        return Pressure::Unknown;
    };
    match serde_json::from_slice::<ReadinessSnapshot>(&body) {
        Ok(mut told) => match told.reasons.remove(DISK) {
            Some(why) => Pressure::Full(why),
            None => Pressure::Room,
        },
        Err(_) => Pressure::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use meshcore_lifecycle::Readiness;
    use meshcore_telemetry::{AdminServer, Health, router};
    use prometheus_client::registry::Registry;
    use serde_json::json;

    use super::*;

    fn pod(is_ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "mesh-0"},
            "status": {"podIP": "127.0.0.1", "initContainerStatuses": [{
                "name": "ingestor", "image": "", "imageID": "", "restartCount": 0,
                "started": true, "ready": is_ready, "state": {"running": {}}}]},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn the_ingestor_tells_that_the_disk_is_full() {
        let readiness = Readiness::starting("the test");
        readiness.started();
        let health = Health::new(readiness.clone(), Registry::default(), || {});
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = AdminServer::start(address, router(health)).unwrap().address;
        assert_eq!(ask(address).await, Pressure::Room);
        readiness.set_not_ready(DISK, "no room");
        assert_eq!(ask(address).await, Pressure::Full("no room".to_owned()));
        readiness.set_ready(DISK);
        readiness.set_not_ready("store", "held");
        assert_eq!(ask(address).await, Pressure::Room);
    }

    #[tokio::test]
    async fn one_that_is_ready_is_not_asked_and_none_says_nothing() {
        assert_eq!(look(&[pod(true)]).await, Pressure::Room);
        assert_eq!(look(&[]).await, Pressure::Unknown);
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(ask(nobody).await, Pressure::Unknown);
    }
}
