//! Which ports listen where that of a target is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use swarmscout_docker::engine::{LabelMap, Service};
use swarmscout_net::Client;

use super::causes::Failure;
use super::sample::Candidate;
use crate::doctor::context::{Context, running};
use crate::doctor::reach::{Attempt, Listener, listening};
use crate::probe::Outcome;

/// This number of tasks of a service is tried.
const TASKS: usize = 2;

/// This number of ports of a task is tried.
const PORTS: usize = 16;

/// This number of services is tried.
const SERVICES: usize = 100;

/// All of them may take so long together.
const TOGETHER: Duration = Duration::from_secs(8);

/// Where programs usually have their metrics.
const USUAL: [u16; 15] =
    [8080, 9090, 80, 3000, 8000, 8081, 8888, 9000, 9091, 9100, 9102, 9113, 9121, 9187, 2112];

/// The ports that listen, by the subject of the targets.
#[derive(Debug, Default)]
pub(super) struct OpenPorts(BTreeMap<String, OpenPort>);

/// The ports of a service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OpenPort {
    /// How many were tried.
    tried: usize,
    listening: BTreeMap<u16, Listener>,
}

impl OpenPorts {
    /// Finds them where services do not listen on the port of their targets.
    pub(super) async fn find(failures: &[Failure], context: Context<'_>, client: &Client) -> Self {
        let is_closed = |failure: &&Failure| {
            // Behind a node part, the address is that of the node part.
            failure.outcome == Outcome::PortClosed && failure.node_part.is_empty()
        };
        let closed = failures.iter().filter(is_closed);
        let mut attempts = Vec::new();
        let mut found = Self::default();
        for failure in closed.take(SERVICES) {
            let Some((first, _)) = failure.failed.first() else { continue };
            let ports = ports(first, context);
            if ports.is_empty() {
                continue;
            }
            found.0.entry(first.subject.clone()).or_default().tried = ports.len();
            for (candidate, _) in failure.failed.iter().take(TASKS) {
                attempts.extend(
                    ports.iter().filter_map(|port| {
                        Attempt::of_url(&candidate.subject, &candidate.url, *port)
                    }),
                );
            }
        }
        for (attempt, listener) in listening(client, attempts, TOGETHER).await {
            let ports = found.0.entry(attempt.subject).or_default();
            let known = ports.listening.entry(attempt.port).or_insert(listener);
            *known = listener.max(*known);
        }
        found
    }

    pub(super) fn of(&self, subject: &str) -> Option<&OpenPort> {
        self.0.get(subject)
    }
}

impl OpenPort {
    /// `open there: 8081 (metrics), 80`.
    pub(super) fn describe(&self) -> String {
        if self.listening.is_empty() {
            return format!("none of {} other ports is open there", self.tried);
        }
        let mut ports: Vec<_> = self.listening.iter().collect();
        ports.sort_by_key(|(port, listener)| (std::cmp::Reverse(**listener), **port));
        let ports = ports.into_iter().map(|(port, listener)| match listener {
            Listener::Metrics => format!("{port} (metrics)"),
            Listener::Guarded => format!("{port} (wants credentials)"),
            Listener::Other => port.to_string(),
        });
        format!("open there: {}", ports.collect::<Vec<_>>().join(", "))
    }

    /// The label to write. `None` if no port answers with metrics.
    pub(super) fn fix(&self, candidate: &Candidate, context: Context<'_>) -> Option<String> {
        let metrics = self.listening.iter().find(|(_, listener)| **listener == Listener::Metrics);
        let (port, _) = metrics?;
        let options = context.options(&candidate.job);
        let (style, place) = candidate.declared_by.split_once('/').unwrap_or_default();
        let service = &candidate.service;
        Some(match (options, style) {
            (Some(options), "ours" | "")
                if style == "ours" || candidate.declared_by == "preset" =>
            {
                let dot = if candidate.endpoint.is_empty() { "" } else { "." };
                let key = format!("{}{}{dot}port", options.label_prefix, candidate.endpoint);
                let (labels, flag) = match place {
                    "container" => ("labels", "--container-label-add"),
                    _ => ("deploy.labels", "--label-add"),
                };
                format!(
                    "in its stack file, under {labels}: {key}: \"{port}\"\n\
                     or at once: docker service update {flag} {key}={port} {service}"
                )
            }
            (Some(_), dialect) if !dialect.is_empty() => {
                format!("correct the port in its {place} labels ({dialect}): {port}")
            }
            _ => format!(
                "let relabel_configs make an address with port {port}; with \
                 swarmscout_sd_configs the label prometheus.io/port does that"
            ),
        })
    }
}

/// The ports to try for a target: those that its service mentions, and usual ones.
fn ports(candidate: &Candidate, context: Context<'_>) -> Vec<u16> {
    let Some((snapshot, service)) = context.service(&candidate.service) else { return Vec::new() };
    let closed = Attempt::port_of(&candidate.url);
    let mut ports = mentioned(service, running(snapshot, service).map(|task| &*task.labels).next());
    match &*candidate.address_source {
        // Another port of the node is not that of the container.
        "host_port" => return Vec::new(),
        // What listens on the node at a usual port may be something else.
        "node" => {}
        _ => ports.extend(USUAL),
    }
    let mut seen = BTreeSet::from([closed]);
    ports.retain(|port| seen.insert(Some(*port)));
    ports.truncate(PORTS);
    ports
}

/// The TCP ports of containers that a service publishes or has in a label, such as those of Traefik.
pub(in crate::doctor) fn mentioned(service: &Service, container: Option<&LabelMap>) -> Vec<u16> {
    let tcp = service.ports.iter().filter(|port| &*port.protocol == "tcp");
    let mut ports: Vec<u16> = tcp.filter_map(|port| u16::try_from(port.target).ok()).collect();
    let labels = std::iter::once(&*service.labels).chain(container);
    for (key, value) in labels.flat_map(LabelMap::iter) {
        let is_word = |rest: &str| !rest.ends_with(|last: char| last.is_ascii_lowercase());
        let is_port = key.ends_with("Port") || key.strip_suffix("port").is_some_and(is_word);
        ports.extend(value.parse::<u16>().ok().filter(|_| is_port));
    }
    ports.retain(|port| *port != 0);
    ports
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_ports_of_a_service_are_those_that_it_publishes_and_labels() {
        let labels = [
            ("traefik.http.services.web.loadbalancer.server.port", "8081"),
            ("prometheus.io/admin.port", "9200"),
            ("com.df.scrapePort", "9300"),
            ("prometheus.io/port", "http"),
            ("support", "7"),
            ("report", ""),
            ("port", "0"),
        ];
        let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let port = |target, protocol: &str| swarmscout_docker::engine::Port {
            target,
            protocol: protocol.into(),
            ..Default::default()
        };
        let service = Service {
            labels: std::sync::Arc::new(LabelMap::new(labels.collect())),
            ports: vec![port(80, "tcp"), port(53, "udp"), port(70_000, "tcp")],
            ..Service::default()
        };
        let mut found = mentioned(&service, None);
        found.sort_unstable();
        assert_eq!(found, [80, 8081, 9200, 9300]);
    }

    #[test]
    fn the_open_ports_are_described_with_metrics_first() {
        let open = OpenPort {
            tried: 16,
            listening: [
                (80, Listener::Other),
                (8081, Listener::Metrics),
                (9000, Listener::Guarded),
            ]
            .into(),
        };
        expect!["open there: 8081 (metrics), 9000 (wants credentials), 80"]
            .assert_eq(&open.describe());
        let none = OpenPort { tried: 16, ..OpenPort::default() };
        expect!["none of 16 other ports is open there"].assert_eq(&none.describe());
    }
}
