//! `doctor`: checks all that stands between a Swarm and its metrics, and ranks what it finds.
//!
//! What discovery already knows is read. Only the targets are requested, and of each Engine what it
//! says of itself.

mod cluster;
mod context;
mod dns;
mod engines;
mod node_parts;
mod peers;
mod reach;
mod services;
mod sources;
mod suggest;
mod targets;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use swarmscout_discovery::JobConfig;
use swarmscout_discovery::config::OwnContainer;
use swarmscout_discovery::manager::{Job, JobState};
use swarmscout_net::config::TlsConfig;
use swarmscout_net::{Client, ClientOptions, HttpConfig};
use swarmscout_node_tasks::{NodeParts, PeerLink};
use swarmscout_swarm::{Feed, Snapshot, Swarm, SwarmStatus, TaskQuery};
use tokio::time::Instant;

use self::context::Context;
pub(crate) use self::context::scraper_network;
pub use self::peers::PeerCoverage;
pub use self::suggest::{Suggestion, Suggestions};
pub(crate) use self::targets::{
    PUBLISH_A_PORT, ROLE_LABEL, SHARE_A_NETWORK, discovered, subject as subject_of,
};
use crate::probe::Limits;
use crate::report::{Finding, Severity, rank};

/// What is checked.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// All jobs.
    pub jobs: Vec<ObservedJob>,
    /// All Swarms that they read.
    pub swarms: Vec<SwarmState>,
    /// What node parts say of the network between nodes.
    pub links: Vec<PeerLink>,
    /// Which node parts ask for their tasks.
    pub node_parts: NodeParts,
}

/// A job at one moment.
#[derive(Clone, Debug)]
pub struct ObservedJob {
    /// Its configuration.
    pub config: Arc<JobConfig>,
    /// What it publishes.
    pub state: JobState,
}

impl ObservedJob {
    /// The present state of a job.
    pub fn of(job: &Job) -> Self {
        Self { config: Arc::clone(&job.config), state: job.state() }
    }
}

/// A Swarm, as far as it is known.
#[derive(Clone, Debug)]
pub struct SwarmState {
    /// How its changes are learned.
    pub feed: Arc<Feed>,
    /// Its objects; `None` before the first listing.
    pub snapshot: Option<Arc<Snapshot>>,
    /// When they were last confirmed.
    pub as_of: Option<std::time::Instant>,
    /// Asks it for tasks that the snapshot does not have.
    pub tasks: Option<TaskQuery>,
}

impl SwarmState {
    /// The newest state; `None` once the Swarm has no reader.
    pub fn of(swarm: &Swarm) -> Option<Self> {
        let SwarmStatus { feed, as_of } = swarm.status()?;
        let snapshot = swarm.known.borrow().value.clone();
        Some(Self { feed, snapshot, as_of, tasks: swarm.tasks.clone() })
    }
}

/// What came of the checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Active targets of all jobs.
    pub targets: usize,
    /// Their different URLs, each probed once; if there are too many, those of a sample.
    pub urls: usize,
    /// Whether only a sample of the targets is probed.
    pub sampled: bool,
    /// How many URLs were probed within the time.
    pub probed: usize,
    /// How many of the probed ones answered with metrics.
    pub up: usize,
    /// How many of them want credentials that their readers may have: it is not known whether they are
    /// up.
    #[serde(default)]
    pub guarded: usize,
    /// How many of them did not answer, and were no longer targets at the end.
    pub gone: usize,
    /// Pairs of nodes whose node parts probe each other; `None` if no node part reports that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<PeerCoverage>,
    /// How long the checks took, in seconds.
    pub took_seconds: f64,
    /// Labels for services without a target, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggest: Option<Suggestions>,
}

impl Report {
    /// How bad the worst finding is; `None` if all is well.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).min()
    }
}

/// The findings that need no request.
pub(crate) fn known_findings(subject: &Subject) -> Vec<Finding> {
    let mut findings = sources::check(&subject.jobs);
    findings.extend(subject.swarms.iter().flat_map(cluster::check));
    findings.extend(subject.swarms.iter().flat_map(services::check));
    findings.extend(peers_of(subject).1);
    findings.extend(node_parts::check(subject));
    findings
}

fn peers_of(subject: &Subject) -> (Option<PeerCoverage>, Vec<Finding>) {
    let snapshots = subject.swarms.iter().filter_map(|swarm| swarm.snapshot.as_deref());
    peers::check(snapshots, &subject.links)
}

/// How long a target may take, and how large its answer may be.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_body: 64 << 20 };

/// How long a connection may take to stand: less than the whole, so that the reason is known.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Runs the checks.
#[derive(Clone, Debug)]
pub struct Doctor {
    /// For the targets. One with a certificate of its own authority is up: whether the scraper
    /// trusts it is the scraper's matter.
    client: Client,
    /// For Engines.
    options: ClientOptions,
    /// The container that this program runs in.
    own: Option<OwnContainer>,
}

impl Doctor {
    /// One that sends this `User-Agent`. It requests nothing yet.
    ///
    /// # Errors
    ///
    /// If its client cannot be made.
    pub fn new(user_agent: &str) -> Result<Self, swarmscout_net::Error> {
        let options = ClientOptions::new(user_agent, CONNECT_WITHIN);
        let tls = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
        let config = HttpConfig { tls, ..HttpConfig::default() };
        let client = Client::new(&config, options.clone())?;
        Ok(Self { client, options, own: None })
    }

    /// The same for a program that runs in this container, which says where it is.
    #[must_use]
    pub fn in_container(self, own: Option<OwnContainer>) -> Self {
        Self { own, ..self }
    }

    /// Runs all checks. Takes about a minute at most, however many targets there are. `now` is the
    /// state after the probes: what has left the Swarm meanwhile is not reported.
    pub async fn examine(&self, subject: &Subject, now: impl Fn() -> Subject) -> Report {
        let begin = Instant::now();
        let mut findings = known_findings(subject);
        let of_engines = engines::check(&subject.jobs, &self.options, &mut findings);
        let probes = targets::probe_all(subject, &self.client, LIMITS);
        let (of_engines, mut probes) = tokio::join!(of_engines, probes);
        findings.extend(of_engines);
        probes.forget_gone(&now());
        let targets::Coverage { targets, urls, is_sample, probed, up, guarded, gone } =
            probes.coverage;
        let context = Context::new(subject, self.own.as_ref());
        let of_targets = probes.findings(context, &self.client, &mut findings).await;
        findings.extend(of_targets);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        findings.extend(dns::check(context, since_1970.unwrap_or_default()));
        rank(&mut findings);
        // Jobs that name other hosts may read the same Swarm.
        findings.dedup();
        let took_seconds = begin.elapsed().as_secs_f64();
        let sampled = is_sample;
        let (peers, _) = peers_of(subject);
        let suggest = None;
        Report {
            findings,
            targets,
            urls,
            sampled,
            probed,
            up,
            guarded,
            gone,
            peers,
            took_seconds,
            suggest,
        }
    }

    /// Finds metrics of services without a target, and how to label them. It requests `/metrics` at
    /// their published ports, so run it on demand only. Takes up to 20 seconds.
    pub async fn suggest(&self, subject: &Subject) -> Suggestions {
        suggest::suggest(Context::new(subject, self.own.as_ref()), &self.client).await
    }
}
