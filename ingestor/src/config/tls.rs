//! Certificates: which authorities to trust, and which certificate to show.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::Findings;
use super::raw::RawTls;

/// How to check the broker's certificate, and which one to show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsSettings {
    /// Authorities to trust instead of the usual ones (PEM).
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and key (PEM).
    pub client: Option<ClientCertificate>,
    /// The name to expect in the certificate, if it is not the host.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
}

/// A certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The chain (PEM).
    pub cert_file: PathBuf,
    /// The private key (PEM).
    pub key_file: PathBuf,
}

impl TlsSettings {
    /// The files that are read for each connection.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let client = self.client.as_ref();
        [
            self.ca_file.as_deref(),
            client.map(|client| client.cert_file.as_path()),
            client.map(|client| client.key_file.as_path()),
        ]
        .into_iter()
        .flatten()
    }

    pub(super) fn resolve(
        path: &str,
        raw: RawTls,
        reject_unauthorized: Option<bool>,
        findings: &mut Findings,
    ) -> Self {
        let RawTls {
            ca_file,
            client_cert_file,
            client_key_file,
            server_name,
            insecure_skip_verify,
        } = raw;
        let skip_from_reject = reject_unauthorized.map(|reject| !reject);
        if let (Some(reject), Some(skip)) = (skip_from_reject, insecure_skip_verify)
            && reject != skip
        {
            findings.problem(
                format!("{path}.rejectUnauthorized"),
                "contradicts tls.insecureSkipVerify; remove one of them",
            );
        }
        let client = match (client_cert_file, client_key_file) {
            (Some(cert_file), Some(key_file)) => Some(ClientCertificate {
                cert_file,
                key_file,
            }),
            (None, None) => None,
            (cert, _) => {
                let missing = if cert.is_none() {
                    "clientCertFile"
                } else {
                    "clientKeyFile"
                };
                let message = "is missing; a client certificate needs both files";
                findings.problem(format!("{path}.tls.{missing}"), message);
                None
            }
        };
        Self {
            ca_file,
            client,
            server_name,
            insecure_skip_verify: insecure_skip_verify.or(skip_from_reject).unwrap_or(false),
        }
    }
}
