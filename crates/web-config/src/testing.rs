//! For the tests of other crates.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use swarmscout_config_decoder::Errors;
use swarmscout_net::config::PemSource;
use tokio::sync::{mpsc, watch};

use crate::load::of_text;
use crate::{Doors, DoorsHandle, DoorsStatus, PasswordQueue, parse};

/// What the text of a web configuration says.
///
/// # Panics
///
/// If it is not valid.
pub fn doors(text: &str) -> Arc<Doors> {
    match of_text(text.as_bytes(), Path::new("web.yml")) {
        Ok(doors) => Arc::new(doors),
        Err(errors) => panic!("{errors}"),
    }
}

/// What the text of a web configuration says; `None` if it is not valid or names files.
pub fn load_inline(text: &[u8]) -> Option<Result<Doors, Errors>> {
    let path = Path::new("web.yml");
    let (config, _) = parse(text, path).ok()?;
    let is_inline = config.tls.is_none_or(|tls| {
        let sources = [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()];
        sources.into_iter().flatten().all(|source| matches!(source, PemSource::Inline(_)))
    });
    is_inline.then(|| of_text(text, path))
}

/// A handle of these doors, and what replaces them.
pub fn handle(doors: Arc<Doors>) -> (watch::Sender<Arc<Doors>>, DoorsHandle) {
    let (sender, doors) = watch::channel(doors);
    let loaded = SystemTime::now();
    let status = DoorsStatus { error: None, loaded, warnings: Arc::from([]) };
    let handle = DoorsHandle {
        file: Arc::new(PathBuf::from("web.yml")),
        doors,
        status: watch::channel(status).1,
        reload: mpsc::channel(1).0,
    };
    (sender, handle)
}

/// Takes all places that this client can have in the queue, until the returned value is dropped.
pub fn fill(queue: &Arc<PasswordQueue>, client: Option<IpAddr>) -> impl Sized + use<> {
    std::iter::from_fn(|| queue.enter(client).ok()).collect::<Vec<_>>()
}
