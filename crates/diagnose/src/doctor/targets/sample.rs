//! Which targets are probed: all of them, or a part of each service.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use swarmscout_model::target_list::{CLASS_PREFIX, LIST, NODE_PART, UNREACHABLE};
use swarmscout_model::{Target, TargetGroup, TargetList, TargetSet};

use super::ROLE_LABEL;
use crate::SERVICE_LABELS;

/// A target to be probed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::doctor) struct Candidate {
    /// `service shop_web`, or `job node` for a target without a service.
    pub(in crate::doctor) subject: String,
    /// The first job that scrapes it.
    pub(in crate::doctor) job: Arc<str>,
    /// The name of its service; empty without one.
    pub(in crate::doctor) service: String,
    /// ID of its node; empty if it is not known.
    pub(in crate::doctor) node_id: String,
    /// Host name of its node; empty if it is not known.
    pub(in crate::doctor) node: String,
    /// The name of the network that its address is in; empty for that of a node.
    pub(in crate::doctor) network: String,
    /// Where its address comes from: `shared_network`; empty for other sources.
    pub(in crate::doctor) address_source: String,
    /// The name of its endpoint; empty for the unnamed one.
    pub(in crate::doctor) endpoint: String,
    /// Whose labels declare it, and where: `ours/service`; empty for other sources.
    pub(in crate::doctor) declared_by: String,
    /// Whether its readers have credentials for it.
    pub(in crate::doctor) has_class: bool,
    pub(in crate::doctor) url: String,
    /// Why the scraper cannot reach it, as far as discovery knows.
    pub(in crate::doctor) unreachable: Option<String>,
    /// Whether it is a container of an engine without a Swarm.
    pub(in crate::doctor) is_plain: bool,
}

/// Targets to be probed.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// How many targets there are.
    pub(super) targets: usize,
    /// Each URL once.
    pub(super) candidates: Vec<Candidate>,
    /// Whether they are a part of all.
    pub(super) is_part: bool,
}

/// Which targets of a subject are probed: `wanted` of them, spread over all.
#[derive(Debug, Default)]
struct Share {
    targets: usize,
    wanted: usize,
    seen: usize,
    taken: usize,
}

impl Share {
    /// Whether the next target is probed.
    fn takes_next(&mut self) -> bool {
        // The i-th of those that are wanted stands for the i-th part of all.
        let takes =
            self.taken < self.wanted && self.seen == self.taken * self.targets / self.wanted;
        self.seen += 1;
        self.taken += usize::from(takes);
        takes
    }
}

/// At most `most` of all active targets, the same part of each subject but at least one. A URL that
/// two targets share is probed once.
pub(super) fn sample<'a>(
    sets: impl Iterator<Item = &'a Arc<TargetSet>> + Clone,
    most: usize,
) -> Sample {
    let mut shares = BTreeMap::<String, Share>::new();
    each_target(sets.clone(), |set, group, target| {
        let subject = subject(set, group, target);
        match shares.get_mut(&subject) {
            Some(share) => share.targets += 1,
            None => drop(shares.insert(subject, Share { targets: 1, ..Share::default() })),
        }
    });
    let targets: usize = shares.values().map(|share| share.targets).sum();
    for share in shares.values_mut() {
        let part = (share.targets * most).checked_div(targets).unwrap_or_default().max(1);
        share.wanted = if targets <= most { share.targets } else { part };
    }
    let (mut candidates, mut urls) = (Vec::with_capacity(targets.min(most)), HashSet::new());
    each_target(sets, |set, group, target| {
        let subject = subject(set, group, target);
        let share = shares.get_mut(&subject).expect("it was counted");
        if share.takes_next() && candidates.len() < most {
            let url = target.url(&set.pool.defaults.params);
            if urls.insert(url.clone()) {
                candidates.push(candidate(subject, url, set, group, target));
            }
        }
    });
    Sample { targets, candidates, is_part: targets > most }
}

/// The URLs of `wanted` that are still those of active targets.
pub(super) fn still_there<'a>(
    sets: impl Iterator<Item = &'a Arc<TargetSet>>,
    wanted: &HashSet<String>,
) -> HashSet<String> {
    let mut found = HashSet::new();
    each_target(sets, |set, _, target| {
        let url = target.url(&set.pool.defaults.params);
        if wanted.contains(&url) {
            found.insert(url);
        }
    });
    found
}

pub(in crate::doctor) fn each_target<'a>(
    sets: impl Iterator<Item = &'a Arc<TargetSet>>,
    mut each: impl FnMut(&'a TargetSet, &'a TargetGroup, &'a Target),
) {
    for set in sets {
        // The URLs of probes are for a prober: they have no metrics of their own.
        let scraped =
            set.groups.iter().filter(|group| !TargetList::Probes.holds(&group.relabelled.group));
        for group in scraped {
            group.active().for_each(|target| each(set, &group.relabelled.group, target));
        }
    }
}

/// A label of a target before relabeling; `None` if it is empty.
pub(crate) fn discovered<'a>(
    group: &'a TargetGroup,
    target: &Target,
    name: &str,
) -> Option<&'a str> {
    let own = group.targets.get(target.index as usize).and_then(|labels| labels.get(name));
    own.or_else(|| group.labels.get(name)).filter(|value| !value.is_empty())
}

/// The name of the service of a target.
pub(in crate::doctor) fn service<'a>(group: &'a TargetGroup, target: &Target) -> Option<&'a str> {
    SERVICE_LABELS.iter().find_map(|name| discovered(group, target, name))
}

/// What a target belongs to: `service shop_web`, or its job if it has no service.
pub(crate) fn subject(set: &TargetSet, group: &TargetGroup, target: &Target) -> String {
    match service(group, target) {
        Some(service) => format!("service {service}"),
        None => format!("job {}", set.pool.name()),
    }
}

fn candidate(
    subject: String,
    url: String,
    set: &TargetSet,
    group: &TargetGroup,
    target: &Target,
) -> Candidate {
    let label = |name| discovered(group, target, name);
    let text = |name| label(name).unwrap_or_default().to_owned();
    let address_source = text("__meta_swarmscout_address_source");
    let is_of_node = matches!(&*address_source, "node" | "host_port" | NODE_PART);
    let network = if is_of_node { None } else { label("__meta_dockerswarm_network_name") };
    let is_plain = !address_source.is_empty() && label(ROLE_LABEL).is_none();
    let is_of_class = label(LIST).is_some_and(|list| list.starts_with(CLASS_PREFIX));
    Candidate {
        subject,
        job: Arc::clone(set.pool.name()),
        service: service(group, target).unwrap_or_default().to_owned(),
        node_id: text("__meta_dockerswarm_node_id"),
        node: text("__meta_dockerswarm_node_hostname"),
        network: network.unwrap_or_default().to_owned(),
        address_source,
        endpoint: text("__meta_swarmscout_endpoint"),
        declared_by: text("__meta_swarmscout_declared_by"),
        has_class: is_of_class || label("__meta_swarmscout_class").is_some(),
        url,
        unreachable: label(UNREACHABLE).map(str::to_owned),
        is_plain,
    }
}
