//! Files: any may hang, be something else than a file, or be too large. All of this blocks:
//! it belongs into a [`lane`].

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::lane;

/// The most bytes of a file that holds a secret, a certificate or a key. Bundles of all public
/// authorities have some 220 kB.
const MAX_SECRET: u64 = 4 << 20;

/// Opens what is a regular file; anything else is an error.
pub fn open(path: &Path) -> io::Result<fs::File> {
    lane::at(path);
    // Asked before it is opened: opening a pipe waits for a writer, and opening a device may do
    // anything.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    fs::File::open(path)
}

/// All of a file, unless it is larger than `max` bytes.
pub fn whole(file: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > max {
        return Err(io::Error::other(format!("larger than {max} bytes")));
    }
    Ok(text)
}

/// All of a file that holds a secret, a certificate or a key, at most 4 MiB. It is overwritten in
/// memory when it is dropped.
pub fn secret(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open(path)?;
    // Room for all of it from the start: a growing buffer would leave pieces of a secret behind.
    let room = usize::try_from(file.metadata()?.len().min(MAX_SECRET) + 1).unwrap_or(0);
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_SECRET + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_SECRET {
        return Err(io::Error::other(format!("larger than {MAX_SECRET} bytes")));
    }
    Ok(content)
}

/// Creates an empty file that its owner alone may read, in place of anything that is there. Never
/// follows a link.
pub fn create_private(path: &Path) -> io::Result<fs::File> {
    let create = || fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match create() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()
        }
        created => created,
    }
}
