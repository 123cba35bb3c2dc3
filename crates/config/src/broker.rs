//! The address of a broker, taken apart and checked.

use std::fmt;

use serde::{Serialize, Serializer};
use url::{ParseError, Url};

/// Why a text is no address of a broker. No message repeats the address: people put passwords into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerUrlError {
    /// There is nothing.
    #[error("the address is empty; write for example mqtt://broker:1883")]
    Empty,
    /// There is no `://`.
    #[error("the scheme is missing; write for example mqtt://broker:1883")]
    NoScheme,
    /// The caller knows where they belong instead.
    #[error("a user name or password in the address would end up in logs")]
    Credentials,
    /// A scheme of something else, and what was probably meant.
    #[error("the scheme must be mqtt, mqtts, ws or wss{hint}")]
    Scheme {
        /// Empty, or `; for tcp write mqtt`.
        hint: &'static str,
    },
    /// There is no host.
    #[error("the host is missing")]
    NoHost,
    /// The host is neither a name nor an address.
    #[error("the host is not valid: {0}")]
    Host(ParseError),
    /// No port, or 0.
    #[error("the port must be 1 to 65535")]
    Port,
    /// Something stands behind the port.
    #[error("plain MQTT has no path; topics belong into the key topics")]
    Path,
    /// The path of a WebSocket can't be sent.
    #[error("the path must not hold spaces or #")]
    WebSocketPath,
}

/// How a broker is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// MQTT over TCP, port 1883.
    Mqtt,
    /// MQTT over TLS, port 8883.
    Mqtts,
    /// MQTT over a WebSocket, port 80.
    Ws,
    /// MQTT over a WebSocket over TLS, port 443.
    Wss,
}

impl Scheme {
    /// The word before `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// True for the two that go through TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// True for the two that go through a WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    fn read(word: &str) -> Result<Self, BrokerUrlError> {
        let hint = match word {
            "mqtt" => return Ok(Self::Mqtt),
            "mqtts" => return Ok(Self::Mqtts),
            "ws" => return Ok(Self::Ws),
            "wss" => return Ok(Self::Wss),
            "tcp" => "; for tcp write mqtt",
            "ssl" | "tls" | "tcps" => "; for TLS write mqtts",
            "http" => "; for a WebSocket write ws",
            "https" => "; for a WebSocket over TLS write wss",
            _ => "",
        };
        Err(BrokerUrlError::Scheme { hint })
    }
}

/// The address of a broker. It holds no user name and no password: those are refused in it.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// How it is reached.
    pub scheme: Scheme,
    /// Name or address; an IPv6 address stands here without brackets.
    pub host: String,
    /// Given, or the usual one of the scheme.
    pub port: u16,
    /// Path and query of a WebSocket, beginning with `/`; empty for plain MQTT.
    pub path: String,
}

impl BrokerUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// What to change.
    pub fn parse(text: &str) -> Result<Self, BrokerUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BrokerUrlError::Empty);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BrokerUrlError::NoScheme)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(BrokerUrlError::Credentials);
        }
        let scheme = Scheme::read(&scheme.to_ascii_lowercase())?;
        // The path is checked by hand; the host and port of any scheme follow http's rules.
        let url = Url::parse(&format!("http://{authority}")).map_err(|error| match error {
            ParseError::EmptyHost => BrokerUrlError::NoHost,
            ParseError::InvalidPort => BrokerUrlError::Port,
            other => BrokerUrlError::Host(other),
        })?;
        let host = match url.host() {
            Some(url::Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => return Err(BrokerUrlError::NoHost),
        };
        let given = authority
            .rsplit_once(':')
            .map(|(_, port)| port)
            .filter(|p| !p.contains(']'));
        let port = match given {
            None | Some("") => scheme.default_port(),
            Some(port) => port.parse().map_err(|_| BrokerUrlError::Port)?,
        };
        if port == 0 {
            return Err(BrokerUrlError::Port);
        }
        let path = rest.get(authority.len()..).unwrap_or_default();
        Ok(Self {
            scheme,
            host,
            port,
            path: check_path(scheme, path)?,
        })
    }

    /// True if the host is this machine.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// Host and port, with brackets around an IPv6 address.
    pub fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The whole address with its query, for the client. For logs there is `Display`, which leaves
    /// the query out: some brokers take tokens there.
    pub fn to_url(&self) -> String {
        format!(
            "{}://{}{}",
            self.scheme.as_str(),
            self.host_and_port(),
            self.path
        )
    }
}

fn check_path(scheme: Scheme, path: &str) -> Result<String, BrokerUrlError> {
    if !scheme.is_websocket() {
        return match path {
            "" | "/" => Ok(String::new()),
            _ => Err(BrokerUrlError::Path),
        };
    }
    if path.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control()) {
        return Err(BrokerUrlError::WebSocketPath);
    }
    if path.starts_with('/') {
        Ok(path.to_owned())
    } else {
        Ok(format!("/{path}"))
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(
            f,
            "{}://{}{path}",
            self.scheme.as_str(),
            self.host_and_port()
        )
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for BrokerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::BrokerUrl;

    #[test]
    fn addresses_are_taken_apart() {
        let cases = [
            ("mqtt://localhost", "mqtt://localhost:1883", "localhost"),
            (
                "MQTT://Broker.Example:1884/",
                "mqtt://broker.example:1884",
                "broker.example",
            ),
            ("mqtts://10.0.0.1", "mqtts://10.0.0.1:8883", "10.0.0.1"),
            ("ws://broker", "ws://broker:80/", "broker"),
            ("ws://broker:80/mqtt", "ws://broker:80/mqtt", "broker"),
            (
                "wss://broker/mqtt?token=abc",
                "wss://broker:443/mqtt?token=abc",
                "broker",
            ),
            ("wss://broker?x=1", "wss://broker:443/?x=1", "broker"),
            ("mqtt://[::1]", "mqtt://[::1]:1883", "::1"),
            (
                "mqtts://[fd00::5]:8884",
                "mqtts://[fd00::5]:8884",
                "fd00::5",
            ),
        ];
        for (text, url, host) in cases {
            let broker = BrokerUrl::parse(text).unwrap();
            assert_eq!(
                (broker.to_url().as_str(), broker.host.as_str()),
                (url, host),
                "{text}"
            );
        }
    }

    #[test]
    fn refusals_say_what_to_write() {
        let cases = [
            (
                "",
                "the address is empty; write for example mqtt://broker:1883",
            ),
            (
                "broker:1883",
                "the scheme is missing; write for example mqtt://broker:1883",
            ),
            (
                "tcp://b",
                "the scheme must be mqtt, mqtts, ws or wss; for tcp write mqtt",
            ),
            (
                "ssl://b",
                "the scheme must be mqtt, mqtts, ws or wss; for TLS write mqtts",
            ),
            (
                "https://b",
                "the scheme must be mqtt, mqtts, ws or wss; for a WebSocket over TLS write wss",
            ),
            ("amqp://b", "the scheme must be mqtt, mqtts, ws or wss"),
            ("mqtt://", "the host is missing"),
            ("mqtt://:1883", "the host is missing"),
            (
                "mqtt://a b",
                "the host is not valid: invalid international domain name",
            ),
            ("mqtt://b:0", "the port must be 1 to 65535"),
            ("mqtt://b:70000", "the port must be 1 to 65535"),
            ("mqtt://b:x", "the port must be 1 to 65535"),
            (
                "mqtt://b/meshcore/#",
                "plain MQTT has no path; topics belong into the key topics",
            ),
            (
                "mqtt://b/meshcore",
                "plain MQTT has no path; topics belong into the key topics",
            ),
            ("ws://b/a b", "the path must not hold spaces or #"),
        ];
        for (text, message) in cases {
            assert_eq!(
                BrokerUrl::parse(text).unwrap_err().to_string(),
                message,
                "{text}"
            );
        }
    }

    #[test]
    fn passwords_in_addresses_are_refused_and_never_repeated() {
        for text in [
            "mqtt://me:hunter2@broker",
            "wss://hunter2@b/x",
            "foo://a:hunter2@b",
        ] {
            let message = BrokerUrl::parse(text).unwrap_err().to_string();
            assert!(
                message.contains("logs") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }

    #[test]
    fn logs_do_not_see_the_query() {
        let broker = BrokerUrl::parse("wss://broker/mqtt?token=hunter2").unwrap();
        assert_eq!(broker.to_string(), "wss://broker:443/mqtt");
        assert_eq!(
            serde_json::to_string(&broker).unwrap(),
            "\"wss://broker:443/mqtt\""
        );
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        let is_loopback = |text| BrokerUrl::parse(text).unwrap().is_loopback();
        assert!(is_loopback("mqtt://localhost") && is_loopback("mqtt://[::1]"));
        assert!(is_loopback("mqtt://127.0.0.9") && !is_loopback("mqtt://mosquitto"));
    }
}
