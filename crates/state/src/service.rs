//! The series of a service and of its current tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarmscout_docker::engine::{Mode, Resources, STACK_LABEL, Service, Task};
use swarmscout_exposition::pieces::SeriesLabels;
use swarmscout_swarm::scheduler::Scheduler;
use swarmscout_swarm::service_tasks::{ServiceTasks, Slot, is_job, is_scheduled};
use swarmscout_swarm::{ExitCode, NodeNames, Reason, ServiceOutcomes, Snapshot};

use crate::counters::Counters;
use crate::families::Family;
use crate::network::AddressUse;
use crate::node::{cpus, memory};
use crate::options::Options;
use crate::page::{Page, count, flag};
use crate::tuning::{self, Tuning};

const TUNING: Tuning =
    Tuning { threshold: Family::ServiceThreshold, ignored: Family::ServiceIgnored };

/// The states of current tasks. Each stands for those that SwarmKit has in between.
const STATES: [(&str, &[&str]); 9] = [
    ("pending", &["new", "pending", "assigned", "accepted"]),
    ("preparing", &["preparing"]),
    ("ready", &["ready"]),
    ("starting", &["starting"]),
    ("running", &["running"]),
    ("complete", &["complete"]),
    ("failed", &["failed"]),
    ("rejected", &["rejected"]),
    ("orphaned", &["orphaned", "shutdown", "remove"]),
];

/// What a service's series refer to.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) scheduler: &'a Scheduler,
    pub(crate) names: &'a NodeNames,
    pub(crate) addresses: &'a AddressUse,
    pub(crate) counters: &'a Counters,
    pub(crate) options: &'a Options,
}

/// What is known of a service beyond its own series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) stack: Option<Arc<str>>,
    pub(crate) at_desired: bool,
    /// Whether nodes decide what its series say.
    pub(crate) depends_on_nodes: bool,
    /// Current tasks that wait with a text that is not known.
    pub(crate) unknown_reasons: usize,
}

/// Writes all series of a service.
pub(crate) fn write(page: &mut Page, service: &Service, of: Surroundings<'_>) -> Facts {
    let Surroundings { snapshot, scheduler, names, counters, options, .. } = of;
    let stack = service.labels.get(STACK_LABEL);
    let mut labels = options.labels();
    labels.push("service", &service.name);
    let task_labels = labels.clone();
    // They are many, and `_info` has the stack.
    let mut state_labels = labels.clone();
    labels.push("stack", stack.unwrap_or_default());
    for labels in [&mut labels, &mut state_labels] {
        options.push_allowed(labels, |key| service.labels.get(key));
    }
    let counts = ServiceTasks::of(snapshot, service, || scheduler.wanted_nodes(service));
    let tasks = &counts.current;
    let outcomes = counters.of(&service.id);

    info(page, service, &labels);
    page.time(Family::ServiceCreated, &labels, service.created);
    page.time(Family::ServiceUpdated, &labels, service.updated);
    page.series(Family::ServiceDesired, &labels, counts.desired as f64);
    page.series(Family::ServiceRunning, &labels, counts.running as f64);
    let waiting = waiting(service, tasks, of);
    let schedulable = schedulable(service, &counts, scheduler, &waiting);
    page.series(Family::ServiceSchedulable, &labels, schedulable as f64);
    page.series(Family::ServiceAtDesired, &labels, flag(counts.is_at_desired()));
    let mut in_state = [0; STATES.len()];
    for (_, task) in tasks {
        let of = STATES.iter().position(|(_, names)| names.contains(&&*task.state));
        if let Some(of) = of {
            in_state[of] += 1;
        }
    }
    for ((state, _), number) in STATES.iter().zip(in_state) {
        page.series_with(Family::ServiceTasks, &state_labels, ("state", state), count(number));
    }
    for (reason, number) in &waiting {
        let more = ("reason", reason.as_str());
        page.series_with(Family::ServiceWaiting, &labels, more, count(*number));
    }
    spread(page, tasks, &labels);
    update(page, service, &labels);
    resources(page, service, &labels);
    references(page, service, snapshot, &labels);
    if is_job(service) {
        page.series(Family::ServiceCompleted, &labels, counts.completed as f64);
    }
    let seen = tasks.iter().filter(|(_, task)| &*task.state == "complete");
    let last_success = seen.map(|(_, task)| task.state_since).max().unwrap_or_default();
    let last_success = last_success.max(outcomes.last_success);
    page.time(Family::ServiceLastSuccess, &labels, last_success);
    if let Some(shown) = options.shown(&labels, service.labels.iter()) {
        page.series(Family::ServiceLabels, &shown, 1.0);
    }
    tuning::write(page, &service.labels, &labels, TUNING);
    failures(page, &outcomes, &labels);
    for (slot, task) in tasks {
        write_task(page, slot, task, names, &task_labels);
    }
    Facts {
        stack: stack.map(Arc::from),
        at_desired: counts.is_at_desired(),
        depends_on_nodes: !counts.is_at_desired()
            || matches!(service.mode, Mode::Global | Mode::GlobalJob),
        unknown_reasons: waiting.get(&Reason::Other).copied().unwrap_or_default(),
    }
}

fn info(page: &mut Page, service: &Service, labels: &SeriesLabels) {
    let mut labels = labels.clone();
    labels.push("service_id", &service.id);
    labels.push("mode", mode(service));
    image(&mut labels, &service.image);
    labels.push("endpoint_mode", &service.endpoint_mode);
    labels.push("restart_condition", &service.restart_condition);
    if is_scheduled(service) {
        labels.push("scheduled", "true");
    }
    page.series(Family::ServiceInfo, &labels, 1.0);
}

/// As `docker service ls` writes it.
fn mode(service: &Service) -> &'static str {
    match service.mode {
        Mode::Unknown => "",
        Mode::Global => "global",
        Mode::Replicated => "replicated",
        Mode::GlobalJob => "global-job",
        Mode::ReplicatedJob => "replicated-job",
    }
}

/// The bytes of a digest that are shown: `sha256:` and twelve digits, as in `docker images`.
const SHOWN_OF_DIGEST: usize = 19;

/// The characters of a container's ID that are shown, as in `docker ps`.
const SHOWN_OF_CONTAINER: usize = 12;

/// Name and tag, and the beginning of the digest.
fn image(labels: &mut SeriesLabels, image: &str) {
    let (name, digest) = image.split_once('@').unwrap_or((image, ""));
    labels.push("image", name);
    labels.push("image_digest", digest.get(..SHOWN_OF_DIGEST).unwrap_or(digest));
}

/// How many of the desired tasks have a node, or would get one now. SwarmKit also knows what is not
/// visible here, such as CSI volumes: where it found no node for a task, there is none.
fn schedulable(
    service: &Service,
    tasks: &ServiceTasks<'_>,
    scheduler: &Scheduler,
    waiting: &BTreeMap<Reason, usize>,
) -> u64 {
    let done = tasks.placed + tasks.completed;
    let is_refused =
        |reason: &Reason| reason.is_of_scheduler() || *reason == Reason::AddressesUsedUp;
    let refused = waiting.iter().filter(|(reason, _)| is_refused(reason));
    let refused: usize = refused.map(|(_, tasks)| tasks).sum();
    let missing = tasks.desired.saturating_sub(done);
    match service.mode {
        // Each wanted node takes a task.
        Mode::Global | Mode::GlobalJob => tasks.desired,
        _ if missing == 0 => tasks.desired,
        _ => {
            let room = missing.saturating_sub(refused as u64);
            done + scheduler.room_for(service, missing).min(room)
        }
    }
}

/// Why current tasks do not run. A text that is not known is [`Reason::Other`].
fn waiting(
    service: &Service,
    tasks: &[(Slot<'_>, &Arc<Task>)],
    of: Surroundings<'_>,
) -> BTreeMap<Reason, usize> {
    let networks = service.networks.iter().filter_map(|id| of.snapshot.networks.get("", id));
    let mut is_full = None;
    let mut waiting = BTreeMap::new();
    for (_, task) in tasks {
        let Some(mut reason) = Reason::of(task) else { continue };
        // A task stays new without a text until each of its networks has an address for it.
        let is_new = reason == Reason::NotAssigned && &*task.state == "new";
        let of_service = || networks.clone().any(|network| of.addresses.is_full(network));
        if is_new && *is_full.get_or_insert_with(of_service) {
            reason = Reason::AddressesUsedUp;
        }
        *waiting.entry(reason).or_default() += 1;
    }
    waiting
}

/// Whether running tasks have one image, and how they are spread over nodes.
fn spread(page: &mut Page, tasks: &[(Slot<'_>, &Arc<Task>)], labels: &SeriesLabels) {
    let running = tasks.iter().filter(|(_, task)| &*task.state == "running");
    let running: Vec<_> = running.map(|(_, task)| task).collect();
    let images: BTreeSet<_> = running.iter().map(|task| &task.image).collect();
    page.series(Family::ServiceImages, labels, count(images.len()));
    let mut nodes: Vec<_> = running.iter().map(|task| &task.node).collect();
    nodes.sort_unstable();
    let most = nodes.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or_default();
    page.series(Family::ServiceMostOnOneNode, labels, count(most));
}

fn update(page: &mut Page, service: &Service, labels: &SeriesLabels) {
    let state = match &*service.update_state {
        "" => "none",
        state => state,
    };
    page.series_with(Family::ServiceUpdateState, labels, ("state", state), 1.0);
    page.time(Family::ServiceUpdateStarted, labels, service.update_started);
    page.time(Family::ServiceUpdateCompleted, labels, service.update_completed);
}

/// What each task may use and reserves, where it is set.
fn resources(page: &mut Page, service: &Service, labels: &SeriesLabels) {
    let mut write = |families: [Family; 2], resources: Resources| {
        for (family, value) in families.into_iter().zip([cpus(resources), memory(resources)]) {
            if value > 0.0 {
                page.series(family, labels, value);
            }
        }
    };
    write([Family::ServiceLimitCpus, Family::ServiceLimitMemory], service.limits);
    write([Family::ServiceReservedCpus, Family::ServiceReservedMemory], service.reservations);
    for resource in &service.generic_resources {
        let kind = ("resource", &*resource.kind);
        let family = Family::ServiceReservedGeneric;
        page.series_with(family, labels, kind, resource.count as f64);
    }
}

fn references(page: &mut Page, service: &Service, snapshot: &Snapshot, labels: &SeriesLabels) {
    let ports: BTreeSet<_> = service
        .ports
        .iter()
        .filter(|port| port.published != 0)
        .map(|port| (port.published, port.target, &port.protocol, &port.mode))
        .collect();
    for (published, target, protocol, mode) in ports {
        let mut labels = labels.clone();
        labels.push("protocol", protocol);
        labels.push("published", &published.to_string());
        labels.push("target", &target.to_string());
        page.series_with(Family::ServicePort, &labels, ("mode", mode), 1.0);
    }
    let names = service.networks.iter();
    let names: BTreeSet<_> = names.map(|id| network_name(service, snapshot, id)).collect();
    for name in names {
        page.series_with(Family::ServiceNetwork, labels, ("network", name), 1.0);
    }
}

/// The name of a network. Docker lists neither `host` nor the others that each Engine has by itself:
/// tasks have their names.
fn network_name<'a>(service: &'a Service, snapshot: &'a Snapshot, id: &'a Arc<str>) -> &'a str {
    if let Some(network) = snapshot.networks.get("", id) {
        return &network.name;
    }
    let tasks = snapshot.tasks.of_owner(&service.id);
    let mut attachments = tasks.flat_map(|task| &task.attachments);
    let of_task = attachments.find(|one| one.network == *id && !one.name.is_empty());
    of_task.map_or(id, |one| &one.name)
}

/// All failures in one series, which is there before the first one: a rate needs a beginning. By reason
/// and exit code only what happened.
fn failures(page: &mut Page, outcomes: &ServiceOutcomes, labels: &SeriesLabels) {
    let ServiceOutcomes { failures, restarts, .. } = outcomes;
    let all = failures.values().fold(0_u64, |sum, number| sum.saturating_add(*number));
    page.series(Family::ServiceFailures, labels, all as f64);
    for ((reason, code), number) in failures {
        let mut labels = labels.clone();
        labels.push("reason", reason.as_str());
        match code {
            ExitCode::None => {}
            ExitCode::Code(code) => labels.push("exit_code", &code.to_string()),
            ExitCode::Other => labels.push("exit_code", "other"),
        }
        page.series(Family::ServiceFailuresBy, &labels, *number as f64);
    }
    page.series(Family::ServiceRestarts, labels, *restarts as f64);
}

fn write_task(
    page: &mut Page,
    slot: &Slot<'_>,
    task: &Task,
    names: &NodeNames,
    service: &SeriesLabels,
) {
    let node = names.of(&task.node);
    let mut labels = service.clone();
    match slot {
        Slot::Number(number) => labels.push("slot", &number.to_string()),
        Slot::Node(_) => labels.push("node", node),
    }
    page.series_with(Family::TaskState, &labels, ("state", &task.state), 1.0);
    page.time(Family::TaskStateSince, &labels, task.state_since);
    page.time(Family::TaskCreated, &labels, task.created);
    labels.push("task_id", &task.id);
    if matches!(slot, Slot::Number(_)) {
        labels.push("node", node);
    }
    let container = &task.container;
    let shown = container.get(..SHOWN_OF_CONTAINER).unwrap_or(container);
    labels.push("container_id", shown);
    image(&mut labels, &task.image);
    page.series(Family::TaskInfo, &labels, 1.0);
}
