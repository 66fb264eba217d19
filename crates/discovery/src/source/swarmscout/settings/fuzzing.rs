//! The way in for the fuzz target of `crates/fuzz`. No part of this crate's interface.

use std::fmt::{Display, Write as _};

use swarmscout_docker::engine::LabelMap;

use super::dialects::DIALECTS;
use super::refusal::MOST;
use super::{Declared, Endpoint, EndpointPort, Outcome, Probe, Rules, Shared, declared, explained};

/// What the labels of a service and of its container declare, one thing a line: which labels count,
/// endpoints, probes.
///
/// # Panics
/// Where something does not hold that must be true of all that is found.
pub fn labels(service: &[(String, String)], container: &[(String, String)]) -> String {
    let map = |pairs: &[(String, String)]| LabelMap::new(pairs.to_vec());
    let [service, container] = [service, container].map(map);
    let rules = Rules::new("prometheus.io/", &DIALECTS);
    let of_labels = declared(&rules, &service, &container);
    let (of_explain, found) = explained(&rules, &service, &container);
    assert_eq!(of_labels, of_explain);

    assert!(of_labels.refusals.len() <= MOST);
    for refusal in &of_labels.refusals {
        assert!(refusal.key.len() <= 256 && refusal.detail.len() <= 2000, "{refusal:?}");
    }
    for label in &found {
        let map = if label.of.place.as_str() == "service" { &service } else { &container };
        assert!(map.get(label.key).is_some() && label.value.len() <= 300, "{label:?}");
    }
    let refused = found.iter().filter(|label| matches!(label.outcome, Outcome::Refused(_)));
    assert_eq!(refused.count().min(MOST), of_labels.refusals.len());
    let shared = of_labels.endpoints.iter().map(|endpoint| &endpoint.shared);
    for Shared { interval, timeout, labels, .. } in
        shared.chain(of_labels.probes.iter().map(|probe| &probe.shared))
    {
        assert!(interval.is_none_or(|interval| timeout.is_some_and(|time| time <= interval)));
        assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "{labels:?}");
        for (name, value) in labels {
            assert!(!value.is_empty() && !["job", "instance"].contains(&&**name), "{name:?}");
            assert!(!name.starts_with("__"), "{name:?}");
        }
    }
    show(&of_labels)
}

/// What is declared, without refusals.
pub(super) fn show(declared: &Declared<'_>) -> String {
    let mut lines = Vec::new();
    if let Some(by) = declared.by {
        let off = if declared.switched_off { ": off" } else { "" };
        lines.push(format!("by {}, {}{off}", by.style(), by.place.as_str()));
    }
    for endpoint in &declared.endpoints {
        let Endpoint { name, port, path, scheme, params, shared, network, sample_limit, class } =
            endpoint;
        let port = match port {
            EndpointPort::Number(port) => port.to_string(),
            EndpointPort::OnlyPublished => "published".to_owned(),
        };
        let mut line = format!("{name:?} {scheme} {port} {path}");
        for (name, value) in params {
            push(&mut line, &format!("?{name}="), Some(value));
        }
        push(&mut line, "network=", *network);
        push(&mut line, "limit=", *sample_limit);
        push(&mut line, "class=", Some(class).filter(|class| !class.is_empty()));
        push_shared(&mut line, shared);
        lines.push(line);
    }
    for Probe { name, urls, module, shared } in &declared.probes {
        let mut line = format!("probe {name:?} {}", urls.join(" "));
        push(&mut line, "module=", *module);
        push_shared(&mut line, shared);
        lines.push(line);
    }
    lines.iter().map(|line| line.to_owned() + "\n").collect()
}

fn push_shared(line: &mut String, shared: &Shared<'_>) {
    let Shared { job, interval, timeout, labels } = shared;
    push(line, "job=", *job);
    push(line, "every ", *interval);
    push(line, "within ", *timeout);
    for (name, value) in labels {
        push(line, &format!("{name}="), Some(format!("{value:?}")));
    }
}

fn push(line: &mut String, name: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        // A string takes everything.
        let _ = write!(line, " {name}{value}");
    }
}
