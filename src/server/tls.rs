//! Certificates from files, reloaded when they change.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::config::{ConfigError, TlsFiles};
use crate::metrics::Metrics;

/// How often the files are checked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A certificate and its files.
#[derive(Clone)]
pub(super) struct Certificates {
    files: TlsFiles,
    config: Arc<ArcSwap<ServerConfig>>,
    /// When it expires, in seconds since 1970; absent if that cannot be read.
    expiry_s: Option<i64>,
}

impl Certificates {
    pub(super) fn load(files: &TlsFiles) -> Result<Self, ConfigError> {
        let (config, expiry_s) = read(files)?;
        let config = Arc::new(ArcSwap::from_pointee(config));
        Ok(Self { files: files.clone(), config, expiry_s })
    }

    pub(super) fn config(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.config)
    }

    /// Uses changed files for new connections, until told to stop; invalid files change nothing.
    pub(super) async fn watch(self, metrics: Metrics, stop: CancellationToken) {
        measure(&metrics, self.expiry_s);
        let mut seen = None;
        loop {
            let files = self.files.clone();
            // The files may be on a slow disk.
            let looked = tokio::task::spawn_blocking(move || {
                let now = modified(&files);
                let changed = seen.is_some_and(|seen| seen != now);
                (Some(now), changed.then(|| read(&files)))
            });
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = looked => looked,
            };
            match looked {
                Ok((now, config)) => {
                    seen = now;
                    match config {
                        Some(Ok((config, expiry_s))) => {
                            self.config.store(Arc::new(config));
                            measure(&metrics, expiry_s);
                            tracing::info!("loaded the new certificate");
                        }
                        Some(Err(error)) => {
                            tracing::warn!(%error, "could not load the new certificate; still using the old one");
                        }
                        None => {}
                    }
                }
                Err(error) => tracing::error!(%error, "could not check the certificate"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

fn measure(metrics: &Metrics, expiry_s: Option<i64>) {
    if let Some(expiry_s) = expiry_s {
        metrics.certificate_expiry_timestamp_seconds.gauge().set(expiry_s);
    }
}

fn modified(files: &TlsFiles) -> [Option<std::time::SystemTime>; 2] {
    [&files.certificate, &files.key].map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
}

/// When a certificate expires, in seconds since 1970; absent if it cannot be parsed.
fn expiry_s(certificate: &CertificateDer<'_>) -> Option<i64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    i64::try_from(certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs()).ok()
}

/// The configuration of new connections, and when its certificate expires.
fn read(files: &TlsFiles) -> Result<(ServerConfig, Option<i64>), ConfigError> {
    let fault = |what: &str, error: &dyn std::fmt::Display| ConfigError::Tls(format!("{what}: {error}"));
    let certificate = files.certificate.display().to_string();
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(&certificate, &error))?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fault(&files.key.display().to_string(), &error))?;
    let expiry_s = chain.first().and_then(expiry_s);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| fault(&certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, expiry_s))
}
