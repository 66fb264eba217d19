//! Whether targets answer: a sample of each service is probed, and the results are summed up.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use swarmscout_model::target_list::UNREACHABLE;
use swarmscout_model::{Target, TargetGroup, TargetList, TargetSet};
use swarmscout_net::Client;

use crate::SERVICE_LABELS;
use crate::probe::{Limits, Outcome, Probed, probe};
use crate::report::{Finding, Severity};

/// This number of probes run at the same time.
const AT_ONCE: usize = 32;

/// This number of targets is probed at most.
const MOST: usize = 10_000;

/// The probes may take so long together. Those that are left then do not count as probed.
const TOGETHER: Duration = Duration::from_secs(45);

/// This number of examples is shown of a finding.
const EXAMPLES: usize = 3;

/// What to do about targets in a network that the scraper is not in.
pub(crate) const SHARE_A_NETWORK: &str = "attach the scraper to one of the service's networks, or \
                                          name a network that both share in the label \
                                          prometheus.io/network";

/// A target to be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    /// `service shop_web`, or `job node` for a target without a service.
    subject: String,
    /// Host name of its node; empty if it is not known.
    node: String,
    url: String,
    /// Why the scraper cannot reach it, as far as discovery knows.
    unreachable: Option<String>,
}

/// How many targets there were, and how many of them were probed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    pub(super) targets: usize,
    pub(super) probed: usize,
    pub(super) up: usize,
}

/// Probes a sample of these targets.
pub(super) async fn check(
    sets: &[Arc<TargetSet>],
    client: &Client,
    limits: Limits,
) -> (Coverage, Vec<Finding>) {
    let (targets, sample) = sample(sets, MOST);
    let requests = sample.into_iter().map(|candidate| async move {
        let probed = probe(client, &candidate.url, limits).await;
        (candidate, probed)
    });
    let results = stream::iter(requests).buffer_unordered(AT_ONCE);
    let results: Vec<_> = results.take_until(tokio::time::sleep(TOGETHER)).collect().await;
    let probed = results.len();
    let up = results.iter().filter(|(_, probed)| probed.outcome == Outcome::Up).count();
    (Coverage { targets, probed, up }, findings(results))
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
/// two jobs scrape is probed once. Also how many targets there are.
fn sample(sets: &[Arc<TargetSet>], most: usize) -> (usize, Vec<Candidate>) {
    let mut shares = BTreeMap::<String, Share>::new();
    each_target(sets, |set, group, target| {
        let subject = subject(set, group, target);
        match shares.get_mut(&subject) {
            Some(share) => share.targets += 1,
            None => drop(shares.insert(subject, Share { targets: 1, ..Share::default() })),
        }
    });
    let total: usize = shares.values().map(|share| share.targets).sum();
    for share in shares.values_mut() {
        let part = (share.targets * most).checked_div(total).unwrap_or_default().max(1);
        share.wanted = if total <= most { share.targets } else { part };
    }
    let (mut sample, mut urls) = (Vec::with_capacity(total.min(most)), HashSet::new());
    each_target(sets, |set, group, target| {
        let subject = subject(set, group, target);
        let share = shares.get_mut(&subject).expect("it was counted");
        if share.takes_next() && sample.len() < most {
            let url = target.url(&set.pool.defaults.params);
            if urls.insert(url.clone()) {
                sample.push(candidate(subject, url, group, target));
            }
        }
    });
    (total, sample)
}

fn each_target<'a>(
    sets: &'a [Arc<TargetSet>],
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

/// What a target belongs to: `service shop_web`, or its job if it has no service.
pub(crate) fn subject(set: &TargetSet, group: &TargetGroup, target: &Target) -> String {
    match SERVICE_LABELS.iter().find_map(|name| discovered(group, target, name)) {
        Some(service) => format!("service {service}"),
        None => format!("job {}", set.pool.name()),
    }
}

fn candidate(subject: String, url: String, group: &TargetGroup, target: &Target) -> Candidate {
    let node = discovered(group, target, "__meta_dockerswarm_node_hostname");
    let unreachable = discovered(group, target, UNREACHABLE);
    Candidate {
        subject,
        node: node.unwrap_or_default().to_owned(),
        url,
        unreachable: unreachable.map(str::to_owned),
    }
}

/// One finding for each subject and outcome.
fn findings(results: Vec<(Candidate, Probed)>) -> Vec<Finding> {
    let mut by_subject = BTreeMap::<String, BTreeMap<Outcome, Vec<(Candidate, Probed)>>>::new();
    for (candidate, probed) in results {
        let outcomes = by_subject.entry(candidate.subject.clone()).or_default();
        outcomes.entry(probed.outcome).or_default().push((candidate, probed));
    }
    let mut findings = Vec::new();
    for (subject, mut outcomes) in by_subject {
        let all = outcomes.values().map(Vec::len).sum();
        let up = outcomes.remove(&Outcome::Up).unwrap_or_default();
        for (outcome, mut failed) in outcomes {
            failed.sort_by(|(a, _), (b, _)| a.url.cmp(&b.url));
            findings.push(finding(&subject, outcome, &failed, &up, all));
        }
    }
    findings
}

fn finding(
    subject: &str,
    outcome: Outcome,
    failed: &[(Candidate, Probed)],
    up: &[(Candidate, Probed)],
    all: usize,
) -> Finding {
    let count = failed.len();
    let unreachable = failed.iter().find_map(|(candidate, _)| candidate.unreachable.as_deref());
    let what = match outcome {
        Outcome::Up => "answer",
        Outcome::BadUrl => "have a URL that cannot be requested",
        Outcome::NoSuchName => "have a host name without an address",
        Outcome::NoRoute => "are at an address to which no route leads",
        Outcome::PortClosed => "do not listen on their port",
        Outcome::ConnectTimeout => "do not answer to a connection",
        Outcome::Tls => "fail the TLS handshake",
        Outcome::AnswerTimeout => "do not finish their answer in time",
        Outcome::NotHttp => "do not speak HTTP on their port",
        Outcome::Unauthorized => "want credentials",
        Outcome::Status => "answer with an error status",
        Outcome::NotMetrics => "answer with something other than metrics",
        Outcome::TooLarge => "answer with more than the limit",
        Outcome::Other => "cannot be requested",
    };
    let examples = failed.iter().take(EXAMPLES);
    let example = |(candidate, probed): &(Candidate, Probed)| {
        let place = if candidate.node.is_empty() { "" } else { " on node " };
        format!("{}{place}{}: {}", candidate.url, candidate.node, probed.detail)
    };
    Finding {
        severity: match outcome {
            // The reader may have the credentials or certificates.
            Outcome::Unauthorized | Outcome::Tls | Outcome::TooLarge => Severity::Warning,
            _ => Severity::Error,
        },
        check: outcome.as_str().to_owned(),
        subject: subject.to_owned(),
        problem: format!("{count} of {all} probed targets {what}"),
        fix: fix(outcome, unreachable, failed, up),
        targets: count,
        examples: examples.map(example).collect(),
    }
}

fn fix(
    outcome: Outcome,
    unreachable: Option<&str>,
    failed: &[(Candidate, Probed)],
    up: &[(Candidate, Probed)],
) -> String {
    // A port that is closed there is not that of the task.
    if let (Some(reason), Outcome::NoRoute | Outcome::ConnectTimeout | Outcome::PortClosed) =
        (unreachable, outcome)
    {
        return format!("{reason}: {SHARE_A_NETWORK}");
    }
    let text = match outcome {
        Outcome::Up => "",
        Outcome::NoRoute | Outcome::ConnectTimeout => return blocked(failed, up),
        Outcome::BadUrl => "correct the labels or rules that make the address or the path",
        Outcome::NoSuchName => {
            "names of a Swarm resolve only within its networks: use addresses, or run the scraper \
             in the same network"
        }
        Outcome::PortClosed => {
            "set prometheus.io/port to the port on which the container listens; a process that \
             listens on 127.0.0.1 only must listen on 0.0.0.0"
        }
        Outcome::Tls => {
            "if the scraper has no certificates for this target, set them in its tls_config; if \
             the target speaks no TLS, set prometheus.io/scheme to http"
        }
        Outcome::AnswerTimeout => {
            "make the target answer faster, or set prometheus.io/timeout and prometheus.io/interval"
        }
        Outcome::NotHttp => "set prometheus.io/port to the port of its metrics",
        Outcome::Unauthorized => {
            "give the scraper the credentials: put the service into a class with \
             prometheus.io/class, and scrape that class with a job that has them"
        }
        Outcome::Status | Outcome::NotMetrics => {
            "set prometheus.io/path to the path of its metrics"
        }
        Outcome::TooLarge => "let the target report fewer series",
        Outcome::Other => "see the examples",
    };
    text.to_owned()
}

/// What stands between us and targets that do not answer to a connection.
fn blocked(failed: &[(Candidate, Probed)], up: &[(Candidate, Probed)]) -> String {
    let nodes = |of: &[(Candidate, Probed)]| {
        let mut nodes: Vec<_> = of.iter().map(|(candidate, _)| candidate.node.clone()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.retain(|node| !node.is_empty());
        nodes
    };
    let (failed, up) = (nodes(failed), nodes(up));
    let only: Vec<_> = failed.iter().filter(|node| !up.contains(node)).cloned().collect();
    let ports = "allow 7946/tcp, 7946/udp and 4789/udp between all nodes";
    match only.len() {
        0 => format!(
            "check the firewall between the scraper and the target; for overlay networks {ports}"
        ),
        1..=5 if !up.is_empty() => format!(
            "only targets on {} fail: its overlay network is cut off, as by a firewall; {ports}",
            only.join(", ")
        ),
        _ => format!("the overlay network may be blocked by a firewall: {ports}"),
    }
}

#[cfg(test)]
mod tests;
