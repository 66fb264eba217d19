//! Whether Swarm's DNS agrees with the Swarm, for `dns_sd_configs` of `tasks.<service>`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use swarmscout_discovery::config::RecordType;
use swarmscout_discovery::{Problem, SdConfig, SourceStatus};
use swarmscout_docker::engine::{Service, Task};
use swarmscout_model::labels::ADDRESS;
use swarmscout_swarm::Snapshot;

use super::ObservedJob;
use super::context::{Context, running};
use crate::report::{Finding, Severity};
use crate::tasks::KnownTasks;

/// What changed within this time may not have been resolved again.
const SETTLED_AFTER: Duration = Duration::from_secs(90);

/// This number of addresses and tasks is shown.
const NAMED: usize = 5;

const NAME: &str = "__meta_dns_name";

/// `now` counts from 1970.
pub(super) fn check(context: Context<'_>, now: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let before = i64::try_from(now.saturating_sub(SETTLED_AFTER).as_micros()).unwrap_or(i64::MAX);
    for job in context.jobs() {
        for name in names(job) {
            let Some(service) = name.trim_end_matches('.').strip_prefix("tasks.") else { continue };
            if let Some((snapshot, service)) = named(context, service)
                && KnownTasks::of(snapshot).has_running()
                && seen.insert(name)
            {
                let resolved = resolved(job, name);
                let fails = |source: &SourceStatus| {
                    let has_no_answer = |problem: &Problem| {
                        problem.object == name && problem.reason != "no such name"
                    };
                    let fails = source.error.is_some() || source.problems.iter().any(has_no_answer);
                    source.mechanism == "dns" && fails
                };
                // The finding of the source says why it has no address.
                if resolved.is_empty() && job.state.status.sources.iter().any(fails) {
                    continue;
                }
                findings.extend(compare(name, &resolved, snapshot, service, before));
            }
        }
    }
    findings
}

/// The names that the sources of a job ask addresses of.
fn names(job: &ObservedJob) -> impl Iterator<Item = &str> {
    let sources = job.config.sources.iter().filter_map(|source| match source {
        SdConfig::Dns(config) if matches!(config.record_type, RecordType::A | RecordType::Aaaa) => {
            Some(config)
        }
        _ => None,
    });
    sources.flat_map(|config| config.names.iter().map(String::as_str))
}

/// A service by its name, or by its name within the only stack that has one.
fn named<'a>(context: Context<'a>, name: &str) -> Option<(&'a Snapshot, &'a Arc<Service>)> {
    context.service(name).or_else(|| {
        let in_stack = |service: &&Arc<Service>| {
            service.name.strip_suffix(name).is_some_and(|stack| stack.ends_with('_'))
        };
        let mut found = context.snapshots().flat_map(|snapshot| {
            let services = snapshot.services.objects().filter(in_stack);
            services.map(move |service| (snapshot, service))
        });
        found.next().filter(|_| found.next().is_none())
    })
}

/// The addresses of a name, also of targets that a rule drops.
fn resolved(job: &ObservedJob, name: &str) -> BTreeSet<IpAddr> {
    let mut addresses = BTreeSet::new();
    for group in &*job.state.set.groups {
        let group = &group.relabelled.group;
        for target in &group.targets {
            let label = |label| target.get(label).or_else(|| group.labels.get(label));
            if label(NAME) == Some(name) {
                let address = label(ADDRESS).unwrap_or_default();
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                addresses.extend(host.trim_matches(['[', ']']).parse::<IpAddr>());
            }
        }
    }
    addresses
}

fn addresses(task: &Task) -> impl Iterator<Item = IpAddr> {
    let attachments = task.attachments.iter().filter(|one| !one.ingress);
    attachments.flat_map(|one| one.addresses.iter().copied())
}

/// `before` is the moment since when changes do not count, in microseconds since 1970.
fn compare(
    name: &str,
    resolved: &BTreeSet<IpAddr>,
    snapshot: &Snapshot,
    service: &Service,
    before: i64,
) -> Option<Finding> {
    let running: Vec<_> = running(snapshot, service).collect();
    let of_tasks: BTreeSet<_> = running.iter().flat_map(|task| addresses(task)).collect();
    let mut dead = Vec::new();
    for address in resolved.difference(&of_tasks) {
        let mut owners = snapshot.tasks.of_owner(&service.id);
        let owner = owners.find(|task| addresses(task).any(|of_task| of_task == *address));
        match owner {
            Some(task) if task.state_since > before => {}
            Some(task) => dead.push(format!("{address} of a task that is {}", task.state)),
            None => dead.push(address.to_string()),
        }
    }
    let mut missing = Vec::new();
    for task in running {
        let is_resolved = addresses(task).any(|address| resolved.contains(&address));
        if !is_resolved && task.state_since <= before && addresses(task).next().is_some() {
            let node = snapshot.nodes.get("", &task.node).map_or("", |node| &node.hostname);
            missing.push(match task.slot {
                0 => format!("{} on {node}", service.name),
                slot => format!("{}.{slot} on {node}", service.name),
            });
        }
    }
    let part = |mut items: Vec<String>, what: &str| {
        items.sort();
        let count = items.len();
        items.truncate(NAMED);
        (count > 0).then(|| format!("{count} {what}: {}", items.join(", ")))
    };
    let problems = [
        part(dead, "addresses of no running task"),
        part(missing, "running tasks without an address"),
    ];
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    (!problems.is_empty()).then(|| Finding {
        severity: Severity::Warning,
        check: "dns_mismatch".to_owned(),
        subject: format!("name {name}"),
        problem: format!("Swarm's DNS does not agree with the managers: {}", problems.join("; ")),
        fix: format!(
            "read the tasks from the managers in place of dns_sd_configs: dockerswarm_sd_configs \
             with role: tasks, or swarmscout_sd_configs\n\
             to see what DNS says: docker run --rm --network NETWORK busybox nslookup {name}\n\
             if no address is there, the scraper is not in the network of {}",
            service.name
        ),
        targets: 0,
        examples: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use swarmscout_docker::engine::{Attachment, Lists, Node};

    use super::*;

    /// A task: `slot state seconds address`.
    fn check(tasks: &[&str], resolved: &[&str], expected: &Expect) {
        let task = |text: &&str| {
            let [slot, state, since, address] =
                <[&str; 4]>::try_from(text.split(' ').collect::<Vec<_>>()).unwrap();
            let attachment = Attachment {
                addresses: vec![address.parse().unwrap()],
                driver: "overlay".into(),
                ..Attachment::default()
            };
            Arc::new(Task {
                id: format!("{slot}{since}").into(),
                service: "web".into(),
                node: "n".into(),
                slot: slot.parse().unwrap(),
                state: state.into(),
                desired_state: if state == "running" { "running" } else { "shutdown" }.into(),
                state_since: since.parse::<i64>().unwrap() * 1_000_000,
                attachments: vec![attachment],
                ..Task::default()
            })
        };
        let service = Service { id: "web".into(), name: "shop_web".into(), ..Service::default() };
        let node = Node { id: "n".into(), hostname: "pi1".into(), ..Node::default() };
        let lists = Lists {
            nodes: vec![Arc::new(node)],
            services: vec![Arc::new(service.clone())],
            tasks: tasks.iter().map(task).collect(),
            ..Lists::default()
        };
        let resolved = resolved.iter().map(|address| address.parse().unwrap()).collect();
        let snapshot = Snapshot::from(&lists);
        let finding = compare("tasks.web", &resolved, &snapshot, &service, 1000 * 1_000_000);
        let text = finding.map(|finding| format!("{}: {}", finding.subject, finding.problem));
        expected.assert_eq(&text.unwrap_or_default());
    }

    #[test]
    fn agreement_is_no_finding() {
        check(&["1 running 5 10.0.1.3"], &["10.0.1.3"], &expect![""]);
        check(&[], &[], &expect![""]);
    }

    #[test]
    fn dead_addresses_and_missing_tasks_are_named() {
        check(
            &[
                "1 running 5 10.0.1.3",
                "2 running 5 10.0.1.4",
                "2 failed 4 10.0.1.5",
                "3 running 5 10.0.1.6",
            ],
            &["10.0.1.3", "10.0.1.5", "10.0.1.9"],
            &expect![
                "name tasks.web: Swarm's DNS does not agree with the managers: 2 addresses of no running task: 10.0.1.5 of a task that is failed, 10.0.1.9; 2 running tasks without an address: shop_web.2 on pi1, shop_web.3 on pi1"
            ],
        );
    }

    #[test]
    fn what_changed_a_moment_ago_does_not_count() {
        let tasks = ["1 running 1001 10.0.1.3", "1 shutdown 1001 10.0.1.4"];
        check(&tasks, &["10.0.1.4"], &expect![""]);
    }
}
