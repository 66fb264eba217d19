//! Small files that hold a secret, a certificate or a key.

use std::path::Path;

use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use crate::Error;
use crate::error::io_words;

/// The most bytes of such a file. Bundles of all public authorities have some 220 kB.
const MAX_FILE: u64 = 4 << 20;

/// Reads `path` whole. `what` names it in errors: `password`, `CA`, …
pub(crate) async fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |reason| Error::File { what, path: path.to_owned(), reason };
    let mut content = Zeroizing::new(Vec::new());
    let file = tokio::fs::File::open(path).await.map_err(|error| failed(io_words(&error)))?;
    let kind = file.metadata().await.map_err(|error| failed(io_words(&error)))?.file_type();
    if !kind.is_file() {
        // A pipe or device could keep a request waiting for ever.
        return Err(failed("not a regular file".to_owned()));
    }
    let mut file = file.take(MAX_FILE + 1);
    file.read_to_end(&mut content).await.map_err(|error| failed(io_words(&error)))?;
    if content.len() as u64 > MAX_FILE {
        return Err(failed(format!("larger than {MAX_FILE} bytes")));
    }
    Ok(content)
}
