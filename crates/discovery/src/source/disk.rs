//! Reading files, any of which may hang (NFS), be something else than a file, or be too large.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use tokio::task::{JoinHandle, spawn_blocking};

use super::panic_on;

/// Something that reads files, on a thread of its own. A look that is given up leaves the thread
/// alone, and the next one waits for it rather than start another.
pub(super) struct OffThread<R, T> {
    /// Elsewhere while it reads.
    reader: Option<Box<R>>,
    reading: Option<JoinHandle<(Box<R>, T)>>,
}

impl<R: Send + 'static, T: Send + 'static> OffThread<R, T> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: Some(Box::new(reader)), reading: None }
    }

    /// What `read` finds.
    pub(super) async fn read(&mut self, read: fn(&mut R) -> T) -> T {
        // What a look that was given up finds in the end may be out of date already.
        self.finish().await;
        let mut reader = self.reader.take().expect("it is here unless it reads");
        self.reading = Some(spawn_blocking(move || {
            let found = read(&mut reader);
            (reader, found)
        }));
        self.finish().await.expect("it has just begun to read")
    }

    async fn finish(&mut self) -> Option<T> {
        let read = self.reading.as_mut()?.await;
        self.reading = None;
        let (reader, found) = read.unwrap_or_else(|error| panic_on(error));
        self.reader = Some(reader);
        Some(found)
    }

    /// The reader, unless it reads.
    #[cfg(test)]
    pub(super) fn reader(&mut self) -> Option<&mut R> {
        self.reader.as_deref_mut()
    }
}

impl<R, T> fmt::Debug for OffThread<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffThread").field("reads", &self.reading.is_some()).finish_non_exhaustive()
    }
}

/// Opens what is a regular file; anything else is an error.
pub(super) fn open(path: &Path) -> io::Result<fs::File> {
    // Asked before it is opened: opening a pipe would wait for somebody who writes.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    fs::File::open(path)
}

/// All of a file, unless it is larger than `max` bytes.
pub(super) fn whole(file: fs::File, max: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > max {
        return Err(io::Error::other(format!("larger than {max} bytes")));
    }
    Ok(text)
}
