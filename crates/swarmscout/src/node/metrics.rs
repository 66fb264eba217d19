//! One scrape: kernel files are read on a thread that may hang, and the answer is written part by
//! part, as the reader takes it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use swarmscout_exposition::Format;
use swarmscout_exposition::families::Families;
use swarmscout_net::lane;
use swarmscout_node::containers::{ContainerReader, Reading};
use swarmscout_node::engine::{Disk, Ends};
use swarmscout_node::facts::FactsSet;
use swarmscout_node::roots::Roots;
use swarmscout_node::unavailable::Unavailable;
use tokio::sync::watch;

/// How long the kernel may take. Prometheus waits ten seconds by default.
const WITHIN: Duration = Duration::from_secs(9);

/// What a scrape asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// `/metrics/containers`
    Containers,
    /// `/metrics/node`
    Node,
    /// Both.
    All,
}

/// What is read at a scrape, and what is counted between scrapes.
#[derive(Debug)]
pub(super) struct NodeMetrics {
    readers: Arc<Mutex<Readers>>,
    facts: watch::Receiver<Arc<FactsSet>>,
    ends: Arc<Ends>,
    disk: Option<Arc<Disk>>,
    unavailable: Arc<Unavailable>,
}

#[derive(Debug)]
struct Readers {
    containers: ContainerReader,
}

/// What was read, to be written part by part.
#[derive(Debug)]
pub(super) struct Scrape {
    containers: Option<Reading>,
    /// The next part of the containers.
    part: usize,
    out: Families,
    /// Everything else.
    rest: Option<String>,
}

impl NodeMetrics {
    pub(super) fn new(
        roots: Roots,
        facts: watch::Receiver<Arc<FactsSet>>,
        ends: Arc<Ends>,
        disk: Option<Arc<Disk>>,
        unavailable: Arc<Unavailable>,
    ) -> Self {
        let containers = ContainerReader::new(roots, Arc::clone(&unavailable));
        let readers = Arc::new(Mutex::new(Readers { containers }));
        Self { readers, facts, ends, disk, unavailable }
    }

    /// Reads what `scope` asks for. `own` are further metrics, complete with the end of the format.
    pub(super) async fn scrape(
        &self,
        scope: Scope,
        format: Format,
        own: String,
    ) -> Result<Scrape, lane::Stuck> {
        let readers = Arc::clone(&self.readers);
        let facts = Arc::clone(&self.facts.borrow());
        // Scrapes at the same time take turns: they share the descriptors that are kept.
        let read = move || {
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            let Readers { containers } = &mut *readers;
            let wants_containers = scope != Scope::Node;
            wants_containers.then(|| containers.read(&facts, SystemTime::now()))
        };
        let containers = lane::read(Path::new("/proc"), WITHIN, read).await?;
        let mut rest = Families::new(format);
        if scope != Scope::Node {
            self.ends.write(&mut rest);
        }
        if let Some(disk) = &self.disk {
            disk.write(&mut rest);
        }
        self.unavailable.write(&mut rest);
        let rest = rest.take() + &own;
        Ok(Scrape { containers, part: 0, out: Families::new(format), rest: Some(rest) })
    }
}

/// The text, in pieces that end with a line.
impl Iterator for Scrape {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while let Some(reading) = &self.containers {
            let has_more = reading.write_part(self.part, &mut self.out);
            self.part += 1;
            if !has_more {
                self.containers = None;
            }
            if !self.out.is_empty() {
                return Some(self.out.take());
            }
        }
        self.rest.take()
    }
}
