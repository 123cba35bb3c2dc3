//! Where to publish: the broker's address and credentials, from the command line to MQTT options.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use meshcore_config::{BrokerUrl, BrokerUrlError, Scheme};
use rumqttc_v4::{Broker, MqttOptions, TlsConfiguration, Transport};

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

/// The address of a broker, for the command line.
///
/// # Errors
/// What to write instead.
pub fn broker_url(text: &str) -> Result<BrokerUrl, String> {
    BrokerUrl::parse(text).map_err(|error| match error {
        // Other people can read command lines.
        BrokerUrlError::Credentials => {
            "it holds credentials; use --username and --password-file instead".to_owned()
        }
        BrokerUrlError::NoScheme => format!("{error}, here mqtt://{text}"),
        BrokerUrlError::Path => "plain MQTT has no path; an address ends after the port".to_owned(),
        error => error.to_string(),
    })
}

/// Connection options with a random client id and a clean session.
///
/// # Errors
///
/// When the password file cannot be read, or the TLS roots cannot be loaded.
pub fn mqtt_options(url: &BrokerUrl, credentials: &CredentialArgs) -> anyhow::Result<MqttOptions> {
    let CredentialArgs {
        username,
        password_file,
    } = credentials;
    let mut options = transport_options(url)?;
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

fn transport_options(url: &BrokerUrl) -> anyhow::Result<MqttOptions> {
    let id = client_id();
    let tcp = || Broker::tcp(url.host.as_str(), url.port);
    let options = match url.scheme {
        Scheme::Mqtt => MqttOptions::new(id, tcp()),
        Scheme::Mqtts => {
            let mut options = MqttOptions::new(id, tcp());
            options.set_transport(Transport::tls_with_config(
                TlsConfiguration::default_rustls(),
            ));
            options
        }
        Scheme::Ws => MqttOptions::new(id, Broker::websocket(url.to_url())?),
        Scheme::Wss => MqttOptions::websocket_with_tls_config(
            id,
            url.to_url(),
            TlsConfiguration::default_rustls(),
        )?,
    };
    Ok(options)
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
    fn a_bad_address_says_what_to_write() {
        for (text, cure) in [
            ("127.0.0.1:1883", "here mqtt://127.0.0.1:1883"),
            ("localhost:1883", "here mqtt://localhost:1883"),
            ("http://broker", "write ws"),
            ("mqtt://", "host is missing"),
            ("mqtt://me:secret@broker", "--password-file"),
            ("mqtt://broker/topic", "ends after the port"),
        ] {
            let message = broker_url(text).unwrap_err();
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
