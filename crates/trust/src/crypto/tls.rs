//! The TLS provider of this program, and the additional certificates that its clients trust.
//!
//! The provider is ring, because it only needs a C compiler. A configured certificate can be that of an authority, or
//! the server's own, as made by `openssl req -x509` (which marks it as an authority): then exactly that certificate is
//! trusted, for the names in it, and while it is valid.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Makes ring the TLS provider of this process; can be called repeatedly.
pub fn use_ring() {
    // An error means that it was set before, to the same provider: there is no other.
    let _same = rustls::crypto::ring::default_provider().install_default();
}

/// A text without valid certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file contains no PEM certificate")]
pub struct NoCertificates;

/// The TLS configuration of a client that trusts the certificates in a PEM text, besides the public authorities.
///
/// # Errors
/// The text contains no valid certificate.
pub fn trusting(pem: &[u8]) -> Result<ClientConfig, NoCertificates> {
    let named = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| NoCertificates)?;
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in &named {
        roots.add(certificate.clone()).map_err(|_| NoCertificates)?;
    }
    if named.is_empty() {
        return Err(NoCertificates);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let authorities = authorities.build().map_err(|_| NoCertificates)?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|_| NoCertificates)?.dangerous();
    let mut config =
        config.with_custom_certificate_verifier(Arc::new(Named { authorities, named })).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Trusts authorities, and the configured certificates.
#[derive(Debug)]
struct Named {
    authorities: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.authorities.verify_server_cert(server, between, name, ocsp, now) {
            // Found after the certificate's validity period is checked, and before its name is.
            Err(error) if calls_itself_an_authority(&error) && self.named.contains(server) => {
                let parsed = ParsedCertificate::try_from(server)?;
                rustls::client::verify_server_name(&parsed, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// The error of rustls for a server certificate with `CA:TRUE`.
const AUTHORITY_AS_SERVER: &str = "CaUsedAsEndEntity";

fn calls_itself_an_authority(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => format!("{other:?}").contains(AUTHORITY_AS_SERVER),
        _ => false,
    }
}

/// The problem with a server's certificate or protocol, as text; absent if the message of rustls is good enough.
fn explain(error: &Error) -> Option<String> {
    let text = match error {
        _ if calls_itself_an_authority(error) => {
            "its certificate is a CA certificate (CA:TRUE), but not the configured one"
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is not signed by a trusted \
            authority"
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })
            if presented.is_empty() =>
        {
            "its certificate has no host name (subjectAltName is missing)"
        }
        Error::InvalidMessage(_) => "it does not answer with TLS; if the port uses plain HTTP, use http://",
        _ => return None,
    };
    Some(text.to_owned())
}

/// The TLS error of a server, if that is the cause.
pub fn tls_fault(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<Error>() {
            return Some(explain(tls).unwrap_or_else(|| tls.to_string()));
        }
        // `io::Error::source` skips the wrapped error itself.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}
