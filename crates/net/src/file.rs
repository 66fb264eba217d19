//! Small files that hold a secret, a certificate or a key.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use swarmscout_model::Secret;
use zeroize::Zeroizing;

use crate::Error;
use crate::error::io_words;

/// The most bytes of such a file. Bundles of all public authorities have some 220 kB.
const MAX_FILE: u64 = 4 << 20;

/// Reads `path` whole. `what` names it in errors: `password`, `CA`, …
pub(crate) async fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let own = path.to_owned();
    let content = tokio::task::spawn_blocking(move || read_blocking(&own))
        .await
        .unwrap_or_else(|_| Err("reading was stopped".to_owned()));
    content.map_err(|reason| Error::File { what, path: path.to_owned(), reason })
}

/// Reads a secret: text, without the white space around it.
pub(crate) async fn read_text(what: &'static str, path: &Path) -> Result<Secret, Error> {
    let content = read(what, path).await?;
    let text = str::from_utf8(&content).map_err(|_| Error::File {
        what,
        path: path.to_owned(),
        reason: "not UTF-8 text".to_owned(),
    })?;
    Ok(Secret::new(text.trim()))
}

fn read_blocking(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let words = |error| io_words(&error);
    let metadata = fs::metadata(path).map_err(words)?;
    if !metadata.is_file() {
        // Opening a pipe, or reading a device, may never end.
        return Err("not a regular file".to_owned());
    }
    // Room for all of it from the start: a growing buffer would leave pieces of a secret behind.
    let room = usize::try_from(metadata.len().min(MAX_FILE) + 1).unwrap_or(0);
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    let file = File::open(path).map_err(words)?;
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(words)?;
    if content.len() as u64 > MAX_FILE {
        return Err(format!("larger than {MAX_FILE} bytes"));
    }
    Ok(content)
}
