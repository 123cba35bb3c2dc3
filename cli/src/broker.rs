//! Where to publish: the broker's address and credentials, from the command line to MQTT options.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::Args;
use rumqttc_v4::{Broker, MqttOptions, TlsConfiguration, Transport};
use thiserror::Error;
use url::Url;

/// Largest message that is sent, in bytes. Brokers set limits of their own.
const MAX_OUTGOING_BYTES: usize = 16 * 1024 * 1024;
/// A publisher receives acknowledgements only.
const MAX_INCOMING_BYTES: usize = 64 * 1024;
/// How often a silent connection is checked, in seconds.
const KEEP_ALIVE_SECS: u16 = 30;

/// Credentials for a broker.
#[derive(Clone, Debug, Args)]
pub struct CredentialArgs {
    /// User name for the broker.
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,

    /// File with the password for the broker; a line break at its end does not count.
    #[arg(long, value_name = "FILE", requires = "username")]
    pub password_file: Option<PathBuf>,
}

/// The address of a broker: `mqtt://`, `mqtts://`, `ws://` or `wss://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl(Url);

/// Why an address is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BrokerUrlError {
    /// Not a URL at all.
    #[error("not a URL ({reason}); write it like mqtt://127.0.0.1:1883")]
    Malformed {
        /// What the URL parser says.
        reason: String,
    },
    /// Host and port only.
    #[error("the scheme is missing; write mqtt://{text}")]
    NoScheme {
        /// What was given.
        text: String,
    },
    /// A URL of something else.
    #[error("\"{scheme}\" is no MQTT address; use mqtt://, mqtts://, ws:// or wss://")]
    Scheme {
        /// The scheme that was given.
        scheme: String,
    },
    /// There is no host.
    #[error("there is no host in it; write it like mqtt://127.0.0.1:1883")]
    NoHost,
    /// Other people can read command lines.
    #[error("it holds credentials; use --username and --password-file instead")]
    Credentials,
    /// A path means something with WebSocket only.
    #[error("an MQTT address ends after the port; remove \"{path}\"")]
    Path {
        /// The path that was given.
        path: String,
    },
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let url = Url::parse(text).map_err(|err| BrokerUrlError::Malformed {
            reason: err.to_string(),
        })?;
        if url.cannot_be_a_base() {
            return Err(BrokerUrlError::NoScheme {
                text: text.to_owned(),
            });
        }
        if !matches!(url.scheme(), "mqtt" | "mqtts" | "ws" | "wss") {
            return Err(BrokerUrlError::Scheme {
                scheme: url.scheme().to_owned(),
            });
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BrokerUrlError::NoHost);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BrokerUrlError::Credentials);
        }
        let is_websocket = matches!(url.scheme(), "ws" | "wss");
        if !is_websocket && !matches!(url.path(), "" | "/") {
            return Err(BrokerUrlError::Path {
                path: url.path().to_owned(),
            });
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl BrokerUrl {
    /// Host name or address, without brackets.
    fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Connection options with a random client id and a clean session.
    ///
    /// # Errors
    ///
    /// When the password file cannot be read, or the TLS roots cannot be loaded.
    pub fn options(&self, credentials: &CredentialArgs) -> anyhow::Result<MqttOptions> {
        let CredentialArgs {
            username,
            password_file,
        } = credentials;
        let mut options = self.transport_options()?;
        options.set_keep_alive(KEEP_ALIVE_SECS);
        options.set_max_packet_size(MAX_INCOMING_BYTES, MAX_OUTGOING_BYTES);
        options.set_max_request_batch(256);
        options.set_read_batch_size(256);
        match (username, password_file) {
            (Some(username), Some(file)) => {
                let password = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the password file {}", file.display()))?;
                let password = password.trim_end_matches(['\r', '\n']).to_owned();
                options.set_credentials(username, password);
            }
            (Some(username), None) => {
                options.set_username(username);
            }
            (None, _) => {}
        }
        Ok(options)
    }

    fn transport_options(&self) -> anyhow::Result<MqttOptions> {
        let id = client_id();
        let tcp = |default_port| Broker::tcp(self.host(), self.0.port().unwrap_or(default_port));
        let options = match self.0.scheme() {
            "ws" => MqttOptions::new(id, Broker::websocket(self.0.as_str())?),
            "wss" => MqttOptions::websocket_with_tls_config(
                id,
                self.0.as_str(),
                TlsConfiguration::default_rustls(),
            )?,
            "mqtts" => {
                let mut options = MqttOptions::new(id, tcp(8883));
                options.set_transport(Transport::tls_with_config(
                    TlsConfiguration::default_rustls(),
                ));
                options
            }
            _ => MqttOptions::new(id, tcp(1883)),
        };
        Ok(options)
    }
}

/// A client id that no other process has; brokers disconnect the older of two with the same one.
fn client_id() -> String {
    use std::hash::{BuildHasher, RandomState};

    format!("meshcore{:015x}", RandomState::new().hash_one(0_u8) >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_transports_are_accepted() {
        for text in [
            "mqtt://127.0.0.1:1883",
            "mqtt://broker/",
            "mqtts://broker.example.org",
            "ws://broker:8080/mqtt",
            "wss://broker/mqtt",
            "mqtt://[::1]:1883",
        ] {
            assert!(text.parse::<BrokerUrl>().is_ok(), "{text}");
        }
        assert_eq!(
            "mqtt://[::1]:1883".parse::<BrokerUrl>().unwrap().host(),
            "::1"
        );
    }

    #[test]
    fn a_bad_address_says_what_to_write() {
        for (text, cure) in [
            ("127.0.0.1:1883", "mqtt://127.0.0.1:1883"),
            ("localhost:1883", "write mqtt://localhost:1883"),
            ("http://broker", "use mqtt://"),
            ("mqtt://", "no host"),
            ("mqtt://me:secret@broker", "--password-file"),
            ("mqtt://broker/topic", "remove \"/topic\""),
        ] {
            let message = text.parse::<BrokerUrl>().unwrap_err().to_string();
            assert!(message.contains(cure), "{text}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn client_ids_differ_and_suit_every_broker() {
        let id = client_id();
        assert_eq!(id.len(), 23);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(id, client_id());
    }
}
