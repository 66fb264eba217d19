//! Files that are replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Puts a file in the place of what is there: no reader sees half of it, and no link is followed.
/// `mode` is what the umask leaves of it; `finish` comes before the file takes its place.
pub(crate) fn replace(
    path: &Path,
    text: &str,
    mode: u32,
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    Staged::write(path, text, mode, finish)?.put()
}

/// A file that is written, but not at its place yet. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Staged {
    new: PathBuf,
    path: PathBuf,
}

impl Staged {
    /// Like [`replace`], up to where the file would take its place.
    pub(crate) fn write(
        path: &Path,
        text: &str,
        mode: u32,
        finish: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let new = path.with_file_name(format!(".{name}.new"));
        // One of a run that was killed.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let staged = Self { new, path: path.to_owned() };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&staged.new)?;
        file.write_all(text.as_bytes())?;
        finish(&file)?;
        Ok(staged)
    }

    /// Puts it at its place.
    pub(crate) fn put(self) -> io::Result<()> {
        fs::rename(&self.new, &self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It may be at its place, or not have been created.
        let _ = fs::remove_file(&self.new);
    }
}
