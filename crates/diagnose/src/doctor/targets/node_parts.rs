//! What fails at the node part that fetches for a scraper, and not at the target.

use http::Uri;
use swarmscout_model::target_list::NODE_PART;

use super::causes::{Result, finding};
use super::sample::Candidate;
use super::targets_are;
use crate::probe::{Outcome, Probed};
use crate::report::{Finding, Severity};

/// Whether a node part does not let in who has no certificate of its authority.
pub(super) fn is_closed(candidate: &Candidate, probed: &Probed) -> bool {
    let has_no_reason = probed.node_part.is_empty();
    candidate.address_source == NODE_PART
        && candidate.url.starts_with("https:")
        && (probed.node_part == "closed"
            || has_no_reason && probed.outcome == Outcome::Unauthorized)
}

/// Whether there is no connection to a node part.
pub(super) fn is_silent(candidate: &Candidate, probed: &Probed) -> bool {
    use Outcome::{ConnectTimeout, NoRoute, NoSuchName, PortClosed};
    candidate.address_source == NODE_PART
        && probed.node_part.is_empty()
        && matches!(probed.outcome, ConnectTimeout | NoRoute | NoSuchName | PortClosed)
}

/// The node of a target, or the address of its node part.
pub(super) fn place(candidate: &Candidate) -> String {
    let url: Option<Uri> = candidate.url.parse().ok();
    match &*candidate.node {
        "" => url.and_then(|url| Some(url.authority()?.to_string())).unwrap_or_default(),
        node => node.to_owned(),
    }
}

pub(super) fn silent(node: &str, failed: &[Result]) -> Finding {
    let problem =
        format!("no connection to its node part, and {} behind it", targets_are(failed.len()));
    Finding {
        problem,
        fix: "check that swarmscout node runs there (docker service ps of its service), and that its port \
              is open to the scraper"
            .to_owned(),
        ..finding(Severity::Error, "node_part_silent", format!("node {node}"), failed)
    }
}

/// What to do about targets that are listed with `https`, if node parts without TLS fetch for them.
pub(super) fn without_tls(candidate: &Candidate) -> Option<&'static str> {
    (candidate.address_source == NODE_PART).then_some(
        "give the node parts TLS and client certificates by --web.config.file, or relabel __scheme__ to \
         http where --reach.insecure is meant (docs/reach.md)",
    )
}

/// What to do about a reason of a node part. `None` if that is the same as without a node part.
pub(super) fn fix(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "" | "connect" | "timeout" | "broken" | "too_large" => return None,
        "closed" => {
            "give the node parts TLS and client certificates (docs/reach.md), or --reach.insecure where \
             nothing but the scraper can connect to them"
        }
        "task" => {
            "if it is so again in a minute, the list of the node part is old: its log says why it \
             does not get a new one from --manager"
        }
        "target" => {
            "give all Swarmscouts that the node parts follow (--manager) the same configuration: one of \
             them has no such target with reach: node"
        }
        "internal" => "attach it to one more network that is not internal, or scrape it directly",
        "gone" => "nothing, if it is not so again: the process of the task has just ended",
        "unreadable" => "mount the host's /proc into the node part, without hidepid",
        "no_bridge" => {
            "run the node part in the network of the host, and mount nothing over its /sys but for \
             /sys/fs/cgroup; or attach the task to a network with a \
             bridge (on the network none it has no address)"
        }
        "redirect" => "set prometheus.io/path to the path that the redirect leads to",
        "busy" => {
            "make the target answer faster: too many fetches run at one time (docs/reach.md, limits)"
        }
        "path" | "query" | "headers" => "correct the labels or rules that make the path",
        _ => "see docs/reach.md for the reason",
    })
}
