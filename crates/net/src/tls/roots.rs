//! The certificates that the system trusts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::{Error, file, lane};

/// The system's certificates, read when the first client needs them and then shared: there are some
/// hundred and fifty of them. Clones share. As in Go, a change is seen by the next process.
#[derive(Clone, Default)]
pub struct SystemRoots(Arc<OnceCell<Arc<RootCertStore>>>);

impl SystemRoots {
    /// Fails where they are not read in time for a request that ends at `deadline`.
    pub(super) async fn get(&self, deadline: Instant) -> Result<Arc<RootCertStore>, Error> {
        let read = async || read(file::patience(deadline)).await.map(Arc::new);
        self.0.get_or_try_init(read).await.cloned()
    }
}

impl fmt::Debug for SystemRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.get().map(|roots| roots.len());
        f.debug_tuple("SystemRoots").field(&count).finish()
    }
}

/// The system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), or Mozilla's where
/// the system has none, as in an image made from scratch.
async fn read(within: Duration) -> Result<RootCertStore, Error> {
    // Where they are is known to the library only.
    let lane = Path::new("the certificates of the system");
    let native = lane::read(lane, within, rustls_native_certs::load_native_certs).await;
    let native = native.map_err(|stuck| {
        Error::Tls(format!("{stuck}; name the authorities in ca_file, or set SSL_CERT_FILE"))
    })?;
    let mut roots = RootCertStore::empty();
    for error in &native.errors {
        tracing::warn!(%error, "cannot read a certificate of the system");
    }
    let (_, unusable) = roots.add_parsable_certificates(native.certs);
    if unusable > 0 {
        tracing::debug!(unusable, "some certificates of the system cannot be used");
    }
    if roots.is_empty() {
        tracing::debug!("the system has no certificates, using the built-in ones of Mozilla");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}
