//! As whom to connect to a broker.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::Findings;
use super::secret::{Secret, SecretSource};
use super::token::TokenSignIn;

/// As whom to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Credentials {
    /// As nobody.
    Anonymous,
    /// With a user name, and a password unless the broker wants none.
    Password {
        /// The user name.
        username: SecretSource,
        /// The password.
        password: Option<SecretSource>,
    },
    /// With a signed token.
    Token(TokenSignIn),
}

impl Credentials {
    pub(super) fn resolve(
        path: &str,
        username: Option<SecretSource>,
        password: Option<SecretSource>,
        token: Option<TokenSignIn>,
        findings: &mut Findings,
    ) -> Self {
        match (username, password, token) {
            (None, None, None) => Self::Anonymous,
            (None, None, Some(token)) => Self::Token(token),
            (Some(username), password, None) => Self::Password { username, password },
            (None, Some(_), None) => {
                let message =
                    "is missing; a password needs a user name (key username or usernameFile)";
                findings.problem(format!("{path}.username"), message);
                Self::Anonymous
            }
            (_, _, Some(token)) => {
                let message = "cannot go with username and password; remove one or the other";
                findings.problem(format!("{path}.token"), message);
                Self::Token(token)
            }
        }
    }
}

impl Credentials {
    /// The files that are read for each connection.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let secrets = match self {
            Self::Anonymous => [None, None],
            Self::Password { username, password } => [Some(username), password.as_ref()],
            Self::Token(token) => [Some(&token.private_key), None],
        };
        secrets.into_iter().flatten().filter_map(SecretSource::path)
    }
}

/// A secret given inline or as a file; both is a mistake.
pub(super) fn secret_source(
    path: &str,
    key: &str,
    inline: Option<Secret>,
    file: Option<PathBuf>,
    findings: &mut Findings,
) -> Option<SecretSource> {
    // An empty value is how templates say "none".
    let inline = inline.filter(|secret| !secret.expose().is_empty());
    let file = file.filter(|file| !file.as_os_str().is_empty());
    if inline.is_some() && file.is_some() {
        let message = format!("is given twice, with {key}File; remove one of them");
        findings.problem(format!("{path}.{key}"), message);
    }
    inline
        .map(SecretSource::Inline)
        .or(file.map(SecretSource::File))
}
