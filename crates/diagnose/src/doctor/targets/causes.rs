//! Why targets fail. One cause is one finding, whatever it breaks.
//!
//! What breaks several services comes first: a node that is down, a network that the scraper
//! is not in, a node that is cut off. The rest is one finding for each service and outcome.

use std::collections::{BTreeMap, BTreeSet};

use swarmscout_model::counted;

use super::ports::OpenPorts;
use super::sample::Candidate;
use super::{PUBLISH_A_PORT, node_parts, targets_want, wants_certificate};
use crate::doctor::context::{Context, ScraperName, networks_of};
use crate::probe::{Outcome, Probed};
use crate::report::{Finding, Severity};

/// This number of examples is shown of a finding.
pub(super) const EXAMPLES: usize = 3;

/// This number of names is shown in a sentence.
const NAMED: usize = 5;

pub(super) type Result = (Candidate, Probed);

/// Failed targets of one subject with one outcome.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    /// The reason of node parts that answer in the place of these targets; empty for others.
    pub(super) node_part: String,
    pub(super) failed: Vec<Result>,
    /// How many targets of the subject were probed.
    pub(super) all: usize,
}

/// The causes, with what each breaks.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// On nodes that are down, by the name of the node.
    lost: BTreeMap<String, Vec<Result>>,
    /// In networks that the scraper is not in.
    apart: Vec<Result>,
    /// At addresses of the routing mesh, by job.
    ingress: BTreeMap<String, Vec<Result>>,
    /// In overlay networks, while it is not known which the scraper is in, by job.
    unknown: BTreeMap<String, Vec<Result>>,
    /// On nodes that do not answer in networks in which others do, by the name of the node.
    cut_off: BTreeMap<String, CutOff>,
    /// Those that want a client certificate, or whose node parts do, by job.
    guarded: BTreeMap<String, Vec<Result>>,
    /// Behind node parts that do not answer, by the name of the node.
    silent: BTreeMap<String, Vec<Result>>,
    /// Everything else.
    pub(super) rest: Vec<Failure>,
}

#[derive(Debug, Default)]
struct CutOff {
    failed: Vec<Result>,
    networks: BTreeSet<String>,
    /// Nodes that answer in these networks.
    others: BTreeSet<String>,
}

impl Causes {
    /// Divides the results of probes. `here` is the node of this program.
    pub(super) fn of(results: Vec<Result>, context: Context<'_>) -> Self {
        let lost_nodes = context.lost_nodes();
        let here = context.own_node();
        let answering = answering(&results);
        let hidden = hidden(&results);
        let mut counts = BTreeMap::<String, usize>::new();
        for (candidate, _) in &results {
            *counts.entry(candidate.subject.clone()).or_default() += 1;
        }
        let mut causes = Self::default();
        let mut rest = BTreeMap::<(String, Outcome, String), Vec<Result>>::new();
        for (candidate, probed) in results {
            let outcome = probed.outcome;
            if outcome == Outcome::Up {
                continue;
            }
            let is_silent = matches!(outcome, Outcome::ConnectTimeout | Outcome::NoRoute);
            let others = answering.get(&candidate.network).filter(|nodes| {
                is_silent
                    && !candidate.node.is_empty()
                    && !nodes.contains(&candidate.node)
                    && here != Some(&*candidate.node)
            });
            if let Some(node) = lost_nodes.get(&*candidate.node_id) {
                causes.lost.entry((*node).to_owned()).or_default().push((candidate, probed));
            } else if wants_certificate(&candidate, &probed) {
                let job = candidate.job.to_string();
                causes.guarded.entry(job).or_default().push((candidate, probed));
            } else if node_parts::is_silent(&candidate, &probed) {
                let node = node_parts::place(&candidate);
                causes.silent.entry(node).or_default().push((candidate, probed));
            } else if candidate.network == "ingress" {
                let job = candidate.job.to_string();
                causes.ingress.entry(job).or_default().push((candidate, probed));
            } else if candidate.unreachable.is_some() && outcome != Outcome::BadUrl {
                causes.apart.push((candidate, probed));
            } else if hidden.contains(&*candidate.job) && is_hidden(&candidate) {
                let job = candidate.job.to_string();
                causes.unknown.entry(job).or_default().push((candidate, probed));
            } else if let Some(others) = others {
                let cut_off = causes.cut_off.entry(candidate.node.clone()).or_default();
                cut_off.networks.insert(candidate.network.clone());
                cut_off.others.extend(others.iter().cloned());
                cut_off.failed.push((candidate, probed));
            } else {
                let key = (candidate.subject.clone(), outcome, probed.node_part.clone());
                let of_subject = rest.entry(key);
                of_subject.or_default().push((candidate, probed));
            }
        }
        for ((subject, outcome, node_part), mut failed) in rest {
            failed.sort_by(|(a, _), (b, _)| a.url.cmp(&b.url));
            let all = counts.get(&subject).copied().unwrap_or_default();
            causes.rest.push(Failure { outcome, node_part, failed, all });
        }
        causes
    }

    /// The findings. Targets on nodes that are down are added to the findings of these nodes.
    pub(super) fn findings(
        self,
        context: Context<'_>,
        ports: &OpenPorts,
        known: &mut [Finding],
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (node, failed) in self.lost {
            let subject = format!("node {node}");
            let is_of_node =
                |known: &&mut Finding| known.check == "node_not_ready" && known.subject == subject;
            if let Some(known) = known.iter_mut().find(is_of_node) {
                known.targets += failed.len();
                let count = failed.len().to_string();
                known.problem.extend(["; no answer from ", &count, " of its targets"]);
                known.examples.extend(examples(&failed));
            }
        }
        for (job, failed) in self.ingress {
            findings.push(Finding {
                problem: format!(
                    "{} at addresses of the network ingress, which only published ports use",
                    counted(failed.len(), "target")
                ),
                fix: "drop them: relabel_configs: [{source_labels: \
                      [__meta_dockerswarm_network_ingress], regex: \"true\", action: drop}]"
                    .to_owned(),
                ..finding(Severity::Error, "ingress_address", format!("job {job}"), &failed)
            });
        }
        for (job, failed) in self.guarded {
            findings.push(Finding {
                problem: format!(
                    "{} a client certificate, which the scraper may have and this probe has not",
                    targets_want(failed.len())
                ),
                fix: "nothing, if Prometheus scrapes them: else set cert_file and key_file in its \
                      tls_config (docs/reach.md for node parts)"
                    .to_owned(),
                ..finding(Severity::Note, "client_certificate", format!("job {job}"), &failed)
            });
        }
        findings.extend(
            self.silent.into_iter().map(|(node, failed)| node_parts::silent(&node, &failed)),
        );
        for (job, failed) in self.unknown {
            findings.push(Finding {
                problem: format!(
                    "no answer from its {} on overlay networks: the scraper does not seem to be in \
                     these networks",
                    counted(failed.len(), "target")
                ),
                fix: "run Swarmscout and Prometheus as services in the networks of what they \
                      scrape\nif only Prometheus is there, name its service in the source: \
                      scraper: monitoring_prometheus"
                    .to_owned(),
                ..finding(Severity::Error, "networks_unknown", format!("job {job}"), &failed)
            });
        }
        let here = context.own_node().unwrap_or("the node of the scraper");
        for (node, CutOff { failed, networks, others }) in self.cut_off {
            findings.push(Finding {
                problem: format!(
                    "no connection to {} of its targets in {}, while targets of the same networks \
                     on {} answer",
                    failed.len(),
                    list(&networks),
                    list(&others)
                ),
                fix: format!(
                    "allow 4789/udp, 7946/tcp and 7946/udp between {here} and {node}, both ways\n\
                     if they are open, check that each reaches the other at the address that \
                     docker node inspect shows\n\
                     if its machine has just gone down, the managers report that within a minute"
                ),
                ..finding(Severity::Error, "overlay_blocked", format!("node {node}"), &failed)
            });
        }
        let (plain, apart): (Vec<_>, _) =
            self.apart.into_iter().partition(|(candidate, _)| candidate.is_plain);
        findings.extend(of_networks(&apart, context));
        findings.extend(of_engines(plain));
        findings.extend(self.rest.iter().map(|failure| of_subject(failure, ports, context)));
        findings
    }
}

/// The nodes that answer to connections, by network.
fn answering(results: &[Result]) -> BTreeMap<String, BTreeSet<String>> {
    let mut nodes = BTreeMap::<String, BTreeSet<String>>::new();
    for (candidate, probed) in results {
        let is_overlay = !candidate.network.is_empty() && !candidate.node.is_empty();
        if is_overlay && probed.outcome.is_connected() {
            nodes.entry(candidate.network.clone()).or_default().insert(candidate.node.clone());
        }
    }
    nodes
}

/// Whether it is not known which networks the scraper is in.
pub(super) fn is_hidden(candidate: &Candidate) -> bool {
    candidate.address_source == "first_network" && candidate.unreachable.is_none()
}

/// The jobs whose targets on overlay networks do not answer, all of them, while it is not known
/// which networks the scraper is in.
fn hidden(results: &[Result]) -> BTreeSet<String> {
    let of_overlay = || results.iter().filter(|(candidate, _)| is_hidden(candidate));
    let jobs = of_overlay().map(|(candidate, _)| candidate.job.to_string());
    let mut jobs: BTreeSet<_> = jobs.collect();
    for (candidate, _) in of_overlay().filter(|(_, probed)| probed.outcome.is_connected()) {
        jobs.remove(&*candidate.job);
    }
    jobs
}

/// The services that the scraper does not reach, each with the networks that would do, and its
/// failed targets.
type Apart<'a> = BTreeMap<(ScraperName, String), (BTreeSet<String>, Vec<&'a Result>)>;

/// One finding for each network that the scraper is not in.
fn of_networks(apart: &[Result], context: Context<'_>) -> Vec<Finding> {
    let mut services = Apart::new();
    for result in apart {
        let (candidate, _) = result;
        let key = (context.scraper(&candidate.job), candidate.subject.clone());
        let (networks, results) = services.entry(key).or_default();
        results.push(result);
        // The label network wants this one.
        if candidate.address_source != "network_label" {
            networks.extend(networks_of_service(&candidate.service, context));
        }
        networks.extend((!candidate.network.is_empty()).then(|| candidate.network.clone()));
    }
    // With unreachable: drop, there is no target.
    for (job, service) in context.unreachable() {
        let key = (context.scraper(job), format!("service {service}"));
        services.entry(key).or_default().0.extend(networks_of_service(service, context));
    }
    let mut findings = Vec::new();
    while let Some((scraper, network)) = widest(&services) {
        let mut results = Vec::new();
        let mut names = BTreeSet::new();
        services.retain(|(of, subject), (networks, of_service)| {
            let is_in = *of == scraper && networks.contains(&network);
            if is_in {
                results.extend(of_service.iter().map(|result| (*result).clone()));
                names.insert(subject.trim_start_matches("service ").to_owned());
            }
            !is_in
        });
        let what = match names.len() {
            1 => format!("service {}", list(&names)),
            count => format!("{count} services: {}", list(&names)),
        };
        let subject = format!("network {network}");
        findings.push(Finding {
            problem: format!("the scraper is not in it, and reaches no target of {what}"),
            fix: join(&scraper, &network, context),
            ..finding(Severity::Error, "network_not_shared", subject, &results)
        });
    }
    // Services that are in no overlay network.
    findings.extend(services.into_iter().map(|((_, subject), (_, results))| {
        let results: Vec<_> = results.into_iter().cloned().collect();
        Finding {
            problem: "the scraper shares no network with it".to_owned(),
            fix: "attach it to an overlay network in which the scraper is".to_owned(),
            ..finding(Severity::Error, "network_not_shared", subject, &results)
        }
    }));
    findings
}

/// One finding for each service of an engine without a Swarm that the scraper does not reach.
fn of_engines(apart: Vec<Result>) -> impl Iterator<Item = Finding> {
    let mut services = BTreeMap::<String, Vec<Result>>::new();
    for (candidate, probed) in apart {
        services.entry(candidate.subject.clone()).or_default().push((candidate, probed));
    }
    services.into_iter().map(|(subject, results)| Finding {
        problem: "the scraper shares no network with it".to_owned(),
        fix: PUBLISH_A_PORT.to_owned(),
        ..finding(Severity::Error, "network_not_shared", subject, &results)
    })
}

fn networks_of_service(service: &str, context: Context<'_>) -> Vec<String> {
    let found = context.service(service);
    let networks = found.map(|(snapshot, service)| networks_of(snapshot, service));
    networks.into_iter().flatten().map(|(_, name)| name.to_string()).collect()
}

/// The network that most services are in: few networks are to be joined.
fn widest(services: &Apart<'_>) -> Option<(ScraperName, String)> {
    let mut counts = BTreeMap::<(&ScraperName, &String), usize>::new();
    for ((scraper, _), (networks, _)) in services {
        for network in networks {
            *counts.entry((scraper, network)).or_default() += 1;
        }
    }
    let most = counts.into_iter().min_by_key(|(_, count)| std::cmp::Reverse(*count));
    most.map(|((scraper, network), _)| (scraper.clone(), network.clone()))
}

/// How the scraper gets into a network.
fn join(scraper: &ScraperName, network: &str, context: Context<'_>) -> String {
    let stack_file = format!(
        "in its stack file: networks: [{network}] under the service, and at the top networks: \
         {{{network}: {{external: true}}}}"
    );
    let update = |service: &str| format!("docker service update --network-add {network} {service}");
    match scraper {
        ScraperName::Service(service) => format!("{}\n{stack_file}", update(service)),
        ScraperName::Here(service) => {
            format!("{}, and the same for the service of Prometheus\n{stack_file}", update(service))
        }
        ScraperName::Container(id) => {
            if context.network(network).is_none_or(|network| network.attachable) {
                format!("docker network connect {network} {id}")
            } else {
                let update = update("SCRAPER");
                format!(
                    "the network is not attachable: run the scraper as a service, then {update}"
                )
            }
        }
        ScraperName::InNetworks => format!(
            "{}, with the service of the scraper for SCRAPER\n{stack_file}\nthen add {network} to \
             networks of the source",
            update("SCRAPER")
        ),
        ScraperName::Unknown => {
            format!(
                "{}, with the service of the scraper for SCRAPER\n{stack_file}",
                update("SCRAPER")
            )
        }
    }
}

/// A finding without its texts.
pub(super) fn finding(
    severity: Severity,
    check: &str,
    subject: String,
    failed: &[Result],
) -> Finding {
    Finding {
        severity,
        check: check.to_owned(),
        subject,
        problem: String::new(),
        fix: String::new(),
        targets: failed.len(),
        examples: examples(failed),
    }
}

fn examples(failed: &[Result]) -> Vec<String> {
    let mut failed: Vec<_> = failed.iter().collect();
    failed.sort_by(|(a, _), (b, _)| a.url.cmp(&b.url));
    let examples = failed.into_iter().take(EXAMPLES).map(|(candidate, probed)| {
        let place = if candidate.node.is_empty() { "" } else { " on node " };
        format!("{}{place}{}: {}", candidate.url, candidate.node, probed.detail)
    });
    examples.collect()
}

fn of_subject(failure: &Failure, ports: &OpenPorts, context: Context<'_>) -> Finding {
    let Failure { outcome, node_part, failed, all } = failure;
    let first = failed.first().map(|(candidate, _)| candidate);
    let subject = first.map(|candidate| candidate.subject.clone()).unwrap_or_default();
    let has_class = first.is_some_and(|candidate| candidate.has_class);
    let what = match outcome {
        Outcome::Up => "answer",
        Outcome::BadUrl => "have a URL that cannot be requested",
        Outcome::NoSuchName => "have a host name without an address",
        Outcome::NoRoute => "are at an address to which no route leads",
        Outcome::PortClosed => "do not listen on their port",
        Outcome::ConnectTimeout => "do not answer to a connection",
        Outcome::Tls => "fail the TLS handshake",
        Outcome::NoTls => "speak no TLS on their port",
        Outcome::ClientCertificate => "want a client certificate",
        Outcome::AnswerTimeout => "do not finish their answer in time",
        Outcome::NotHttp => "do not speak HTTP on their port",
        Outcome::Unauthorized if has_class => "want credentials, which the job of their class has",
        Outcome::Unauthorized => "want credentials",
        Outcome::Status => "answer with an error status",
        Outcome::NotMetrics => "answer with something other than metrics",
        Outcome::TooLarge => "answer with more than the limit",
        Outcome::NodePart => "cannot be fetched by the node part of their node",
        Outcome::Other => "cannot be requested",
    };
    let severity = match outcome {
        Outcome::Unauthorized if has_class => Severity::Note,
        // The reader may have the credentials or certificates.
        Outcome::Unauthorized | Outcome::Tls | Outcome::TooLarge => Severity::Warning,
        _ => Severity::Error,
    };
    let count = failed.len();
    let mut problem = format!("{count} of {all} probed targets {what}");
    let of_node_part = match (outcome, first) {
        (Outcome::NoTls, Some(first)) => node_parts::without_tls(first),
        _ => node_parts::fix(node_part),
    };
    let mut advice = of_node_part.unwrap_or_else(|| fix(*outcome, has_class)).to_owned();
    if *outcome == Outcome::PortClosed
        && let Some((candidate, _)) = failed.iter().min_by_key(|(one, _)| &one.endpoint)
        && let Some(open) = ports.of(&subject)
    {
        problem.extend(["; ", &open.describe()]);
        advice = open.fix(candidate, context).unwrap_or(advice);
    }
    let check = outcome.as_str();
    Finding { problem, fix: advice, ..finding(severity, check, subject, failed) }
}

fn fix(outcome: Outcome, has_class: bool) -> &'static str {
    match outcome {
        // All that want a certificate are one finding.
        Outcome::Up | Outcome::ClientCertificate => "",
        Outcome::NoRoute | Outcome::ConnectTimeout => {
            "check whether Swarmscout is in the network of the target, and the firewall between \
             them; for overlay networks allow 4789/udp, 7946/tcp and 7946/udp between all nodes"
        }
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
            "if the scraper has no certificates for this target, set them in its tls_config"
        }
        Outcome::NoTls => "set prometheus.io/scheme to http",
        Outcome::AnswerTimeout => {
            "make the target answer faster, or set prometheus.io/timeout and prometheus.io/interval"
        }
        Outcome::NotHttp => "set prometheus.io/port to the port of its metrics",
        Outcome::Unauthorized if has_class => "",
        Outcome::Unauthorized => {
            "give the scraper the credentials: put the service into a class with \
             prometheus.io/class, and scrape that class with a job that has them"
        }
        Outcome::Status | Outcome::NotMetrics => {
            "set prometheus.io/path to the path of its metrics"
        }
        Outcome::TooLarge => "let the target report fewer series",
        Outcome::NodePart | Outcome::Other => "see the examples",
    }
}

/// `a, b and 3 more`.
pub(super) fn list(names: &BTreeSet<String>) -> String {
    let shown: Vec<_> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;
