//! Files that are replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Puts a file in the place of what is there: no reader sees half of it, and no link is followed.
/// `mode` is what the umask leaves of it; `finish` comes before the file takes its place.
pub(crate) fn replace(
    path: &Path,
    text: &str,
    mode: u32,
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    // One of a run that was killed.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        finish(&file)?;
        fs::rename(&new, path)
    };
    let written = write();
    if written.is_err() {
        // It may not have been created.
        let _ = fs::remove_file(&new);
    }
    written
}
