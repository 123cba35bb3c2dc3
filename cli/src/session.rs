//! What all publishing sub-commands do the same way: connect with a clear error, and end with a
//! clear summary.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use meshcore_config::BrokerUrl;
use rumqttc_v4::QoS;

use crate::broker::{CredentialArgs, mqtt_options};
use crate::publisher::{PublishError, Publisher, PublisherOptions, REFUSED, Totals};
use crate::stop::Stop;
use crate::terminal::{complain, counted, tell};

/// Messages on their way without acknowledgement. More is hardly faster, and brokers such as
/// mosquitto queue only so many for each subscriber.
const IN_FLIGHT: u16 = 500;

/// How long the last acknowledgements may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same when somebody asked to stop and waits.
const PATIENCE_WHEN_STOPPED: Duration = Duration::from_secs(5);

/// Connects; `tell` prints what happens to the connection later.
pub(crate) async fn connect(
    url: &BrokerUrl,
    credentials: &CredentialArgs,
    qos: u8,
    stop: &mut Stop,
    tell: impl Fn(&str) + Send + Sync + 'static,
) -> anyhow::Result<Publisher> {
    let options = PublisherOptions {
        mqtt: mqtt_options(url, credentials)?,
        qos: if qos == 0 {
            QoS::AtMostOnce
        } else {
            QoS::AtLeastOnce
        },
        in_flight: IN_FLIGHT,
        on_notice: Arc::new(move |notice| tell(&notice.to_string())),
    };
    let connected = tokio::select! {
        connected = Publisher::connect(options) => connected,
        () = stop.asked() => bail!("stopped before {url} answered"),
    };
    connected.map_err(|err| match err {
        PublishError::Unreachable { reason } => {
            let cure = cure(&reason);
            anyhow!("cannot reach a broker at {url}: {reason}. {cure}")
        }
        err => anyhow!("{url}: {err}"),
    })
}

/// What to do about it: nobody listens there, or it is the wrong place.
fn cure(reason: &str) -> &'static str {
    if reason == REFUSED {
        "Start one there (for example with `mosquitto -p 1883`) or give another --broker"
    } else {
        "Check the address that --broker gives, and the way to it"
    }
}

/// Waits for what is on its way, and prints the summary.
pub(crate) async fn finish(
    publisher: Publisher,
    qos: u8,
    stop: &Stop,
    elapsed: Duration,
) -> anyhow::Result<ExitCode> {
    let patience = if stop.is_asked() {
        PATIENCE_WHEN_STOPPED
    } else {
        PATIENCE
    };
    let (totals, result) = publisher.finish(patience).await;
    tell(&summary(&totals, qos, elapsed));
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            complain(&err.into());
            ExitCode::FAILURE
        }
    })
}

fn summary(totals: &Totals, qos: u8, elapsed: Duration) -> String {
    let Totals {
        accepted,
        published,
        acknowledged,
    } = *totals;
    let messages = counted(accepted.min(published), "message");
    let seconds = elapsed.as_secs_f64();
    let acknowledged = match qos {
        0 => String::new(),
        _ => format!(", {acknowledged} acknowledged"),
    };
    let repeated = match published.saturating_sub(accepted) {
        0 => String::new(),
        count => format!(", {count} sent again"),
    };
    format!("Published {messages} in {seconds:.1} s{acknowledged}{repeated}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_repetitions_apart() {
        let totals = Totals {
            accepted: 10,
            published: 12,
            acknowledged: 10,
        };
        assert_eq!(
            summary(&totals, 1, Duration::from_secs(2)),
            "Published 10 messages in 2.0 s, 10 acknowledged, 2 sent again"
        );
        assert_eq!(
            summary(&Totals::default(), 0, Duration::ZERO),
            "Published 0 messages in 0.0 s"
        );
    }
}
