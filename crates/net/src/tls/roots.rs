//! The certificates that the system trusts.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use tokio::sync::OnceCell;

/// The system's certificates, read when the first client needs them and then shared: there are some
/// hundred and fifty of them. Clones share. As in Go, a change is seen by the next process.
#[derive(Clone, Default)]
pub struct SystemRoots(Arc<OnceCell<Arc<RootCertStore>>>);

impl SystemRoots {
    pub(super) async fn get(&self) -> Arc<RootCertStore> {
        self.0.get_or_init(async || Arc::new(read().await)).await.clone()
    }
}

impl fmt::Debug for SystemRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.get().map(|roots| roots.len());
        f.debug_tuple("SystemRoots").field(&count).finish()
    }
}

/// The system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), or Mozilla's where
/// there are none, as in an image made from scratch.
async fn read() -> RootCertStore {
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
