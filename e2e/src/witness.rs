//! A client that reads a job's targets the whole time during a fault, as a Prometheus does
//! that would drop everything when it reads `[]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};

use crate::{get_json, pause};

/// Reads until it is asked what it saw.
#[derive(Debug)]
pub struct Witness {
    job: String,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<Result<Seen>>>,
}

/// What a witness saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How often it read.
    pub reads: usize,
    /// The fewest targets that it read.
    pub fewest: usize,
}

impl Witness {
    /// Begins to read what Swarmscout at `url` serves for `job`.
    pub fn of(url: &str, job: &str) -> Self {
        let url = format!("{url}/sd/{job}");
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let reader = std::thread::spawn(move || {
            let mut seen = Seen { reads: 0, fewest: usize::MAX };
            while !until.load(Ordering::Relaxed) {
                let groups = get_json(&url)?;
                let groups = groups.as_array().context("no list")?;
                let targets =
                    groups.iter().map(|group| group["targets"].as_array().map_or(0, Vec::len));
                seen.fewest = seen.fewest.min(targets.sum());
                seen.reads += 1;
                pause();
            }
            Ok(seen)
        });
        Self { job: job.to_owned(), stop, reader: Some(reader) }
    }

    /// Ends, and fails where an answer was not valid, or held fewer targets than `least`.
    pub fn saw_at_least(mut self, least: usize) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let reader = self.reader.take().context("it reads until it is asked")?;
        let seen = match reader.join() {
            Ok(seen) => seen.with_context(|| self.job.clone())?,
            Err(_) => bail!("the witness of {} panicked", self.job),
        };
        if seen.reads == 0 || seen.fewest < least {
            bail!("{}: {seen:?}, wanted {least} targets at every time", self.job);
        }
        Ok(seen)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
