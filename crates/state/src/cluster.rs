//! The series of a Swarm as a whole.

use std::collections::BTreeMap;

use swarmscout_docker::engine::{List, Resource};
use swarmscout_swarm::{NodeNames, Snapshot};

use crate::families::Family;
use crate::node::{AVAILABILITIES, STATES};
use crate::options::Options;
use crate::page::{Page, count, flag, seconds};
use crate::shards::Input;

const LISTS: [List; 6] =
    [List::Nodes, List::Services, List::Tasks, List::Networks, List::Configs, List::Secrets];

const ROLES: [&str; 2] = ["manager", "worker"];

const REACHABILITIES: [&str; 3] = ["reachable", "unreachable", "unknown"];

pub(crate) fn write(
    page: &mut Page,
    input: &Input<'_>,
    unknown_reasons: usize,
    names: &NodeNames,
    options: &Options,
) {
    let labels = options.labels();
    page.series(Family::Up, &labels, flag(input.up));
    if let Some(as_of) = input.as_of {
        page.series(Family::LastRefresh, &labels, seconds(as_of));
    }
    lists(page, input.snapshot, options);
    info(page, input.snapshot, options);
    managers(page, input.snapshot, options);
    certificates(page, input, names, options);
    nodes(page, input.snapshot, options);
    page.series(Family::UnknownReasons, &labels, count(unknown_reasons));
}

/// A proxy may withhold some lists. A watch keeps a list up to date that cannot be read.
fn lists(page: &mut Page, snapshot: &Snapshot, options: &Options) {
    let failed_files = snapshot.files.failed.iter().map(|(list, _)| *list);
    let failed: Vec<_> = snapshot.out_of_date().chain(failed_files).collect();
    for list in LISTS {
        let name = Resource::List(list).path().trim_start_matches('/');
        let is_up = flag(!failed.contains(&list));
        page.series_with(Family::ListUp, &options.labels(), ("list", name), is_up);
    }
}

/// What a manager says of the Swarm. A proxy may withhold it.
fn info(page: &mut Page, snapshot: &Snapshot, options: &Options) {
    let Some(info) = &snapshot.info else { return };
    let labels = options.labels();
    page.series(Family::Info, &labels.with("cluster_id", &info.cluster), 1.0);
    page.time(Family::Created, &labels, info.cluster_created);
    page.series(Family::RootRotation, &labels, flag(info.root_rotation));
    if let Some(ends) = info.root_ends {
        page.series(Family::RootExpiry, &labels, ends as f64);
    }
}

fn managers(page: &mut Page, snapshot: &Snapshot, options: &Options) {
    let labels = options.labels();
    let managers = snapshot.nodes.objects().filter_map(|node| node.manager.as_ref());
    let managers: Vec<_> = managers.collect();
    for reachability in REACHABILITIES {
        let of_kind = managers.iter().filter(|manager| *manager.reachability == *reachability);
        let more = ("reachability", reachability);
        page.series_with(Family::Managers, &labels, more, count(of_kind.count()));
    }
    let has_leader = managers.iter().any(|manager| manager.leader);
    page.series(Family::HasLeader, &labels, flag(has_leader));
}

/// Those that could be read. They are read apart from the Swarm's lists.
fn certificates(page: &mut Page, input: &Input<'_>, names: &NodeNames, options: &Options) {
    let nodes = input.snapshot.nodes.objects();
    for node in nodes.filter(|node| node.manager.is_some()) {
        if let Some(validity) = input.certificates.get(&node.id) {
            let mut labels = options.labels();
            labels.push("node", names.of(&node.id));
            options.push_allowed(&mut labels, |key| node.labels.get(key));
            page.series(Family::ManagerCertificateStart, &labels, validity.begins as f64);
            page.series(Family::ManagerCertificateExpiry, &labels, validity.ends as f64);
        }
    }
}

fn nodes(page: &mut Page, snapshot: &Snapshot, options: &Options) {
    let mut counts = BTreeMap::<_, usize>::new();
    for node in snapshot.nodes.objects() {
        *counts.entry((&*node.role, &*node.availability, &*node.state)).or_default() += 1;
    }
    for role in ROLES {
        for availability in AVAILABILITIES {
            for state in STATES {
                let mut labels = options.labels();
                labels.push("role", role);
                labels.push("availability", availability);
                let number = counts.get(&(role, availability, state)).copied().unwrap_or_default();
                page.series_with(Family::Nodes, &labels, ("state", state), count(number));
            }
        }
    }
}
