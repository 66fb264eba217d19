//! The folder with keys and certificates.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};
use swarmscout_net::{disk, io_words, lane};

use crate::replace::Staged;

/// The folder.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

/// A file to write.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) name: String,
    pub(super) text: String,
    mode: u32,
}

impl NewFile {
    /// One that everybody may read who may enter the folder.
    pub(super) fn public(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), mode: 0o644 }
    }

    /// One for its user alone.
    pub(super) fn secret(name: &str, text: &str) -> Self {
        Self { mode: 0o600, ..Self::public(name, text) }
    }
}

impl Folder {
    /// One that may not be there yet.
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// One that is there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        lane::at(path);
        let metadata = fs::metadata(path).map_err(|error| anyhow!(io_words(&error)));
        let metadata = metadata.with_context(|| {
            format!("cannot open {}: `swarmscout tls init` makes it", path.display())
        })?;
        ensure!(metadata.is_dir(), "cannot open {}: not a folder", path.display());
        Ok(Self(path.to_owned()))
    }

    /// Whether there is anything of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let path = self.0.join(name);
        lane::at(&path);
        fs::symlink_metadata(path).is_ok()
    }

    pub(super) fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.0.join(name);
        let cannot = || format!("cannot read {}", path.display());
        let bytes = disk::secret(&path).map_err(|error| anyhow!(io_words(&error)));
        let bytes = bytes.with_context(cannot)?;
        let text = str::from_utf8(&bytes).context("not UTF-8 text").with_context(cannot)?;
        Ok(text.to_owned())
    }

    /// Writes all files, or none if one cannot be written. The folder is made, for its user alone,
    /// unless it is there. No file ever has other permissions than its own.
    pub(super) fn write(&self, files: &[NewFile]) -> anyhow::Result<()> {
        let path = &self.0;
        lane::at(path);
        let is_new = !path.exists();
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(path);
        made.map_err(|error| anyhow!(io_words(&error)))
            .with_context(|| format!("cannot create {}", path.display()))?;
        let written = self.write_into(files);
        if written.is_err() && is_new {
            // It is empty again.
            let _ = fs::remove_dir(path);
        }
        written
    }

    fn write_into(&self, files: &[NewFile]) -> anyhow::Result<()> {
        let mut staged = Vec::new();
        for NewFile { name, text, mode } in files {
            let path = self.0.join(name);
            if path.is_dir() {
                bail!("cannot write {}: it is a folder", path.display());
            }
            let file = Staged::write(&path, text, *mode, File::sync_all)
                .map_err(|error| anyhow!(io_words(&error)))
                .with_context(|| format!("cannot write {}", path.display()))?;
            staged.push((path, file));
        }
        // Now there is space for all of them, and permission.
        for (path, file) in staged {
            file.put().with_context(|| {
                format!(
                    "cannot replace {}: files before it are new already, so run the command again, \
                     `init` and `client` with --force",
                    path.display()
                )
            })?;
        }
        Ok(())
    }
}
