//! Running tasks that give no target because the Swarm knows no address of theirs.
//!
//! Prometheus leaves them out without a word, and so the targets here are the same. But an operator
//! who misses a target must learn why: `docker service ls` says that all of the tasks run. Such
//! tasks use the network of their host, no network at all, or a network whose addresses the Engine
//! of the node gives out by itself (macvlan, bridge).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use swarmscout_refresh::problems::shown;

use swarmscout_docker::engine::{Attachment, Task};

/// At most this many services are listed.
const MOST: usize = 1000;

/// At most this many networks of a task are named.
const NAMED: usize = 3;

/// All of them that a source found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TasksWithoutAddress {
    /// By service, sorted by its name; at most a thousand.
    pub services: Vec<ServiceWithoutAddress>,
    /// How many services are not listed.
    pub not_listed: usize,
    counts: [usize; NoAddress::ALL.len()],
}

/// Running tasks of one service that are without an address for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceWithoutAddress {
    /// Name of the service, or its ID where it has none.
    pub service: Arc<str>,
    /// Why.
    pub reason: NoAddress,
    /// The networks that the tasks are on, with their drivers: `mv (macvlan)`. Empty for none.
    pub networks: Arc<str>,
    /// How many tasks.
    pub tasks: usize,
}

/// Why a running task has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoAddress {
    /// It uses the network of its host.
    HostNetwork,
    /// It is on no network.
    NoNetwork,
    /// The Swarm does not know its addresses on its networks.
    UnknownAddress,
}

impl NoAddress {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::HostNetwork, Self::NoNetwork, Self::UnknownAddress];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostNetwork => "host network",
            Self::NoNetwork => "no network",
            Self::UnknownAddress => "address unknown to the Swarm",
        }
    }
}

impl TasksWithoutAddress {
    /// How many tasks there are for each reason.
    pub fn counts(&self) -> impl Iterator<Item = (NoAddress, usize)> {
        NoAddress::ALL.into_iter().zip(self.counts)
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Of all parts of a Swarm. A service may stand in several of them.
    pub fn of<'a>(parts: impl Iterator<Item = &'a ServiceWithoutAddress>) -> Self {
        let mut all = Self::default();
        let mut by_service = BTreeMap::new();
        for ServiceWithoutAddress { service, reason, networks, tasks } in parts {
            *by_service.entry((service, *reason, networks)).or_default() += tasks;
            all.counts[*reason as usize] += tasks;
        }
        all.not_listed = by_service.len().saturating_sub(MOST);
        let listed = by_service.into_iter().take(MOST);
        let service = |((service, reason, networks), tasks): ((&Arc<str>, _, &Arc<str>), _)| {
            let (service, networks) = (Arc::clone(service), Arc::clone(networks));
            ServiceWithoutAddress { service, reason, networks, tasks }
        };
        all.services = listed.map(service).collect();
        all
    }
}

/// Notes a task that gives no target among those of its service, if it runs.
pub(crate) fn note(found: &mut Vec<ServiceWithoutAddress>, service: Option<&str>, task: &Task) {
    if &*task.state != "running" || task.attachments.iter().any(|one| !one.addresses.is_empty()) {
        return;
    }
    let (reason, networks) = why(&task.attachments);
    let known =
        found.iter_mut().find(|known| known.reason == reason && *known.networks == networks);
    if let Some(known) = known {
        known.tasks += 1;
        return;
    }
    let service = service.filter(|name| !name.is_empty()).unwrap_or(&task.service);
    let service = Arc::from(shown(service));
    found.push(ServiceWithoutAddress { service, reason, networks: networks.into(), tasks: 1 });
}

fn why(attachments: &[Attachment]) -> (NoAddress, String) {
    let reason = match attachments {
        [] => return (NoAddress::NoNetwork, String::new()),
        all if all.iter().any(|one| &*one.driver == "host") => NoAddress::HostNetwork,
        _ => NoAddress::UnknownAddress,
    };
    let name = |one: &Attachment| {
        let name = if one.name.is_empty() { &one.network } else { &one.name };
        match &*one.driver {
            "" => shown(name).to_owned(),
            driver => format!("{} ({})", shown(name), shown(driver)),
        }
    };
    let mut networks: Vec<_> = attachments.iter().take(NAMED).map(name).collect();
    if attachments.len() > NAMED {
        networks.push(format!("{} more", attachments.len() - NAMED));
    }
    (reason, networks.join(", "))
}

/// `service "mv": 3 running tasks have no address that the Swarm knows: they are on network mv
/// (macvlan)`.
impl fmt::Display for ServiceWithoutAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, reason, networks, tasks } = self;
        let (s, have, they) = match tasks {
            1 => ("", "has", "it"),
            _ => ("s", "have", "they"),
        };
        let are = if *tasks == 1 { "is" } else { "are" };
        write!(
            f,
            "service {service:?}: {tasks} running task{s} {have} no address that the Swarm knows: \
             {they} "
        )?;
        match reason {
            NoAddress::HostNetwork if *tasks == 1 => f.write_str("uses the network of its host"),
            NoAddress::HostNetwork => f.write_str("use the networks of their hosts"),
            NoAddress::NoNetwork => write!(f, "{are} on no network"),
            NoAddress::UnknownAddress => {
                let s = if networks.contains(", ") { "s" } else { "" };
                write!(f, "{are} on network{s} {networks}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn task(service: &str, state: &str, networks: &[(&str, &str)]) -> Task {
        let attachment = |(name, driver): &(&str, &str)| Attachment {
            network: format!("id-{name}").into(),
            name: (*name).into(),
            driver: (*driver).into(),
            ..Attachment::default()
        };
        Task {
            service: service.into(),
            state: state.into(),
            attachments: networks.iter().map(attachment).collect(),
            ..Task::default()
        }
    }

    #[test]
    fn each_service_is_reported_with_its_reason() {
        let mut found = Vec::new();
        let many = [("a", "macvlan"), ("b", "bridge"), ("c", ""), ("d", "x"), ("e", "y")];
        for (service, name, state, networks) in [
            ("s1", Some("mv"), "running", &[("mv", "macvlan")][..]),
            ("s2", Some("exporter"), "running", &[("host", "host")]),
            ("s3", None, "running", &[]),
            ("s4", Some("many"), "running", &many),
            ("s5", Some("gone"), "shutdown", &[]),
            ("s6", Some("soon"), "preparing", &[("mv", "macvlan")]),
        ] {
            // Each bucket is of one service.
            let mut of_bucket = Vec::new();
            note(&mut of_bucket, name, &task(service, state, networks));
            found.extend(of_bucket);
        }
        let mut of_bucket = Vec::new();
        for _ in 0..2 {
            note(&mut of_bucket, Some("mv"), &task("s1", "running", &[("mv", "macvlan")]));
        }
        found.extend(of_bucket);
        let all = TasksWithoutAddress::of(found.iter());
        let lines: Vec<_> = all.services.iter().map(ToString::to_string).collect();
        expect![[r#"
            service "exporter": 1 running task has no address that the Swarm knows: it uses the network of its host
            service "many": 1 running task has no address that the Swarm knows: it is on networks a (macvlan), b (bridge), c, 2 more
            service "mv": 3 running tasks have no address that the Swarm knows: they are on network mv (macvlan)
            service "s3": 1 running task has no address that the Swarm knows: it is on no network"#]]
        .assert_eq(&lines.join("\n"));
        assert_eq!((all.tasks(), all.not_listed), (6, 0));
    }

    #[test]
    fn the_list_has_an_end_and_the_counts_do_not() {
        let services: Vec<_> = (0..1500)
            .map(|i| {
                let mut found = Vec::new();
                note(&mut found, Some(&format!("{i:04}")), &task("id", "running", &[]));
                found.remove(0)
            })
            .collect();
        let all = TasksWithoutAddress::of(services.iter());
        assert_eq!((all.services.len(), all.not_listed, all.tasks()), (1000, 500, 1500));
        assert_eq!(all.counts().nth(1), Some((NoAddress::NoNetwork, 1500)));
    }
}
