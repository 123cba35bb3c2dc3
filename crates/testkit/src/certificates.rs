//! An authority of one's own and the certificates it signs, as files that a broker and its clients read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// A folder with `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key`.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// An authority, a certificate for the broker at `names` (host names or addresses), and one for a client.
    pub fn new(names: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The broker gives up root before it reads them.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        }
        let certificates = Self { folder };
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(
            DnType::CommonName,
            format!("Authority {}", folder_name(&certificates.folder)),
        );
        let key = KeyPair::generate()?;
        std::fs::write(certificates.ca(), authority.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(authority, key);
        for (who, names) in [("server", names), ("client", &["client"][..])] {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let key = KeyPair::generate()?;
            let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
            std::fs::write(certificates.path(&format!("{who}.pem")), certificate.pem())?;
            std::fs::write(
                certificates.path(&format!("{who}.key")),
                key.serialize_pem(),
            )?;
        }
        Ok(certificates)
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The client's certificate and its key.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.path("client.pem"), self.path("client.key"))
    }

    /// Lines that make the listener before them in a mosquitto configuration speak TLS.
    pub fn broker_lines(&self) -> Vec<String> {
        let line = |word: &str, path: &Path| format!("{word} {}", path.display());
        vec![
            line("cafile", &self.ca()),
            line("certfile", &self.path("server.pem")),
            line("keyfile", &self.path("server.key")),
        ]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Two authorities need two names.
fn folder_name(folder: &TempDir) -> String {
    folder.path().display().to_string()
}
