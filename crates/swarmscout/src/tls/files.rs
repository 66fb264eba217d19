//! The folder with keys and certificates.

use std::fs::{self, DirBuilder, File};
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::replace::replace;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The folder.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it, for its user alone, unless it is there.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// One that is there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let metadata = fs::metadata(path);
        metadata.with_context(|| {
            format!("cannot open {}: `swarmscout tls init` makes it", path.display())
        })?;
        Ok(Self(path.to_owned()))
    }

    /// Whether there is anything of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.0.join(name)).is_ok()
    }

    pub(super) fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.0.join(name);
        let read = || {
            let mut text = String::new();
            File::open(&path)?.take(MAX_FILE).read_to_string(&mut text)?;
            std::io::Result::Ok(text)
        };
        read().with_context(|| format!("cannot read {}", path.display()))
    }

    /// Writes a file that everybody may read who may enter the folder.
    pub(super) fn public(&self, name: &str, text: &str) -> anyhow::Result<()> {
        self.write(name, text, 0o644)
    }

    /// Writes a file for its user alone.
    pub(super) fn secret(&self, name: &str, text: &str) -> anyhow::Result<()> {
        self.write(name, text, 0o600)
    }

    /// It never has other permissions than these.
    fn write(&self, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
        let path = self.0.join(name);
        let written = replace(&path, text, mode, File::sync_all);
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}
