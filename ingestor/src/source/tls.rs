//! Where to connect and how bytes travel there: TCP or WebSocket, with TLS or without. Certificates are read
//! anew for each connection, so that a renewed one needs no restart.

use std::path::Path;
use std::sync::Arc;

use rumqttc_v5::TlsConfiguration;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::link::{Target, Transport};
use crate::config::{Source, TlsSettings};

/// A TLS configuration, cheap to clone.
#[derive(Clone)]
pub(crate) struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// In the form that both MQTT clients take.
    pub(crate) fn configuration(&self) -> TlsConfiguration {
        TlsConfiguration::Rustls(Arc::clone(&self.0))
    }
}

/// Where a source connects to.
///
/// # Errors
/// When a certificate or key can't be read; the text names the file.
pub(crate) fn target(source: &Source) -> Result<Target, String> {
    let broker = &source.broker;
    let transport = match (broker.scheme.is_websocket(), broker.scheme.is_tls()) {
        (false, false) => Transport::Tcp,
        (true, false) => Transport::WebSocket,
        (false, true) => Transport::Tls(client_tls(&source.tls)?),
        (true, true) => Transport::WebSocketTls(client_tls(&source.tls)?),
    };
    // The name that the certificate must carry stands where the host would; the socket still goes to the host.
    let server_name = source
        .tls
        .server_name
        .as_ref()
        .filter(|_| broker.scheme.is_tls());
    let named = match server_name {
        Some(name) => crate::config::BrokerUrl {
            host: name.clone(),
            ..broker.clone()
        },
        None => broker.clone(),
    };
    Ok(Target {
        url: named.to_url(),
        host: named.host,
        port: broker.port,
        dial: server_name.map(|_| broker.host_and_port()),
        transport,
    })
}

fn client_tls(settings: &TlsSettings) -> Result<ClientTls, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    let builder = if settings.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(NoVerification(provider)))
    } else {
        builder.with_root_certificates(roots(settings.ca_file.as_deref())?)
    };
    let config = match &settings.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let chain = certificates(&client.cert_file)?;
            let key = PrivateKeyDer::from_pem_file(&client.key_file).map_err(|error| {
                format!(
                    "the key {} can't be read: {error}",
                    client.key_file.display()
                )
            })?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("the client certificate can't be used: {error}"))?
        }
    };
    Ok(ClientTls(Arc::new(config)))
}

/// The authorities of the file, or those of the system.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            return Err("the system has no certificate authorities: install ca-certificates, or name a caFile".into());
        }
        return Ok(roots);
    };
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            format!("the authority in {} can't be used: {error}", path.display())
        })?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let problem = |error| {
        format!(
            "the certificates in {} can't be read: {error}",
            path.display()
        )
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(problem)?
        .collect::<Result<_, _>>()
        .map_err(problem)?;
    if certificates.is_empty() {
        return Err(format!("{} holds no certificate (PEM)", path.display()));
    }
    Ok(certificates)
}

/// Takes any certificate, for those who asked for it. Signatures are still checked.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
