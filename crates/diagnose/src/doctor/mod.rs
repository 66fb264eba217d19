//! `doctor`: checks all that stands between a Swarm and its metrics, and ranks what it finds.
//!
//! What discovery already knows is read; only the targets are requested.

mod cluster;
mod services;
mod sources;
mod targets;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use swarmscout_discovery::JobConfig;
use swarmscout_discovery::manager::{Job, JobState};
use swarmscout_model::TargetSet;
use swarmscout_net::config::TlsConfig;
use swarmscout_net::{Client, ClientOptions, HttpConfig};
use swarmscout_swarm::{Feed, Snapshot, Swarm};
use tokio::time::Instant;

use crate::probe::Limits;
use crate::report::{Finding, Severity, rank};

/// What is checked.
#[derive(Clone, Debug)]
pub struct Subject {
    /// All jobs.
    pub jobs: Vec<ObservedJob>,
    /// All Swarms that they read.
    pub swarms: Vec<SwarmState>,
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
}

impl SwarmState {
    /// The newest state; `None` once the Swarm has no reader.
    pub fn of(swarm: &Swarm) -> Option<Self> {
        let feed = swarm.status()?.feed;
        Some(Self { feed, snapshot: swarm.known.borrow().value.clone() })
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
    /// How many of them were probed.
    pub probed: usize,
    /// How many of the probed ones answered with metrics.
    pub up: usize,
    /// How long the checks took, in seconds.
    pub took_seconds: f64,
}

impl Report {
    /// How bad the worst finding is; `None` if all is well.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).min()
    }
}

/// How long a target may take, and how large its answer may be.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_body: 64 << 20 };

/// The client of the probes. A target with a certificate of its own authority is up: whether the
/// scraper trusts it is the scraper's matter.
///
/// # Errors
///
/// If the client cannot be made.
pub fn client(user_agent: &str) -> Result<Client, swarmscout_net::Error> {
    let tls = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    let config = HttpConfig { tls, ..HttpConfig::default() };
    Client::new(&config, ClientOptions::new(user_agent, CONNECT_WITHIN))
}

/// How long a connection may take to stand: less than the whole, so that the reason is known.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Runs all checks. Takes less than a minute, however many targets there are.
pub async fn examine(subject: &Subject, client: &Client) -> Report {
    let begin = Instant::now();
    let mut findings = sources::check(&subject.jobs);
    findings.extend(subject.swarms.iter().flat_map(cluster::check));
    findings.extend(subject.swarms.iter().flat_map(services::check));
    let sets: Vec<Arc<TargetSet>> =
        subject.jobs.iter().map(|job| Arc::clone(&job.state.set)).collect();
    let (coverage, of_targets) = targets::check(&sets, client, LIMITS).await;
    findings.extend(of_targets);
    rank(&mut findings);
    let targets::Coverage { targets, probed, up } = coverage;
    let took_seconds = begin.elapsed().as_secs_f64();
    Report { findings, targets, probed, up, took_seconds }
}
