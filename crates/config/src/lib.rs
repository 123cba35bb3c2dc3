//! What the ingestor's configuration file and the resource have in common: what is a good value, which key
//! was meant, and how to say what is wrong. Pure; it reads no file and knows neither of the two.

mod broker;
mod keys;
mod log_level;
mod region;
mod topic;
mod words;

pub use broker::{BrokerUrl, BrokerUrlError, Scheme};
pub use keys::{field_names, key_path, nearest};
pub use log_level::log_level;
pub use region::region_code;
pub use topic::{DEFAULT_TOPIC, check_topic_filter, covers, without_covered};
pub use words::in_plain_words;
