//! Whether targets answer: a sample of each service is probed, and the results are summed up.

mod causes;
mod node_parts;
mod ports;
mod sample;

use std::collections::HashSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use swarmscout_model::counted;
use swarmscout_net::Client;

pub(super) use self::ports::mentioned as mentioned_ports;
pub(crate) use self::sample::{discovered, subject};
pub(super) use self::sample::{each_target, service as service_of};

use self::causes::{Causes, Result, is_hidden};
use self::ports::OpenPorts;
use self::sample::{Candidate, sample, still_there};
use super::Subject;
use super::context::Context;
use crate::probe::{Limits, Outcome, Probed, probe};
use crate::report::{Finding, Severity};

/// This number of probes run at the same time.
const AT_ONCE: usize = 32;

/// This number of targets is probed at most.
const MOST: usize = 10_000;

/// The probes may take so long together. Those that are left then do not count as probed.
const TOGETHER: Duration = Duration::from_secs(40);

/// What to do about targets in a network that the scraper is not in: the simplest first.
pub(crate) const SHARE_A_NETWORK: &str = "attach the service to a network of the scraper (docker service update --network-add NETWORK \
     SERVICE), or the scraper to one of the service; if they share one, name it in the label \
     prometheus.io/network. With a node part on each node (swarmscout node), reach: node needs no network";

/// The same of containers of an engine without a Swarm.
pub(crate) const PUBLISH_A_PORT: &str = "publish its port (ports: in its Compose file); on the machine of the scraper it is enough to \
     attach it to a network of the scraper (docker network connect NETWORK CONTAINER)";

/// A label that tasks of a Swarm have, and containers of an engine without a Swarm have not.
pub(crate) const ROLE_LABEL: &str = "__meta_dockerswarm_node_role";

/// How many targets there were, and how many of them were probed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    pub(super) targets: usize,
    /// Different URLs, of the sample.
    pub(super) urls: usize,
    pub(super) is_sample: bool,
    pub(super) probed: usize,
    pub(super) up: usize,
    /// Those that want credentials, which their readers may have.
    pub(super) guarded: usize,
    /// Those that did not answer, and were not targets any longer at the end.
    pub(super) gone: usize,
}

/// The results of probes.
#[derive(Debug)]
pub(super) struct Probes {
    pub(super) coverage: Coverage,
    results: Vec<Result>,
}

/// Probes a sample of all targets.
pub(super) async fn probe_all(subject: &Subject, client: &Client, limits: Limits) -> Probes {
    let sample = sample(subject.jobs.iter().map(|job| &job.state.set), MOST);
    let urls = sample.candidates.len();
    let requests = sample.candidates.into_iter().map(|candidate| async move {
        let probed = probe(client, &candidate.url, limits).await;
        (candidate, probed)
    });
    let results = stream::iter(requests).buffer_unordered(AT_ONCE);
    let results: Vec<_> = results.take_until(tokio::time::sleep(TOGETHER)).collect().await;
    let up = results.iter().filter(|(_, probed)| probed.outcome == Outcome::Up).count();
    let coverage = Coverage {
        targets: sample.targets,
        urls,
        is_sample: sample.is_part,
        probed: results.len(),
        up,
        guarded: guarded(&results),
        gone: 0,
    };
    Probes { coverage, results }
}

/// How many targets want credentials that their readers may have, and this program has not: it is not
/// known whether they are up.
fn guarded(results: &[Result]) -> usize {
    let is_guarded = |(candidate, probed): &&Result| {
        wants_certificate(candidate, probed)
            || (candidate.has_class && probed.outcome == Outcome::Unauthorized)
    };
    results.iter().filter(is_guarded).count()
}

/// Whether a target, or the node part before it, wants a client certificate.
fn wants_certificate(candidate: &Candidate, probed: &Probed) -> bool {
    probed.outcome == Outcome::ClientCertificate || node_parts::is_closed(candidate, probed)
}

impl Probes {
    /// Forgets failures of targets that are no longer there: a Swarm changes during the probes.
    pub(super) fn forget_gone(&mut self, now: &Subject) {
        let failed = self.results.iter().filter(|(_, probed)| probed.outcome != Outcome::Up);
        let failed: HashSet<_> = failed.map(|(candidate, _)| candidate.url.clone()).collect();
        if failed.is_empty() {
            return;
        }
        let there = still_there(now.jobs.iter().map(|job| &job.state.set), &failed);
        let before = self.results.len();
        self.results.retain(|(candidate, probed)| {
            probed.outcome == Outcome::Up || there.contains(&candidate.url)
        });
        self.coverage.gone = before - self.results.len();
        self.coverage.guarded = guarded(&self.results);
    }

    /// Why targets fail. What breaks them is added to findings that are known already.
    pub(super) async fn findings(
        self,
        context: Context<'_>,
        client: &Client,
        known: &mut Vec<Finding>,
    ) -> Vec<Finding> {
        let hidden = hidden(&self.results);
        let causes = Causes::of(self.results, context);
        let ports = OpenPorts::find(&causes.rest, context, client).await;
        let mut findings = causes.findings(context, &ports, known);
        let is_known = |finding: &Finding| finding.check == "networks_unknown";
        if !findings.iter().any(is_known) {
            findings.extend(hidden);
        }
        // These are in the findings of networks.
        known.retain(|finding| finding.check != "skipped_service_unreachable");
        findings
    }
}

/// A note if it is not known which networks the scraper is in, and some targets fail.
fn hidden(results: &[Result]) -> Option<Finding> {
    let of_overlay = || results.iter().filter(|(candidate, _)| is_hidden(candidate));
    let fails = of_overlay().any(|(_, probed)| probed.outcome != Outcome::Up);
    let (Candidate { job, .. }, _) = of_overlay().next().filter(|_| fails)?;
    Some(Finding {
        severity: Severity::Note,
        check: "networks_unknown".to_owned(),
        subject: format!("job {job}"),
        problem: format!(
            "{} on overlay networks, but it is not known which the scraper is in",
            targets_are(of_overlay().count())
        ),
        fix: "write scraper: <service of the scraper> or networks: [<network>] into the source"
            .to_owned(),
        targets: 0,
        examples: Vec::new(),
    })
}

/// `1 target wants`, `2 targets want`.
fn targets_want(count: usize) -> String {
    let verb = if count == 1 { "wants" } else { "want" };
    format!("{} {verb}", counted(count, "target"))
}

/// `1 target is`, `2 targets are`.
pub(super) fn targets_are(count: usize) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(count, "target"))
}

#[cfg(test)]
mod tests;
