//! Log lines: JSON for machines, compact text for people.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One line of text an event.
    Text,
    /// One JSON object an event.
    Json,
}

impl LogFormat {
    /// From `LOG_FORMAT`: `text` or `json`; anything else chooses by the output.
    pub fn from_env() -> Self {
        match std::env::var("LOG_FORMAT").as_deref() {
            Ok("text") => Self::Text,
            Ok("json") => Self::Json,
            _ => Self::Auto,
        }
    }
}

/// Sends log events to standard error. `level` is used where `RUST_LOG` doesn't say otherwise.
pub fn init_logging(level: &str, format: LogFormat) {
    // The MQTT and SQL clients are chatty at `info`; the client of Kubernetes logs each request that fails as an
    // error, beside whoever handles it.
    let default = format!(
        "{level},sqlx=warn,rumqttc=warn,rumqttc_core=warn,kube_client::client::builder=off"
    );
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people: not in files, nor for those who asked for none.
        .with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
        // A line that can't be written is reported by eprintln, which panics for the same reason: whoever read
        // our standard error is gone. A shutdown must not fail for that.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // A second call (tests in one process) keeps the first subscriber.
    let result = if json {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
    } else {
        builder.compact().with_target(false).try_init()
    };
    if let Err(error) = result {
        tracing::debug!(%error, "Logging was set up before");
    }
}
