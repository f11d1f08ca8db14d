//! Certificates: read at once, read again when their files change.

use crate::error::Error;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use taxiway_model::route::Tls;

/// What tells that a file was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fingerprint([Option<(SystemTime, u64)>; 2]);

impl Fingerprint {
    /// Looks at the files of a certificate.
    pub fn of(tls: &Tls) -> Self {
        Self([&tls.certificate, &tls.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        }))
    }
}

/// Reads certificate and key and prepares them for HTTP/2 and HTTP/1.1 by ALPN.
pub fn load(tls: &Tls) -> Result<Arc<ServerConfig>, Error> {
    let expected = "one or more certificates, the server's own first";
    let bad = |path: &str, why: String, expected| Error::BadTls { path: path.to_owned(), why, expected };
    let chain: Vec<_> = CertificateDer::pem_file_iter(Path::new(&tls.certificate))
        .and_then(Iterator::collect)
        .map_err(|error| bad(&tls.certificate, error.to_string(), expected))?;
    if chain.is_empty() {
        return Err(bad(&tls.certificate, "there is no certificate in it".into(), expected));
    }
    let expected = "the private key of the certificate";
    let key = PrivateKeyDer::from_pem_file(Path::new(&tls.key))
        .map_err(|error| bad(&tls.key, error.to_string(), expected))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&tls.certificate, error.to_string(), expected))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad(&tls.key, error.to_string(), expected))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
