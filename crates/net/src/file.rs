//! Small files that hold a secret, a certificate or a key.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use swarmscout_model::Secret;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::io_words;
use crate::{Error, disk, lane};

/// The most bytes of such a file. Bundles of all public authorities have some 220 kB.
const MAX_FILE: u64 = 4 << 20;

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
    let content = match lane::read(path, patience(deadline), move || read_blocking(&own)).await {
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

fn read_blocking(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = disk::open(path)?;
    // Room for all of it from the start: a growing buffer would leave pieces of a secret behind.
    let room = usize::try_from(file.metadata()?.len().min(MAX_FILE) + 1).unwrap_or(0);
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("larger than {MAX_FILE} bytes")));
    }
    Ok(content)
}
