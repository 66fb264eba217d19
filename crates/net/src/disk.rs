//! Files: any may hang, be something else than a file, or be too large. All of this blocks:
//! it belongs into a [`lane`].

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::lane;

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
