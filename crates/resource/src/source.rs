//! One entry of `mqttSources`. Nothing in it has a default in the schema, since defaults inside lists make
//! updates ambiguous; what holds when a field is missing is said by a method.

use meshcore_config::{BrokerUrl, DEFAULT_TOPIC};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// A broker to listen to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = rules::Secretive { field: "broker", text: &rules::BROKER },
    transform = rules::Rules(&[&rules::TLS_NEEDS_SCHEME])
)]
pub struct MqttSource {
    /// Unique among the sources; a label of logs and metrics, and part of the client id.
    #[schemars(transform = &rules::SOURCE_NAME)]
    pub name: String,
    /// `mqtt://`, `mqtts://`, `ws://` or `wss://`, without user name and password.
    pub broker: String,
    /// Which version of MQTT to speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Topic filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), transform = &rules::TOPIC)]
    pub topics: Option<Vec<String>>,
    /// Regions to take packets from; empty takes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), transform = &rules::REGION)]
    pub iata_filter: Option<Vec<String>>,
    /// The region of observers whose messages name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::REGION)]
    pub region: Option<String>,
    /// User name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<CredentialsRef>,
    /// For `mqtts` and `wss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<SourceTls>,
}

impl MqttSource {
    /// The topic filters, or the usual one.
    pub fn topics(&self) -> Vec<&str> {
        match &self.topics {
            Some(topics) => topics.iter().map(String::as_str).collect(),
            None => vec![DEFAULT_TOPIC],
        }
    }

    /// The port of the broker, given or usual; `None` for a URL that the rules refuse.
    pub fn broker_port(&self) -> Option<u16> {
        let url = BrokerUrl::parse(&self.broker).ok()?;
        Some(url.port)
    }

    /// The protocol, or `auto`.
    pub fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or_default()
    }
}

/// Which version of MQTT to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// 5, and 3.1.1 where 5 is refused.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Only 5.
    #[serde(rename = "5")]
    V5,
    /// Only 3.1.1.
    #[serde(rename = "3.1.1")]
    V311,
}

impl Protocol {
    /// As it stands in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::V5 => "5",
            Self::V311 => "3.1.1",
        }
    }
}

/// A Secret with a user name and a password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsRef {
    /// The Secret.
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub name: String,
    /// Its key with the user name: `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::SECRET_KEY)]
    pub username_key: Option<String>,
    /// Its key with the password: `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::SECRET_KEY)]
    pub password_key: Option<String>,
}

impl CredentialsRef {
    /// The key with the user name.
    pub fn username_key(&self) -> &str {
        self.username_key.as_deref().unwrap_or("username")
    }

    /// The key with the password.
    pub fn password_key(&self) -> &str {
        self.password_key.as_deref().unwrap_or("password")
    }
}

/// How to check the broker's certificate, and which one to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceTls {
    /// Authorities to trust instead of the usual ones; the key is `ca.crt` unless another is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// A Secret of type `kubernetes.io/tls`, with `tls.crt` and `tls.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret_ref: Option<SecretRef>,
    /// The name to expect in the certificate, if it is not the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::SERVER_NAME)]
    pub server_name: Option<String>,
    /// Accept any certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Its name.
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub name: String,
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// The Secret.
    #[schemars(transform = &rules::OBJECT_NAME)]
    pub name: String,
    /// Its key; what holds without one depends on what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = &rules::SECRET_KEY)]
    pub key: Option<String>,
}

impl SecretKeyRef {
    /// The key, or `default`.
    pub fn key_or<'a>(&'a self, default: &'a str) -> &'a str {
        self.key.as_deref().unwrap_or(default)
    }
}
