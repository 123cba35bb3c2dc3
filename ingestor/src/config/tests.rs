//! The rules of the whole configuration; those of its parts are beside the parts.

mod messages;
mod precedence;
mod values;

use std::path::Path;

use super::error::ConfigError;
use super::raw::RawFile;
use super::{Args, Config, Loaded, resolve};

/// Resolves the text of a file, without flags.
fn load(text: &str) -> Result<Loaded, ConfigError> {
    load_with(Args::default(), text)
}

/// Resolves flags and the text of a file.
fn load_with(args: Args, text: &str) -> Result<Loaded, ConfigError> {
    resolve(args, RawFile::parse(text, Path::new("config.yaml"))?)
}

/// A configuration that must be good.
fn config(text: &str) -> Config {
    load(text).expect("a good configuration").config
}

/// What is wrong with a configuration, one line each.
fn problems(text: &str) -> Vec<String> {
    match load(text).expect_err("a bad configuration") {
        ConfigError::Invalid(problems) => problems.iter().map(ToString::to_string).collect(),
        other => vec![other.to_string()],
    }
}

/// What is odd about a configuration, one line each.
fn warnings(text: &str) -> Vec<String> {
    let loaded = load(text).expect("a good configuration");
    loaded.warnings.iter().map(ToString::to_string).collect()
}
