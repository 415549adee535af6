//! TLS of what listens: made from PEM, and made anew when the PEM changes.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use thiserror::Error;
use tokio::sync::watch;

use crate::config::CertificateFiles;
use crate::kubernetes::ServingPair;

/// Why a listener has no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Check the path, and who may read it.
    #[error("{path} cannot be read")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not PEM, or of the wrong kind.
    #[error("the {what} cannot be read as PEM")]
    Pem {
        /// Which part.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error("the certificate and its key cannot be used")]
    Pair(#[source] rustls::Error),
    /// The authority of clients cannot be used.
    #[error("the authority of clients cannot be used")]
    ClientCa(#[source] rustls::server::VerifierBuilderError),
    /// The authority's certificates cannot be used.
    #[error("a certificate of the authority of clients cannot be used")]
    Root(#[source] rustls::Error),
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clients<'a> {
    /// They are not asked for any.
    Unasked,
    /// One that this authority (PEM) vouches for, or none.
    May(&'a str),
    /// One that this authority (PEM) vouches for.
    Must(&'a str),
}

/// The settings of new connections; `None` before there are any.
#[derive(Clone, Debug)]
pub(super) struct Tls(watch::Receiver<Option<Arc<ServerConfig>>>);

impl Tls {
    /// Those that are sent here.
    pub(super) const fn new(settings: watch::Receiver<Option<Arc<ServerConfig>>>) -> Self {
        Self(settings)
    }

    /// Those of a connection that begins now.
    pub(super) fn current(&self) -> Option<Arc<ServerConfig>> {
        self.0.borrow().clone()
    }
}

/// Settings for a certificate.
///
/// # Errors
/// When PEM cannot be read or used.
pub(super) fn settings(
    pair: &ServingPair,
    clients: Clients<'_>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let pem = |what| move |source| TlsError::Pem { what, source };
    let chain = certificates(&pair.cert, "certificate")?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(pem("private key"))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let builder = match clients {
        Clients::Unasked => builder.with_no_client_auth(),
        Clients::May(ca) => builder.with_client_cert_verifier(verifier(ca, false)?),
        Clients::Must(ca) => builder.with_client_cert_verifier(verifier(ca, true)?),
    };
    let mut settings = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
    settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(settings))
}

fn verifier(ca: &str, is_required: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca, "authority of clients")? {
        roots.add(certificate).map_err(TlsError::Root)?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(TlsError::ClientCa)
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.map_err(|source| TlsError::Pem { what, source })?;
    if all.is_empty() {
        let source = rustls::pki_types::pem::Error::NoItemsFound;
        return Err(TlsError::Pem { what, source });
    }
    Ok(all)
}

/// Reads a certificate and its key.
///
/// # Errors
/// When one of the files cannot be read.
pub(super) async fn read_pair(files: &CertificateFiles) -> Result<ServingPair, TlsError> {
    Ok(ServingPair { cert: read(&files.cert).await?, key: read(&files.key).await? })
}

/// Reads a file of PEM.
///
/// # Errors
/// When it cannot be read.
pub(super) async fn read(path: &Path) -> Result<String, TlsError> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|source| TlsError::Read { path: path.display().to_string(), source })
}
