//! Flags and environment variables.

use std::path::PathBuf;

/// What can be said on the command line and in the environment. Passwords cannot: flags are visible
/// to every user of the machine.
#[derive(clap::Args, Clone, Default)]
pub struct Args {
    /// Configuration file (JSON or YAML), or the configuration itself as JSON, beginning with {
    #[arg(long, value_name = "FILE", env = "MESHCORE_CONFIG")]
    pub config: Option<PathBuf>,

    /// Database file [default: data/meshcore.db]
    #[arg(long = "db", alias = "db-path", value_name = "FILE", env = "DB_PATH")]
    pub db_path: Option<PathBuf>,

    /// Broker, as mqtt://, mqtts://, ws:// or wss://; replaces the sources of the file
    #[arg(long, value_name = "URL", env = "MQTT_BROKER", hide_env_values = true)]
    pub mqtt_broker: Option<String>,

    /// Topic filter for that broker [default: meshcore/#]
    #[arg(long, value_name = "FILTER", env = "MQTT_TOPIC")]
    pub mqtt_topic: Option<String>,

    /// User name for that broker
    #[arg(
        long,
        value_name = "NAME",
        env = "MQTT_USERNAME",
        hide_env_values = true
    )]
    pub mqtt_username: Option<String>,

    /// File with the password for that broker
    #[arg(long, value_name = "FILE", env = "MQTT_PASSWORD_FILE")]
    pub mqtt_password_file: Option<PathBuf>,

    /// File with channel names and keys (JSON or YAML)
    #[arg(long, value_name = "FILE", env = "CHANNEL_KEYS_PATH")]
    pub channel_keys_path: Option<PathBuf>,

    /// Address of the health and metrics endpoints [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS", env = "MESHCORE_INGESTOR_ADDRESS")]
    pub health_address: Option<String>,

    /// What to log: error, warn, info, debug, trace, or a filter such as info,sqlx=warn
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL")]
    pub log_level: Option<String>,
}
