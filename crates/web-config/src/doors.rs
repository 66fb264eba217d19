//! One version of a web configuration file, ready for use, and who shows it to a listener.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use tokio::sync::watch;

use crate::{RateLimiter, Rights, Users, WebConfig};

/// One version of a web configuration file with the files that it names.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Whether HTTP/2 is offered.
    pub http2: bool,
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
    /// Opens what `config` says.
    pub fn new(config: &WebConfig) -> Self {
        let WebConfig { http2, headers, users, rate_limit, authorization } = config.clone();
        Self {
            http2,
            headers,
            rate_limit: rate_limit.map(RateLimiter::new),
            rights: Rights::new(authorization, !users.is_empty()),
            users: Users::new(&users),
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

/// Shows the version in use of a web configuration file, and how its last load went. Clones share.
#[derive(Clone, Debug)]
pub struct DoorsHandle {
    /// The file.
    pub file: Arc<PathBuf>,
    /// The version in use.
    pub doors: watch::Receiver<Arc<Doors>>,
    /// How its last load went.
    pub status: watch::Receiver<DoorsStatus>,
}

impl DoorsHandle {
    /// The version in use.
    pub fn current(&self) -> Arc<Doors> {
        Arc::clone(&self.doors.borrow())
    }
}
