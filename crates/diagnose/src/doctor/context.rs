//! What the Swarms say about where targets and scrapers are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarmscout_discovery::SdConfig;
use swarmscout_discovery::config::{OwnContainer, Scraper, SwarmscoutOptions};
use swarmscout_docker::engine::{Network, Service, Task};
use swarmscout_swarm::Snapshot;

use super::{ObservedJob, Subject};
use crate::nodes::display_name;

/// The Swarms of a diagnosis, and the container of this program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    subject: &'a Subject,
    own: Option<&'a OwnContainer>,
}

/// Who scrapes, as far as commands can name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ScraperName {
    /// The service of this program, which is thought to be in the networks of the scraper.
    Here(String),
    /// A service.
    Service(String),
    /// A container that is not a task.
    Container(String),
    /// Who is in the networks of the configuration.
    InNetworks,
    /// It cannot be known.
    Unknown,
}

impl<'a> Context<'a> {
    pub(super) fn new(subject: &'a Subject, own: Option<&'a OwnContainer>) -> Self {
        Self { subject, own }
    }

    pub(super) fn snapshots(self) -> impl Iterator<Item = &'a Snapshot> {
        self.subject.swarms.iter().filter_map(|swarm| swarm.snapshot.as_deref())
    }

    /// The service of this name, in the first Swarm that has one.
    pub(super) fn service(self, name: &str) -> Option<(&'a Snapshot, &'a Arc<Service>)> {
        self.snapshots().find_map(|snapshot| {
            let mut services = snapshot.services.objects();
            Some((snapshot, services.find(|service| *service.name == *name)?))
        })
    }

    /// The network of this name, in the first Swarm that has one.
    pub(super) fn network(self, name: &str) -> Option<&'a Arc<Network>> {
        let networks = self.snapshots().flat_map(|snapshot| snapshot.networks.objects());
        networks.into_iter().find(|network| *network.name == *name)
    }

    /// The nodes that are not ready: ID and name.
    pub(super) fn lost_nodes(self) -> BTreeMap<&'a str, &'a str> {
        let nodes = self.snapshots().flat_map(|snapshot| snapshot.nodes.objects());
        let lost = nodes.filter(|node| &*node.state != "ready");
        lost.map(|node| (&*node.id, display_name(node))).collect()
    }

    /// The task that this program runs in.
    fn own_task(self) -> Option<(&'a Snapshot, &'a Arc<Task>)> {
        let own = self.own?;
        self.snapshots().find_map(|snapshot| {
            Some((snapshot, snapshot.tasks.objects().find(|task| own.is_of(task))?))
        })
    }

    /// The name of the node that this program runs on: that of its task, or of the Engine whose
    /// unix socket it reads.
    pub(super) fn own_node(self) -> Option<&'a str> {
        let (snapshot, id) = if let Some((snapshot, task)) = self.own_task() {
            (snapshot, &task.node)
        } else {
            let local = self.subject.swarms.iter();
            let mut local = local.filter(|swarm| swarm.feed.host.starts_with("unix://"));
            let snapshot = local.find_map(|swarm| swarm.snapshot.as_deref())?;
            (snapshot, &snapshot.this_node)
        };
        snapshot.nodes.get("", id).map(|node| display_name(node))
    }

    /// Who scrapes the targets of a job.
    pub(super) fn scraper(self, job: &str) -> ScraperName {
        match self.options(job).map(|options| &options.scraper) {
            Some(Scraper::Service(name)) => return ScraperName::Service(name.to_string()),
            Some(Scraper::Networks(_)) => return ScraperName::InNetworks,
            Some(Scraper::Here) | None => {}
        }
        let of_task = self.own_task().and_then(|(snapshot, task)| {
            Some(snapshot.services.get("", &task.service)?.name.to_string())
        });
        match (of_task, self.own) {
            (Some(service), _) => ScraperName::Here(service),
            (None, Some(own)) => {
                ScraperName::Container(own.id().chars().take(SHOWN_OF_ID).collect())
            }
            (None, None) => ScraperName::Unknown,
        }
    }

    /// The options of the first block of a job that reads labels.
    pub(super) fn options(self, job: &str) -> Option<&'a SwarmscoutOptions> {
        let job = self.subject.jobs.iter().find(|known| **known.config.name() == *job)?;
        options_of(job).next()
    }

    /// The options of all blocks that read labels.
    pub(super) fn all_options(self) -> impl Iterator<Item = &'a SwarmscoutOptions> {
        self.subject.jobs.iter().flat_map(options_of)
    }

    /// The networks that this program is in, by ID. `None` if they are not known.
    pub(super) fn own_networks(self) -> Option<BTreeSet<Arc<str>>> {
        let (_, task) = self.own_task()?;
        let networks = task.attachments.iter().filter(|one| !one.ingress && &*one.driver != "host");
        let networks: BTreeSet<_> = networks.map(|one| Arc::clone(&one.network)).collect();
        (!networks.is_empty()).then_some(networks)
    }

    /// The services that a source leaves out because the scraper does not reach them, each with the
    /// job.
    pub(super) fn unreachable(self) -> BTreeSet<(&'a str, &'a str)> {
        let mut found = BTreeSet::new();
        for job in &self.subject.jobs {
            let problems = job.state.status.sources.iter().flat_map(|source| &*source.problems);
            let dropped = problems.filter(|problem| problem.reason == "unreachable");
            found.extend(dropped.map(|problem| (&**job.config.name(), &*problem.object)));
        }
        found
    }

    pub(super) fn jobs(self) -> &'a [ObservedJob] {
        &self.subject.jobs
    }
}

/// A network that the scraper of some job is in, as far as the configuration names it.
pub(crate) fn scraper_network(subject: &Subject) -> Option<String> {
    let context = Context::new(subject, None);
    context.all_options().find_map(|options| match &options.scraper {
        Scraper::Networks(names) => names.iter().next().map(ToString::to_string),
        Scraper::Service(name) => {
            let (snapshot, service) = context.service(name)?;
            networks_of(snapshot, service).into_values().next().map(|name| name.to_string())
        }
        Scraper::Here => None,
    })
}

/// Docker shows this much of an ID.
const SHOWN_OF_ID: usize = 12;

fn options_of(job: &ObservedJob) -> impl Iterator<Item = &SwarmscoutOptions> {
    job.config.sources.iter().filter_map(|source| match source {
        SdConfig::Swarmscout(config) => Some(&config.options),
        _ => None,
    })
}

/// The overlay networks that the tasks of a service are in: IDs and names.
pub(super) fn networks_of(snapshot: &Snapshot, service: &Service) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut networks = BTreeMap::new();
    for task in running(snapshot, service) {
        let usable = task
            .attachments
            .iter()
            .filter(|one| !one.ingress && &*one.driver == "overlay" && !one.addresses.is_empty());
        networks.extend(usable.map(|one| (Arc::clone(&one.network), Arc::clone(&one.name))));
    }
    networks
}

/// The tasks of a service that run, and shall run.
pub(super) fn running<'a>(
    snapshot: &'a Snapshot,
    service: &'a Service,
) -> impl Iterator<Item = &'a Arc<Task>> {
    let tasks = snapshot.tasks.of_owner(&service.id);
    tasks.filter(|task| &*task.state == "running" && &*task.desired_state == "running")
}
