//! A folder that files of the program are written into, for a user who may edit them.
//!
//! A file that was edited, or that another program wrote, is not overwritten. What was written is noted
//! in [`LIST`], so that a later version replaces files without an edit. Links are not followed and pipes not
//! opened: the folder may belong to somebody else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use md5::{Digest as _, Md5};
use rustix::fs::OFlags;

use crate::replace::replace;

/// The digest of each file as it was written, for `md5sum --check`.
const LIST: &str = ".swarmscout-files";

/// No file of ours, and no list of them, is as large.
const LARGEST: u64 = 16 << 20;

/// Containers read the files as a user without rights, so that the umask must not take these away.
const MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

/// Writes files, by their paths in the folder, which is made if there is none. Returns their paths. With
/// `force`, edited files are overwritten, too.
pub(super) fn write(
    folder: &Path,
    files: &[(&str, &str)],
    force: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    let list = folder.join(LIST);
    // Without it, nothing is known to be ours.
    let mut written = read(&list).ok().flatten().map(|list| entries(&list)).unwrap_or_default();
    let mut edited = Vec::new();
    for (file, text) in files {
        let path = folder.join(file);
        let cannot = || format!("cannot write {}", path.display());
        let parent = path.parent().filter(|parent| *parent != folder);
        if let Some(parent) = parent.filter(|parent| parent.is_symlink()) {
            return Err(anyhow!("{} is a symbolic link", parent.display())).with_context(cannot);
        }
        let known = read(&path).with_context(cannot)?;
        let is_ours = |known: &Vec<u8>| {
            known == text.as_bytes() || written.get(*file) == Some(&digest(known))
        };
        if !force && !known.as_ref().is_none_or(is_ours) {
            edited.push(path.display().to_string());
        }
    }
    if !edited.is_empty() {
        bail!(
            "cannot write {}: edited, or not written by Swarmscout: use another folder, move what is \
             there, or overwrite it with --force",
            edited.join(", ")
        );
    }
    let mut paths = Vec::new();
    for (file, text) in files {
        let path = folder.join(file);
        put(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        written.insert((*file).to_owned(), digest(text.as_bytes()));
        paths.push(path);
    }
    let text = written.iter().fold(String::new(), |mut text, (file, digest)| {
        writeln!(text, "{digest}  {file}").expect("a string takes all");
        text
    });
    put(&list, &text).with_context(|| format!("cannot write {}", list.display()))?;
    Ok(paths)
}

/// The digests of a list, by file.
fn entries(list: &[u8]) -> BTreeMap<String, String> {
    let list = String::from_utf8_lossy(list);
    let entries = list.lines().filter_map(|line| line.split_once("  "));
    entries.map(|(digest, file)| (file.to_owned(), digest.to_owned())).collect()
}

fn digest(content: &[u8]) -> String {
    let digest: [u8; 16] = Md5::digest(content).into();
    format!("{:032x}", u128::from_be_bytes(digest))
}

/// The content of a file; `None` if there is none. Of one that is too large for ours, the beginning.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(_) if path.is_symlink() => return Err(io::Error::other("it is a symbolic link")),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Puts a whole file in the place of what is there, in a folder that is made if there is none.
fn put(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    replace(path, text, MODE, |file| file.set_permissions(Permissions::from_mode(MODE)))
}

/// Makes a folder, with those that it is in, unless it is there.
fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(folder.parent().ok_or(error)?)?;
            make_folder(folder)
        }
        Err(_) if folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}
