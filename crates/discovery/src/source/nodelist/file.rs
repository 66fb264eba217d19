//! `file://`: one address or range a line (docker/docker `pkg/discovery/file`, as in Swarm 1.2.9).
//!
//! `#` starts a comment. White space around an address, empty lines and carriage returns are
//! ignored. Commas do not separate addresses. A file that cannot be read or has a bad line fails
//! the refresh, so its earlier nodes stay. A file without addresses is a list without nodes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use swarmscout_model::PromDuration;
use swarmscout_net::disk;

use super::expand::expand;
use super::{Listing, Store};
use crate::config::BuildContext;
use crate::source::disk::OffThread;
use crate::source::file::watch::{Hints, Watch};
use crate::{BoxFuture, Error};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// A file with a list of nodes.
#[derive(Debug)]
pub(super) struct File {
    hints: Hints,
    reader: OffThread<Reader>,
}

struct Reader {
    path: PathBuf,
    /// The folder that the file is in.
    folder: BTreeSet<PathBuf>,
    watch: Watch,
    max_file: u64,
}

impl File {
    /// Reads and watches nothing yet.
    pub(super) fn new(path: &Path, refresh: PromDuration, context: &BuildContext) -> Self {
        let watch = Watch::new(context.stats.clone());
        let hints = watch.hints();
        let reader = Reader {
            path: path.to_owned(),
            folder: path.parent().into_iter().map(Path::to_owned).collect(),
            watch,
            max_file: MAX_FILE.min(context.refresh.max_answer),
        };
        let within = context.refresh.attempt_deadline(refresh, 0);
        Self { hints, reader: OffThread::new(path.to_owned(), within, reader) }
    }
}

impl Store for File {
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>> {
        Box::pin(async {
            let nodes = self.reader.read(Reader::read).await?;
            Ok(Listing { nodes, ..Listing::default() })
        })
    }

    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.hints.changed().await;
            Ok(())
        })
    }
}

impl Reader {
    fn read(&mut self) -> Result<Vec<String>, Error> {
        // The watch comes first: a change in between is seen twice, not missed.
        self.watch.set(&self.folder);
        let bytes = disk::open(&self.path).and_then(|file| disk::whole(file, self.max_file));
        let bytes = bytes.map_err(|error| self.error(format!("cannot be read: {error}")))?;
        lines(&bytes).map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> Error {
        Error::File { path: self.path.display().to_string(), reason }
    }
}

/// The addresses of all lines.
pub(super) fn lines(bytes: &[u8]) -> Result<Vec<String>, String> {
    // An address with U+FFFD in it is skipped, and reported.
    let text = String::from_utf8_lossy(bytes);
    let mut nodes = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let address = line.split('#').next().unwrap_or_default().trim();
        if !address.is_empty() {
            expand(address, &mut nodes).map_err(|reason| format!("line {number}: {reason}"))?;
        }
    }
    Ok(nodes)
}
