//! The files of `/proc` that are read at each scrape.

use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use crate::read::{Buffer, Folder, KeptFile, ReadError};
use crate::roots::Roots;
use crate::unavailable::Unavailable;

/// The most bytes of a file: a machine with 4096 processors or 10,000 interfaces has less.
const MOST: usize = 8 << 20;

/// One file, kept open. One of PID 1 pins what lives as long as the machine does.
#[derive(Debug)]
pub(super) struct Source {
    /// The collector that misses it.
    what: &'static str,
    path: &'static str,
    /// Where the same is found by a process of the host.
    or: Option<&'static str>,
    in_pieces: bool,
    is_optional: bool,
    kept: Option<KeptFile>,
    is_reported: bool,
}

impl Source {
    pub(super) const fn new(what: &'static str, path: &'static str) -> Self {
        let (or, in_pieces, is_optional) = (None, false, false);
        Self { what, path, or, in_pieces, is_optional, kept: None, is_reported: false }
    }

    /// The kernel does not hand it out as a whole.
    pub(super) fn in_pieces(self) -> Self {
        Self { in_pieces: true, ..self }
    }

    /// Some kernels do not have it.
    pub(super) fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    pub(super) fn or(self, or: Option<&'static str>) -> Self {
        Self { or, ..self }
    }

    /// Its content now; `None` if it cannot be read.
    pub(super) fn read<'b>(
        &mut self,
        procfs: &Folder,
        buffer: &'b mut Buffer,
        unavailable: &Unavailable,
    ) -> Option<&'b [u8]> {
        if self.kept.is_none() {
            let file = procfs.file(self.path);
            let is_hidden = matches!(file, Err(ReadError::NotFound | ReadError::Denied));
            let file = match self.or {
                Some(or) if is_hidden => procfs.file(or),
                _ => file,
            };
            match file {
                Ok(file) => self.kept = Some(file),
                Err(error) => return self.report(error, unavailable),
            }
        }
        let file = self.kept.as_ref().expect("it was just opened");
        let text =
            if self.in_pieces { file.read(buffer, MOST) } else { file.read_whole(buffer, MOST) };
        match text {
            Ok(text) => {
                if self.is_reported {
                    self.is_reported = false;
                    unavailable.clear(self.what);
                }
                Some(text)
            }
            Err(error) => {
                // The next scrape opens it again.
                self.kept = None;
                self.report(error, unavailable)
            }
        }
    }

    fn report<T>(&mut self, error: ReadError, unavailable: &Unavailable) -> Option<T> {
        // Missing, or switched off as pressure is.
        if self.is_optional && !matches!(error, ReadError::Denied | ReadError::TooLarge(_)) {
            return None;
        }
        self.is_reported = true;
        let hint = if self.path.starts_with("1/")
            && matches!(error, ReadError::NotFound | ReadError::Denied)
        {
            "; PID 1 of the host is hidden: mount the host's /proc without hidepid, or add its group"
        } else {
            ""
        };
        unavailable.set(self.what, format!("cannot read {} of procfs: {error}{hint}", self.path));
        None
    }
}

/// What is mounted in this process: read again only when the kernel says that it changed.
#[derive(Debug, Default)]
pub(super) struct OwnMounts {
    file: Option<KeptFile>,
    buffer: Buffer,
    text: Vec<u8>,
}

impl OwnMounts {
    /// Whether it was read again.
    pub(super) fn read(&mut self) -> bool {
        if self.file.is_none() {
            let own = Folder::open(Path::new("/proc/self"));
            self.file = own.and_then(|own| own.file("mountinfo")).ok();
        } else if !self.has_changed() {
            return false;
        }
        let text = self.file.as_ref().and_then(|file| file.read(&mut self.buffer, MOST).ok());
        self.text.clear();
        self.text.extend_from_slice(text.unwrap_or_default());
        true
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    fn has_changed(&self) -> bool {
        let Some(file) = &self.file else { return true };
        let mut asked = [PollFd::new(file, PollFlags::PRI | PollFlags::ERR)];
        let no_time = Timespec { tv_sec: 0, tv_nsec: 0 };
        // What cannot be asked may have changed.
        retry_on_intr(|| poll(&mut asked, Some(&no_time))).map_or(true, |events| events > 0)
    }
}

/// Whether this process is in the network of PID 1 of the host. Each network has files of its own in
/// `/proc`, so their numbers say it. (The links in `/proc/<pid>/ns` are for root only.)
pub(super) fn is_in_network_of_host(roots: &Roots) -> bool {
    let number = |path: &Path| rustix::fs::stat(path).ok().map(|found| found.st_ino);
    let of_host = number(&roots.procfs.join("1/net/dev"));
    let own = number(Path::new("/proc/self/net/dev"));
    own.is_some() && (own == of_host || (of_host.is_none() && super::is_native(roots)))
}
