//! The certificates that the system trusts.

use rustls::RootCertStore;

/// The system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), or Mozilla's where
/// there are none, as in an image made from scratch.
pub(super) async fn system() -> RootCertStore {
    let native = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let mut roots = RootCertStore::empty();
    if let Ok(native) = native.await {
        for error in &native.errors {
            tracing::warn!(%error, "cannot read a certificate of the system");
        }
        let (_, unusable) = roots.add_parsable_certificates(native.certs);
        if unusable > 0 {
            tracing::debug!(unusable, "some certificates of the system cannot be used");
        }
    }
    if roots.is_empty() {
        tracing::debug!("the system has no certificates, using the built-in ones of Mozilla");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
