//! `status`: how all Swarms, sources and targets are at one moment, in one line, and what is wrong.
//!
//! A report is made of what discovery knows already. No request is sent, so it is there at once, and
//! it does not say whether targets answer: that is a matter of [`crate::doctor`].

mod classic;
mod unreachable;

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use swarmscout_discovery::SourceStatus;
use swarmscout_docker::engine::List;
use swarmscout_model::counted;
use swarmscout_swarm::scheduler::Scheduler;
use swarmscout_swarm::{ListFilter, Snapshot};

use crate::doctor::{Subject, SwarmState, known_findings};
use crate::report::{Finding, Severity, rank};
use crate::tasks::{Condition, JudgedTasks, KnownTasks};

/// How everything is, and what is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// One line: `3 of 5 nodes ready, 36 of 38 services as wanted, 46 of 51 targets reachable: 1
    /// error`. It begins with `OK` if nothing needs attention.
    pub health: String,
    /// The Swarms in swarm mode.
    pub swarms: Vec<SwarmHealth>,
    /// The nodes of all classic Swarms; `None` if no master reports their state.
    pub classic_nodes: Option<NodeCounts>,
    /// All sources of all jobs.
    pub sources: SourceCounts,
    /// The sources that do not read a Swarm in swarm mode.
    pub other_sources: Vec<OtherSource>,
    /// The targets of all jobs.
    pub targets: TargetTotals,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// The last run of `doctor`, if that was within the last minute.
    pub last_doctor: Option<LastDoctor>,
}

/// A Swarm in swarm mode. What no job reads, or what could not be listed, is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SwarmHealth {
    /// Which Swarm: its hosts.
    pub swarm: String,
    /// Its nodes.
    pub nodes: Option<NodeCounts>,
    /// Those that are managers.
    pub managers: Option<ManagerCounts>,
    /// Its services.
    pub services: Option<ServiceCounts>,
    /// The tasks of its services.
    pub tasks: Option<RunningTasks>,
    /// How changes are learned: `watch`, `events` or `poll`.
    pub feed: String,
    /// Why not in a better way; empty if it is the best that is configured.
    pub feed_reason: String,
    /// The time since it was last confirmed, in seconds.
    pub age_seconds: Option<f64>,
}

/// The nodes of a Swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounts {
    /// In state `ready`, or `Healthy` in a classic Swarm.
    pub ready: usize,
    /// All of them.
    pub all: usize,
}

/// The managers of a Swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerCounts {
    /// Those that the leader reaches.
    pub reachable: usize,
    /// All of them.
    pub all: usize,
    /// Host name of the leader; empty if there is none.
    pub leader: String,
}

/// The services of a Swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCounts {
    /// Those with all the running tasks that they should have, and whose last run, if they run to an
    /// end, did not fail; `None` if not all tasks are listed.
    pub as_wanted: Option<usize>,
    /// All of them.
    pub all: usize,
}

/// The tasks of all services of a Swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTasks {
    /// Those that run, on nodes that are ready.
    pub running: u64,
    /// How many should.
    pub wanted: u64,
}

/// The sources of all jobs. One that several jobs share counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounts {
    /// Those whose last refresh succeeded.
    pub up: usize,
    /// Those whose last refresh failed.
    pub failing: usize,
    /// Those that have not answered since the start.
    pub waiting: usize,
}

/// A source that does not read a Swarm in swarm mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherSource {
    /// Prometheus' name of the mechanism.
    pub mechanism: String,
    /// What it queries.
    pub name: String,
    /// `up`, `failing` or `waiting`.
    pub state: SourceState,
    /// Its targets before relabeling.
    pub targets: usize,
    /// The time since they were last confirmed, in seconds; `None` if they never were, or need not be.
    pub age_seconds: Option<f64>,
}

/// How the last refresh of a source went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// It succeeded.
    Up,
    /// It failed.
    Failing,
    /// It has not answered since the start.
    Waiting,
}

/// The targets of all jobs, in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetTotals {
    /// Listed for scraping.
    pub active: usize,
    /// Active ones that the scraper cannot reach, as far as discovery knows.
    pub unreachable: usize,
    /// Dropped by a rule.
    pub dropped: usize,
    /// Without address, or otherwise unusable.
    pub refused: usize,
    /// Equal to an active one.
    pub duplicates: usize,
}

/// The last run of `doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastDoctor {
    /// How long ago it ended, in seconds.
    pub age_seconds: f64,
    /// How many targets it probed.
    pub probed: usize,
    /// How many of those answered with metrics.
    pub up: usize,
    /// How many of those want credentials that their readers may have.
    #[serde(default)]
    pub guarded: usize,
}

impl StatusReport {
    /// The report of this moment.
    pub fn of(subject: &Subject, now: Instant) -> Self {
        let age =
            |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at).as_secs_f64());
        let mut findings = known_findings(subject);
        let swarms = subject.swarms.iter();
        let swarms = swarms.map(|swarm| SwarmHealth::of(swarm, age(swarm.as_of))).collect();
        let (classic_nodes, of_classic) = classic::check(&subject.jobs);
        findings.extend(of_classic);

        // Several jobs may share a source.
        let (mut sources, mut by_name) = (SourceCounts::default(), BTreeMap::new());
        for job in &subject.jobs {
            let status = &job.state.status;
            for source in status.sources.iter().chain(&status.next_sources) {
                by_name.insert((source.mechanism, &source.display_name), source);
            }
        }
        let mut other_sources = Vec::new();
        for source in by_name.into_values() {
            let state = state(source);
            match state {
                SourceState::Up => sources.up += 1,
                SourceState::Failing => sources.failing += 1,
                SourceState::Waiting => sources.waiting += 1,
            }
            findings.extend((state == SourceState::Waiting).then(|| waiting(source)));
            if source.swarm.is_none() {
                other_sources.push(OtherSource {
                    mechanism: source.mechanism.to_owned(),
                    name: source.display_name.to_string(),
                    state,
                    targets: source.targets,
                    age_seconds: age(source.as_of.filter(|_| source.is_refreshed)),
                });
            }
        }

        let (unreachable, of_unreachable) = unreachable::check(&subject.jobs);
        findings.extend(of_unreachable);
        let mut targets = TargetTotals { unreachable, ..TargetTotals::default() };
        for job in &subject.jobs {
            let counts = job.state.set.counts;
            targets.active += counts.active;
            targets.dropped += counts.dropped;
            targets.refused += counts.refused;
            targets.duplicates += counts.duplicates;
        }

        if targets.active == 0 && sources.failing + sources.waiting == 0 {
            findings.push(no_targets(&targets));
        }
        rank(&mut findings);
        let mut report = Self {
            health: String::new(),
            swarms,
            classic_nodes,
            sources,
            other_sources,
            targets,
            findings,
            last_doctor: None,
        };
        report.health = report.summary();
        report
    }

    /// Whether nothing needs attention. Notes do not.
    pub fn is_ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The line of health.
    fn summary(&self) -> String {
        let is_ok = self.is_ok();
        // What is as it should be needs one number.
        let part = |good: usize, all: usize, what: &str, state: &str| {
            let all_of_them = counted(all, what);
            if is_ok { all_of_them } else { format!("{good} of {all_of_them} {state}") }
        };
        let mut parts = Vec::new();
        let SourceCounts { up, failing, waiting } = self.sources;
        if failing + waiting > 0 {
            parts.push(format!("{up} of {} up", counted(up + failing + waiting, "source")));
        }
        let nodes = self.swarms.iter().filter_map(|swarm| swarm.nodes).chain(self.classic_nodes);
        let nodes =
            nodes.reduce(|a, b| NodeCounts { ready: a.ready + b.ready, all: a.all + b.all });
        parts.extend(nodes.map(|NodeCounts { ready, all }| part(ready, all, "node", "ready")));
        let services = self.swarms.iter().filter_map(|swarm| swarm.services);
        let services = services.reduce(|a, b| ServiceCounts {
            as_wanted: a.as_wanted.zip(b.as_wanted).map(|(a, b)| a + b),
            all: a.all + b.all,
        });
        parts.extend(services.map(|ServiceCounts { as_wanted, all }| match as_wanted {
            Some(as_wanted) => part(as_wanted, all, "service", "as wanted"),
            None => counted(all, "service"),
        }));
        // Without a mark, it is not known whether a target can be reached.
        let TargetTotals { active, unreachable, .. } = self.targets;
        parts.push(match unreachable {
            0 => counted(active, "target"),
            _ => part(active - unreachable, active, "target", "reachable"),
        });
        let parts = parts.join(", ");
        if is_ok {
            return format!("OK  {parts}");
        }
        let worst = [(Severity::Error, "error"), (Severity::Warning, "warning")];
        let worst = worst.map(|(severity, name)| (self.count(severity), name));
        let worst = worst.into_iter().filter(|(count, _)| *count > 0);
        let worst: Vec<_> = worst.map(|(count, name)| counted(count, name)).collect();
        format!("{parts}: {}", worst.join(", "))
    }
}

impl SwarmHealth {
    fn of(swarm: &SwarmState, age_seconds: Option<f64>) -> Self {
        let mut health = Self {
            swarm: swarm.feed.swarm.to_string(),
            nodes: None,
            managers: None,
            services: None,
            tasks: None,
            feed: swarm.feed.kind.as_str().to_owned(),
            feed_reason: swarm.feed.reason.as_deref().unwrap_or_default().to_owned(),
            age_seconds,
        };
        if let Some(snapshot) = &swarm.snapshot {
            health.add_nodes(snapshot);
            health.add_services(snapshot);
        }
        health
    }

    fn add_nodes(&mut self, snapshot: &Snapshot) {
        if !is_complete(snapshot, List::Nodes) {
            return;
        }
        let mut nodes = NodeCounts { ready: 0, all: 0 };
        let mut managers = ManagerCounts { reachable: 0, all: 0, leader: String::new() };
        for node in snapshot.nodes.objects() {
            nodes.all += 1;
            nodes.ready += usize::from(&*node.state == "ready");
            if let Some(manager) = &node.manager {
                managers.all += 1;
                managers.reachable += usize::from(&*manager.reachability == "reachable");
                if manager.leader {
                    managers.leader = node.hostname.to_string();
                }
            }
        }
        self.nodes = Some(nodes);
        self.managers = Some(managers).filter(|managers| managers.all > 0);
    }

    fn add_services(&mut self, snapshot: &Snapshot) {
        if !is_complete(snapshot, List::Services) {
            return;
        }
        let mut services =
            ServiceCounts { as_wanted: None, all: snapshot.services.objects().count() };
        let known = KnownTasks::of(snapshot);
        if known.has_running() {
            let (mut as_wanted, mut tasks) = (0, RunningTasks { running: 0, wanted: 0 });
            let scheduler = LazyCell::new(|| Scheduler::new(snapshot));
            for service in snapshot.services.objects() {
                let JudgedTasks { tasks: of_service, condition } =
                    JudgedTasks::of(snapshot, service, known, &scheduler);
                as_wanted += usize::from(condition == Condition::AsWanted);
                tasks.running += of_service.running;
                tasks.wanted += of_service.wanted;
            }
            services.as_wanted = Some(as_wanted);
            self.tasks = Some(tasks);
        }
        self.services = Some(services);
    }
}

/// Whether a snapshot has all objects of a list, as they are now.
fn is_complete(snapshot: &Snapshot, list: List) -> bool {
    *snapshot.scope.filter(list) == ListFilter::All && snapshot.out_of_date().all(|old| old != list)
}

fn state(source: &SourceStatus) -> SourceState {
    match (&source.error, source.as_of) {
        (Some(_), _) => SourceState::Failing,
        (None, Some(_)) if !source.restored => SourceState::Up,
        (None, _) => SourceState::Waiting,
    }
}

fn waiting(source: &SourceStatus) -> Finding {
    let problem = if source.restored {
        "it has not answered since the start; its targets are from before"
    } else {
        "it has not answered yet"
    };
    Finding {
        severity: Severity::Warning,
        check: "source_waiting".to_owned(),
        subject: format!("source {} {}", source.mechanism, source.display_name),
        problem: problem.to_owned(),
        fix: String::new(),
        targets: source.targets,
        examples: Vec::new(),
    }
}

fn no_targets(targets: &TargetTotals) -> Finding {
    let (problem, fix) = match targets.dropped + targets.refused {
        0 => (
            "no job has a target".to_owned(),
            "label a service with prometheus.io/port, or add a job to the configuration",
        ),
        others => (
            format!("no job has a target: rules drop or break all {others}"),
            "swarmscout explain service/NAME shows the rule",
        ),
    };
    Finding {
        severity: Severity::Warning,
        check: "no_targets".to_owned(),
        subject: "targets".to_owned(),
        problem,
        fix: fix.to_owned(),
        targets: 0,
        examples: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
