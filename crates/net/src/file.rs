//! Small files that hold a secret, a certificate or a key.

use std::path::Path;
use std::time::Duration;

use swarmscout_model::Secret;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::io_words;
use crate::{Error, disk, lane};

/// The longest that reading one may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads `path` whole, for a request that ends at `deadline`. `what` names it in errors: `password`,
/// `CA`, …
pub(crate) async fn read(
    what: &'static str,
    path: &Path,
    deadline: Instant,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let own = path.to_owned();
    let content = match lane::read(path, patience(deadline), move || disk::secret(&own)).await {
        Ok(content) => content.map_err(|error| io_words(&error)),
        Err(stuck) => Err(stuck.reason),
    };
    content.map_err(|reason| Error::File { what, path: path.to_owned(), reason })
}

/// How long a file may take. What hangs must be named before the request is late.
pub(crate) fn patience(deadline: Instant) -> Duration {
    (deadline.saturating_duration_since(Instant::now()) / 2).min(PATIENCE)
}

/// Reads a secret: text, without the white space around it.
pub(crate) async fn read_text(
    what: &'static str,
    path: &Path,
    deadline: Instant,
) -> Result<Secret, Error> {
    let content = read(what, path, deadline).await?;
    let text = str::from_utf8(&content).map_err(|_| Error::File {
        what,
        path: path.to_owned(),
        reason: "not UTF-8 text".to_owned(),
    })?;
    Ok(Secret::new(text.trim()))
}
