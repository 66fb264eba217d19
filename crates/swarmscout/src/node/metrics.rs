//! One scrape: kernel files are read on a thread that may hang, and the answer is written part by
//! part, as the reader takes it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use swarmscout_exposition::Format;
use swarmscout_exposition::families::Families;
use swarmscout_net::lane;
use swarmscout_node::containers::{ContainerReader, Reading};
use swarmscout_node::ends::Ends;
use swarmscout_node::engine::Disk;
use swarmscout_node::facts::FactsSet;
use swarmscout_node::host::{self, Collector, Host, Identity};
use swarmscout_node::roots::Roots;
use swarmscout_node::unavailable::Unavailable;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::node_exporter;
use super::places::Places;
use crate::app::BUILD;

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
    identity: watch::Receiver<NodeIdentity>,
    counted: Counted,
    unavailable: Arc<Unavailable>,
    places: Places<Scrape>,
}

/// What is counted between scrapes.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) ends: Arc<Ends>,
    /// Whether an Engine or a manager reports what ends.
    pub(super) counts_ends: bool,
    pub(super) has_engine: bool,
    pub(super) disk: Option<Arc<Disk>>,
}

/// The node that the metrics are of, and its Engine.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeIdentity {
    pub(super) node: Identity,
    pub(super) docker: Option<String>,
}

/// Which metrics of the node itself are on.
#[derive(Clone, Debug)]
pub(super) struct Switches {
    /// What the flags say.
    pub(super) given: Vec<(Collector, bool)>,
    /// Whether a node exporter answers on its usual port.
    pub(super) has_node_exporter: bool,
}

/// What keeps descriptors from scrape to scrape.
#[derive(Debug)]
struct Readers {
    roots: Roots,
    switches: Switches,
    unavailable: Arc<Unavailable>,
    containers: ContainerReader,
    host: Host,
    /// What the facts said of a node exporter when `host` was made; `None` before there were any.
    seen: Option<bool>,
}

impl Readers {
    /// Decides again about the metrics of the node when the facts are known.
    fn decide(&mut self, facts: &FactsSet) {
        if self.seen.is_some() || facts.source.is_none() {
            return;
        }
        let runs = node_exporter::runs(facts);
        self.seen = Some(runs);
        if runs && !self.switches.has_node_exporter {
            self.switches.has_node_exporter = true;
            self.host = host(&self.roots, &self.switches, &self.unavailable);
        }
    }
}

fn host(roots: &Roots, switches: &Switches, unavailable: &Arc<Unavailable>) -> Host {
    let Switches { given, has_node_exporter } = switches;
    if *has_node_exporter {
        tracing::info!(
            "A node exporter runs on this node, so node_* metrics are left to it; \
             --collector.cpu and the like switch them on"
        );
    }
    let collectors = node_exporter::collectors(given, *has_node_exporter);
    Host::new(roots.clone(), collectors, Arc::clone(unavailable))
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
        switches: Switches,
        facts: watch::Receiver<Arc<FactsSet>>,
        identity: watch::Receiver<NodeIdentity>,
        counted: Counted,
        unavailable: Arc<Unavailable>,
    ) -> Self {
        let mut containers = ContainerReader::new(roots.clone(), Arc::clone(&unavailable));
        if counted.counts_ends {
            let ends = Arc::clone(&counted.ends);
            containers = containers.counting_kills(ends, counted.has_engine);
        }
        let host = host(&roots, &switches, &unavailable);
        let readers_unavailable = Arc::clone(&unavailable);
        let readers = Readers {
            roots,
            switches,
            unavailable: readers_unavailable,
            containers,
            host,
            seen: None,
        };
        let readers = Arc::new(Mutex::new(readers));
        let places = Places::default();
        Self { readers, facts, identity, counted, unavailable, places }
    }

    /// Reads what `scope` asks for. `own` are further metrics, complete with the end of the format.
    pub(super) async fn scrape(
        &self,
        scope: Scope,
        format: Format,
        own: String,
    ) -> Result<impl Iterator<Item = io::Result<String>> + use<>, lane::Stuck> {
        let until = Instant::now() + WITHIN;
        let place = timeout_at(until, self.places.free()).await.map_err(|_| lane::Stuck {
            path: PathBuf::from("/metrics"),
            reason: "too many scrapes at one time".to_owned(),
        })?;
        let scrape = self.read(scope, format, own, until).await?;
        Ok(self.places.hold(scrape, place))
    }

    async fn read(
        &self,
        scope: Scope,
        format: Format,
        own: String,
        until: Instant,
    ) -> Result<Scrape, lane::Stuck> {
        let within = until.saturating_duration_since(Instant::now());
        let readers = Arc::clone(&self.readers);
        let facts = Arc::clone(&self.facts.borrow());
        let NodeIdentity { node, docker } = self.identity.borrow().clone();
        let with = host::Scope { node: scope != Scope::Containers, machine: scope != Scope::Node };
        // Scrapes at the same time take turns: they share the descriptors that are kept.
        let read = move || {
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.decide(&facts);
            let Readers { containers, host, .. } = &mut *readers;
            host.read(with);
            let mut reading = with.machine.then(|| containers.read(&facts, SystemTime::now()));
            let mut text = Families::new(format);
            let versions = host::Versions {
                os: None,
                docker,
                program: BUILD.version.to_owned(),
                revision: Some(BUILD.revision.to_owned()),
            };
            if let Some(reading) = &mut reading {
                if let Some(root) = host.root() {
                    reading.add_machine(root, host.started());
                }
                host.write_machine(&versions, &mut text);
            }
            if with.node {
                host.write_node(&node, &versions, &mut text);
            }
            (reading, text.take())
        };
        let (containers, mut text) = lane::read(Path::new("/proc"), within, read).await?;
        let mut rest = Families::new(format);
        if with.machine {
            self.counted.ends.write(&mut rest);
            if let Some(disk) = &self.counted.disk {
                disk.write(&mut rest);
            }
        }
        self.unavailable.write(&mut rest);
        text.push_str(&rest.take());
        text.push_str(&own);
        Ok(Scrape { containers, part: 0, out: Families::new(format), rest: Some(text) })
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
