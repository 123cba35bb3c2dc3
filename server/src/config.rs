//! Flags and environment, resolved once into what the rest uses.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::http::PerAddress;
use crate::live::AllowedOrigins;

/// What can be said on the command line and in the environment.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// Database that the ingestor writes [default: data/meshcore.db]
    #[arg(long = "db", value_name = "FILE", env = "DB_PATH")]
    pub db_path: Option<PathBuf>,

    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "MESHCORE_SERVER_ADDRESS")]
    pub listen: Option<String>,

    /// Most connections at one time, WebSockets included [default: 2000]
    #[arg(long, value_name = "N", env = "MESHCORE_SERVER_MAX_CONNECTIONS")]
    pub max_connections: Option<String>,

    /// Most connections from one address, 0 for no limit [default: 100 from each public address]
    #[arg(
        long,
        value_name = "N",
        env = "MESHCORE_SERVER_MAX_CONNECTIONS_PER_ADDRESS"
    )]
    pub max_connections_per_address: Option<String>,

    /// Origins of other sites whose pages may open WebSockets here, separated by commas; * for all
    #[arg(long, value_name = "ORIGINS", env = "MESHCORE_SERVER_ALLOWED_ORIGINS")]
    pub allowed_origins: Option<String>,

    /// What to log: error, warn, info, debug, trace, or a filter such as info,sqlx=warn [default: info]
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL")]
    pub log_level: Option<String>,
}

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database file.
    pub db_path: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Most connections at one time.
    pub max_connections: usize,
    /// Most connections from one address.
    pub per_address: PerAddress,
    /// Other sites whose pages may open WebSockets.
    pub allowed_origins: AllowedOrigins,
    /// The log filter.
    pub log_level: String,
}

/// A value that can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} ({variable}) is {value:?}, which is not {wanted}; write for example {example}")]
pub struct ConfigError {
    flag: &'static str,
    variable: &'static str,
    value: String,
    wanted: &'static str,
    example: &'static str,
}

/// The most connections that can be asked for: one process can't have more files open on common systems.
const MAX_CONNECTIONS: usize = 1_000_000;

impl Config {
    /// Takes `args` and fills in the defaults. A value that is empty counts as one that is not set.
    ///
    /// # Errors
    /// When a value can't be used.
    pub fn resolve(args: Args) -> Result<Self, ConfigError> {
        let Args {
            db_path,
            listen,
            max_connections,
            max_connections_per_address,
            allowed_origins,
            log_level,
        } = args;
        Ok(Self {
            db_path: db_path
                .filter(|path| !path.as_os_str().is_empty())
                .unwrap_or_else(|| "data/meshcore.db".into()),
            listen: parse(listen, &LISTEN, |text| text.parse().ok())?
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            max_connections: parse(max_connections, &CONNECTIONS, |text| {
                number(text).filter(|n| *n > 0)
            })?
            .unwrap_or(2000),
            per_address: parse(max_connections_per_address, &PER_ADDRESS, |text| {
                number(text).map(PerAddress::of_each)
            })?
            .unwrap_or(PerAddress::OfPublic(100)),
            allowed_origins: parse(allowed_origins, &ORIGINS, |text| {
                AllowedOrigins::parse(text)
            })?
            .unwrap_or_default(),
            log_level: log_level
                .filter(|level| !level.trim().is_empty())
                .unwrap_or_else(|| "info".to_owned()),
        })
    }
}

/// How one value is named and described when it is wrong.
struct Setting {
    flag: &'static str,
    variable: &'static str,
    wanted: &'static str,
    example: &'static str,
}

const LISTEN: Setting = Setting {
    flag: "--listen",
    variable: "MESHCORE_SERVER_ADDRESS",
    wanted: "an IP address and a port",
    example: "127.0.0.1:8080, or [::]:8080 for all addresses",
};
const CONNECTIONS: Setting = Setting {
    flag: "--max-connections",
    variable: "MESHCORE_SERVER_MAX_CONNECTIONS",
    wanted: "a number from 1 to 1000000",
    example: "2000",
};
const PER_ADDRESS: Setting = Setting {
    flag: "--max-connections-per-address",
    variable: "MESHCORE_SERVER_MAX_CONNECTIONS_PER_ADDRESS",
    wanted: "a number from 0 (no limit) to 1000000",
    example: "100",
};
const ORIGINS: Setting = Setting {
    flag: "--allowed-origins",
    variable: "MESHCORE_SERVER_ALLOWED_ORIGINS",
    wanted: "a list of origins, each with a scheme and without a path",
    example: "https://mesh.example.org,http://localhost:5173",
};

fn parse<T>(
    value: Option<String>,
    setting: &Setting,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = value.filter(|value| !value.trim().is_empty()) else {
        return Ok(None);
    };
    match parse(value.trim()) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(ConfigError {
            flag: setting.flag,
            variable: setting.variable,
            value,
            wanted: setting.wanted,
            example: setting.example,
        }),
    }
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| *n <= MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_means_the_defaults_and_so_does_nothing_but_blanks() {
        let blanks = Args {
            db_path: Some("".into()),
            listen: Some(" ".to_owned()),
            max_connections: Some(String::new()),
            max_connections_per_address: Some(String::new()),
            allowed_origins: Some(String::new()),
            log_level: Some(String::new()),
        };
        for args in [Args::default(), blanks] {
            let config = Config::resolve(args).unwrap();
            assert_eq!(config.db_path, PathBuf::from("data/meshcore.db"));
            assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
            assert_eq!(config.max_connections, 2000);
            assert_eq!(config.per_address, PerAddress::OfPublic(100));
            assert_eq!(config.log_level, "info");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_the_cure() {
        let listen = Args {
            listen: Some("localhost:8080".to_owned()),
            ..Args::default()
        };
        assert_eq!(
            Config::resolve(listen).unwrap_err().to_string(),
            "--listen (MESHCORE_SERVER_ADDRESS) is \"localhost:8080\", which is not an IP address and a port; \
             write for example 127.0.0.1:8080, or [::]:8080 for all addresses"
        );
        for number in ["0", "-1", "many", "1000001", "1.5"] {
            let args = Args {
                max_connections: Some(number.to_owned()),
                ..Args::default()
            };
            assert!(Config::resolve(args).is_err(), "{number}");
        }
        let origins = Args {
            allowed_origins: Some("mesh.example.org".to_owned()),
            ..Args::default()
        };
        assert!(Config::resolve(origins).is_err());
    }

    #[test]
    fn a_limit_that_is_given_holds_for_every_address() {
        for (given, meant) in [("0", PerAddress::Unlimited), ("7", PerAddress::OfEach(7))] {
            let args = Args {
                max_connections_per_address: Some(given.to_owned()),
                ..Args::default()
            };
            assert_eq!(Config::resolve(args).unwrap().per_address, meant);
        }
    }
}
