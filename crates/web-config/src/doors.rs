//! One version of a web configuration file, ready for use, and who shows it to a listener.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{RateLimiter, Rights, TlsDoor, Users, WebConfig};

/// One version of a web configuration file with the files that it names.
#[derive(Clone, Debug)]
pub struct Doors {
    /// TLS; `None`: plain HTTP.
    pub tls: Option<TlsDoor>,
    /// More headers of each answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The users, and their passwords that are known to be good.
    pub users: Users,
    /// The limit of requests.
    pub rate_limit: Option<RateLimiter>,
    /// Who has which right.
    pub rights: Rights,
}

impl Doors {
    /// What `config` says, with this TLS.
    pub(crate) fn new(config: &WebConfig, tls: Option<TlsDoor>) -> Self {
        let WebConfig { headers, users, rate_limit, authorization, .. } = config.clone();
        Self {
            tls,
            headers,
            rate_limit: rate_limit.map(RateLimiter::new),
            rights: Rights::new(authorization, !users.is_empty()),
            users: Users::new(&users),
        }
    }

    /// Whether this version protects less than the one `before`: no TLS, no users or no rights any
    /// more. A half-written file does, for a moment.
    pub(crate) fn opens(&self, before: &Self) -> bool {
        (before.tls.is_some() && self.tls.is_none())
            || (!before.users.is_empty() && self.users.is_empty())
            || (before.rights.are_written() && !self.rights.are_written())
    }

    /// Whether a connection that `other` let in may stay: this version asks a client for the same
    /// proof. Users are asked at each request.
    pub fn admits_like(&self, other: &Self) -> bool {
        match (&self.tls, &other.tls) {
            (Some(tls), Some(other)) => tls.trusts_like(other),
            (None, None) => true,
            _ => false,
        }
    }
}

/// How the last load of a web configuration file went.
#[derive(Clone, Debug)]
pub struct DoorsStatus {
    /// Why the last load failed; `None` if it succeeded. It holds no secret.
    pub error: Option<Arc<str>>,
    /// When the version in use was loaded.
    pub loaded: SystemTime,
    /// The warnings about the version in use.
    pub warnings: Arc<[String]>,
}

/// A request to load the file now, and where the result goes.
pub(crate) type ReloadRequest = oneshot::Sender<Result<(), Arc<str>>>;

/// Shows the version in use of a web configuration file, and how its last load went. Clones share.
#[derive(Clone, Debug)]
pub struct DoorsHandle {
    pub(crate) file: Arc<PathBuf>,
    pub(crate) doors: watch::Receiver<Arc<Doors>>,
    pub(crate) status: watch::Receiver<DoorsStatus>,
    pub(crate) reload: mpsc::Sender<ReloadRequest>,
}

impl DoorsHandle {
    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The version in use.
    pub fn current(&self) -> Arc<Doors> {
        Arc::clone(&self.doors.borrow())
    }

    /// Resolves once `holds` is true of the version in use.
    pub async fn wait_for(&self, mut holds: impl FnMut(&Arc<Doors>) -> bool) {
        if self.doors.clone().wait_for(|doors| holds(doors)).await.is_err() {
            // It is no longer followed.
            std::future::pending::<()>().await;
        }
    }

    /// How the last load went.
    pub fn status(&self) -> DoorsStatus {
        self.status.borrow().clone()
    }

    /// Loads the file now. The error says why it could not be used; then the version before stays.
    pub async fn reload(&self) -> Result<(), Arc<str>> {
        let (request, answer) = oneshot::channel();
        let gone = || Arc::from("the web configuration is no longer followed");
        self.reload.send(request).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}
