//! Reads files of the kernel, below a kept folder or by a kept descriptor.
//!
//! Opening such a file costs several times more than reading it. So a file that is read at every
//! scrape is kept open, where that pins nothing: a descriptor of a cgroup's file does not keep the
//! cgroup, and the next read says [`ReadError::Gone`]. One of `/proc/<pid>/net/…` keeps the network
//! namespace: read those by [`Folder::read`], below the kept folder of the process.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom, openat, seek, statat};
use rustix::io::{Errno, pread, retry_on_intr};

/// Why a file was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such file: this kernel does not have it.
    #[error("not found")]
    NotFound,
    /// What the kept descriptor belongs to has ended: a cgroup or a process.
    #[error("it has ended")]
    Gone,
    /// Not readable for this user.
    #[error("permission denied")]
    Denied,
    /// Larger than the caller's limit, in bytes.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// Not as the kernel writes it.
    #[error("not as the kernel writes it")]
    Garbage,
    /// Anything else.
    #[error(transparent)]
    Other(Errno),
}

impl From<Errno> for ReadError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT | Errno::NOTDIR => Self::NotFound,
            Errno::NODEV | Errno::SRCH => Self::Gone,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            error => Self::Other(error),
        }
    }
}

/// What files are read into, one after the other.
#[derive(Debug)]
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    /// Has room for most files of the kernel.
    fn default() -> Self {
        Self(Vec::with_capacity(SMALL))
    }
}

/// A page: the kernel hands out no more of most files in one call.
const SMALL: usize = 4096;

/// Room for the entries of a folder that one call hands out.
const ENTRIES: usize = 16 << 10;

/// How a file says where it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A read that does not fill its room was the last.
    Short,
    /// Only a read of nothing was the last: the kernel may hand out a file in pieces.
    Empty,
}

impl Buffer {
    /// Reads `file` from its start. The buffer never holds much more than `limit` bytes.
    fn fill(&mut self, file: &OwnedFd, limit: usize, end: End) -> Result<&[u8], ReadError> {
        let text = &mut self.0;
        text.clear();
        loop {
            if text.spare_capacity_mut().is_empty() {
                text.reserve(text.len().max(SMALL));
            }
            let room = text.capacity() - text.len();
            let offset = text.len() as u64;
            let read = retry_on_intr(|| pread(file, rustix::buffer::spare_capacity(text), offset))?;
            if text.len() > limit {
                return Err(ReadError::TooLarge(limit));
            }
            if read == 0 || (end == End::Short && read < room) {
                return Ok(text);
            }
        }
    }
}

/// A file that stays open.
#[derive(Debug)]
pub struct KeptFile(OwnedFd);

impl AsFd for KeptFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl KeptFile {
    /// Its content now, of at most `limit` bytes.
    pub fn read<'b>(&self, buffer: &'b mut Buffer, limit: usize) -> Result<&'b [u8], ReadError> {
        buffer.fill(&self.0, limit, End::Empty)
    }

    /// What one call hands out of its start: at least its first lines.
    pub fn read_start<'b>(&self, buffer: &'b mut Buffer) -> Result<&'b [u8], ReadError> {
        buffer.0.clear();
        let room = rustix::buffer::spare_capacity(&mut buffer.0);
        pread(&self.0, room, 0)?;
        Ok(&buffer.0)
    }

    /// The same with one call less, for a file that the kernel hands out as a whole: those of
    /// cgroups, but for `cgroup.procs`; and `/proc/stat`, `meminfo`, `loadavg`.
    pub fn read_whole<'b>(
        &self,
        buffer: &'b mut Buffer,
        limit: usize,
    ) -> Result<&'b [u8], ReadError> {
        buffer.fill(&self.0, limit, End::Short)
    }
}

/// A folder that stays open. Paths below it stay those of the same cgroup or process, even if
/// another one takes its name.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder at `path`.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::open_at(CWD, path)
    }

    /// Opens the folder at `path` below this one.
    pub fn folder(&self, path: &str) -> Result<Self, ReadError> {
        Self::open_at(&self.0, path)
    }

    fn open_at(at: impl AsFd, path: impl rustix::path::Arg + Copy) -> Result<Self, ReadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(retry_on_intr(|| openat(&at, path, flags, Mode::empty()))?))
    }

    /// Opens the file at `path` below this folder. Waits for no writer, if it is a pipe.
    pub fn file(&self, path: &str) -> Result<KeptFile, ReadError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        Ok(KeptFile(retry_on_intr(|| openat(&self.0, path, flags, Mode::empty()))?))
    }

    /// The content of the file at `path`, which is not kept open.
    pub fn read<'b>(
        &self,
        path: &str,
        buffer: &'b mut Buffer,
        limit: usize,
    ) -> Result<&'b [u8], ReadError> {
        self.file(path)?.read(buffer, limit)
    }

    /// The inode number of the file at `path` below this folder. Files of one network namespace have
    /// the same one below all its processes, and it needs no right to them.
    pub fn inode(&self, path: &str) -> Result<u64, ReadError> {
        Ok(retry_on_intr(|| statat(&self.0, path, AtFlags::empty()))?.st_ino)
    }

    /// How many links the folder at `path` below this one has. On most file systems a folder has
    /// two, and one more for each folder in it.
    pub fn links(&self, path: &CStr) -> Result<u64, ReadError> {
        let found = retry_on_intr(|| statat(&self.0, path, AtFlags::SYMLINK_NOFOLLOW))?;
        // Of another width on other processors.
        #[cfg_attr(
            target_arch = "x86_64",
            expect(clippy::useless_conversion, reason = "see above")
        )]
        Ok(found.st_nlink.into())
    }

    /// Calls `found` with the name of each folder in this one, as they are now. Others are skipped,
    /// symbolic links too.
    pub fn folders(&self, mut found: impl FnMut(&CStr)) -> Result<(), ReadError> {
        self.entries(|name, kind, _| {
            if kind == FileType::Directory {
                found(name);
            }
        })
    }

    /// Calls `found` with the name, the kind and the inode number of each entry, as they are now.
    pub fn entries(&self, mut found: impl FnMut(&CStr, FileType, u64)) -> Result<(), ReadError> {
        seek(&self.0, SeekFrom::Start(0))?;
        let mut room = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&self.0, &mut room);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                found(name, entry.file_type(), entry.ino());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(name: &str) -> (std::path::PathBuf, Folder) {
        let path =
            std::env::temp_dir().join(format!("swarmscout-read-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder::open(&path).unwrap();
        (path, folder)
    }

    #[test]
    fn a_kept_file_is_read_from_its_start() {
        let (path, folder) = folder("kept");
        fs::write(path.join("a"), "one").unwrap();
        let (file, mut buffer) = (folder.file("a").unwrap(), Buffer::default());
        assert_eq!(file.read(&mut buffer, 100).unwrap(), b"one");
        for text in ["fourteen bytes", "", "x", &"long ".repeat(10_000)] {
            fs::write(path.join("a"), text).unwrap();
            assert_eq!(file.read(&mut buffer, 50_000).unwrap(), text.as_bytes());
            assert_eq!(file.read_whole(&mut buffer, 50_000).unwrap(), text.as_bytes());
        }
        assert_eq!(file.read(&mut buffer, 49_999), Err(ReadError::TooLarge(49_999)));
        assert_eq!(folder.read("b", &mut buffer, 1), Err(ReadError::NotFound));
        assert_eq!(folder.read("a/b", &mut buffer, 1), Err(ReadError::NotFound));
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_process_that_has_ended_is_gone() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let folder = Folder::open(Path::new(&format!("/proc/{}", child.id()))).unwrap();
        let mut buffer = Buffer::default();
        assert!(folder.read("net/dev", &mut buffer, 1 << 20).unwrap().starts_with(b"Inter-"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(folder.read("net/dev", &mut buffer, 1 << 20), Err(ReadError::Gone));
    }

    #[test]
    fn folders_are_listed_as_they_are_now() {
        let (path, folder) = folder("list");
        let list = || {
            let mut names = Vec::new();
            folder.folders(|name| names.push(name.to_str().unwrap().to_owned())).unwrap();
            names.sort();
            names
        };
        fs::write(path.join("file"), "").unwrap();
        assert!(list().is_empty());
        let expected: Vec<_> =
            (1000..2000).map(|n| format!("folder-with-a-long-name-{n}")).collect();
        for name in &expected {
            fs::create_dir(path.join(name)).unwrap();
        }
        assert_eq!(list(), expected);
        fs::remove_dir_all(path).unwrap();
    }
}
