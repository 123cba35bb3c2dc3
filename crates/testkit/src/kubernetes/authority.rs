//! The authority that the API server and its clients trust, and the files that the programs read.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::node::NODE_ADDRESS;

/// Certificates and keys in a folder.
pub(super) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// An authority, the API server's certificate, and the key pair that signs tokens of service accounts.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters
            .distinguished_name
            .push(DnType::CommonName, "tests");
        let key = KeyPair::generate()?;
        std::fs::write(folder.join("ca.crt"), parameters.self_signed(&key)?.pem())?;
        let authority = Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(parameters, key),
        };
        let names = [
            "127.0.0.1",
            "localhost",
            "kubernetes.default.svc",
            // Where pods find it: the first address of Services.
            "10.96.0.1",
            NODE_ADDRESS,
        ];
        authority.server("server", &names)?;
        let tokens = KeyPair::generate()?;
        std::fs::write(folder.join("tokens.key"), tokens.serialize_pem())?;
        std::fs::write(folder.join("tokens.pub"), tokens.public_key_pem())?;
        Ok(authority)
    }

    /// The authority's own certificate.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// `<file>.crt` and `<file>.key` for what serves under these names and addresses.
    pub(super) fn server(&self, file: &str, names: &[&str]) -> Result<()> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names)?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(file, &parameters)?;
        Ok(())
    }

    /// A certificate, and its key, that proves a user and the group it is in.
    pub(super) fn user(&self, name: &str, group: Option<&str>) -> Result<(PathBuf, PathBuf)> {
        let file = format!("user-{:016x}", crate::random());
        self.client(&file, name, group)
    }

    /// [`Self::user`] in `<file>.crt` and `<file>.key`.
    pub(super) fn client(
        &self,
        file: &str,
        name: &str,
        group: Option<&str>,
    ) -> Result<(PathBuf, PathBuf)> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let subject = &mut parameters.distinguished_name;
        subject.push(DnType::CommonName, name);
        if let Some(group) = group {
            subject.push(DnType::OrganizationName, group);
        }
        self.sign(file, &parameters)
    }

    fn sign(&self, file: &str, parameters: &CertificateParams) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let files = (
            self.folder.join(format!("{file}.crt")),
            self.folder.join(format!("{file}.key")),
        );
        std::fs::write(&files.0, certificate.pem())?;
        std::fs::write(&files.1, key.serialize_pem())?;
        Ok(files)
    }
}
