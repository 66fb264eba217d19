//! Labels for services that have metrics, and no target yet.
//!
//! On demand only: it requests `/metrics` on ports of services that asked for no scrape.

mod images;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use swarmscout_discovery::config::SwarmscoutOptions;
use swarmscout_docker::engine::{Mode, Node, Service, Task, host_of};
use swarmscout_net::Client;
use swarmscout_swarm::Snapshot;

use self::images::{ImageRow, Way, row_of};
use super::context::{Context, networks_of, running};
use super::reach::{Attempt, Listener, listening};
use super::targets::{each_target, mentioned_ports, service_of};

/// This number of services is tried.
const SERVICES: usize = 500;

/// This number of tasks of a service is tried.
const TASKS: usize = 2;

/// This number of ports of a task is tried.
const PORTS: usize = 8;

/// All of them may take so long together.
const TOGETHER: Duration = Duration::from_secs(20);

/// What could be scraped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestions {
    /// Services without a target and without labels that say how they are scraped.
    pub services: usize,
    /// What to do for some of them, by name.
    pub suggestions: Vec<Suggestion>,
}

/// What could be scraped of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// Its name.
    pub service: String,
    /// Its image.
    pub image: String,
    /// Where metrics were found.
    pub found: Vec<String>,
    /// The block for its stack file, in YAML; empty if no metrics were found.
    pub stack_file: String,
    /// The command that does the same at once; empty if no metrics were found.
    pub command: String,
    /// What else is to be done.
    pub advice: String,
}

/// A service, and the ports to try.
struct Silent<'a> {
    snapshot: &'a Snapshot,
    service: &'a Service,
    prefix: &'a str,
    row: Option<&'static ImageRow>,
    ports: Vec<u16>,
}

/// An address of a port of a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Door {
    host: String,
    port: u16,
    /// Whether the scraper is in the network, or the port is one of the node.
    is_shared: bool,
}

/// Tries services without a target.
pub(super) async fn suggest(context: Context<'_>, client: &Client) -> Suggestions {
    let default = SwarmscoutOptions::default();
    let silent = silent(context, &default);
    let own = context.own_networks();
    let mut attempts = Vec::new();
    let mut doors = BTreeMap::<String, (u16, bool)>::new();
    for one in silent.iter().take(SERVICES) {
        for task in running(one.snapshot, one.service).take(TASKS) {
            for port in &one.ports {
                for door in doors_of(one, task, *port, own.as_ref()) {
                    let paths = std::iter::once("/metrics").chain(one.row.map(|row| row.path));
                    for path in paths.collect::<BTreeSet<_>>() {
                        let attempt = Attempt {
                            subject: one.service.name.to_string(),
                            host: door.host.clone(),
                            port: door.port,
                            scheme: "http".to_owned(),
                            path: path.to_owned(),
                        };
                        // A port in host mode is also one of the node.
                        doors.entry(attempt.url()).or_insert_with(|| {
                            attempts.push(attempt);
                            (*port, door.is_shared)
                        });
                    }
                }
            }
        }
    }
    let mut found = BTreeMap::<String, Vec<Found>>::new();
    for (attempt, listener) in listening(client, attempts, TOGETHER).await {
        let url = attempt.url();
        let Some((port, is_shared)) = doors.get(&url).copied() else { continue };
        if listener > Listener::Other {
            let one = Found { port, path: attempt.path, url, is_shared, listener };
            found.entry(attempt.subject).or_default().push(one);
        }
    }
    let suggestions = silent.iter().filter_map(|one| {
        let found = found.remove(&*one.service.name).unwrap_or_default();
        suggestion(one, &found)
    });
    let mut suggestions: Vec<_> = suggestions.collect();
    // What can be scraped at once comes first.
    suggestions.sort_by_key(|suggestion| suggestion.found.is_empty());
    Suggestions { services: silent.len(), suggestions }
}

/// Metrics of a service.
#[derive(Clone, Debug)]
struct Found {
    /// Of the container.
    port: u16,
    path: String,
    url: String,
    is_shared: bool,
    listener: Listener,
}

/// The services without a target and without labels that say how they are scraped, by name.
fn silent<'a>(context: Context<'a>, default: &'a SwarmscoutOptions) -> Vec<Silent<'a>> {
    let mut scraped = BTreeSet::new();
    each_target(context.jobs().iter().map(|job| &job.state.set), |_, group, target| {
        scraped.extend(service_of(group, target));
    });
    let mut options: Vec<_> = context.all_options().collect();
    if options.is_empty() {
        options.push(default);
    }
    let mut silent = Vec::new();
    for snapshot in context.snapshots() {
        for service in snapshot.services.objects() {
            let is_job = matches!(service.mode, Mode::ReplicatedJob | Mode::GlobalJob);
            let Some(task) = running(snapshot, service).next() else { continue };
            let says_nothing = |options: &&SwarmscoutOptions| {
                let settings = options.settings(service, &task.labels);
                settings.labels.is_empty() && !settings.is_scraped
            };
            if is_job || scraped.contains(&*service.name) || !options.iter().all(says_nothing) {
                continue;
            }
            let row = row_of(&service.image);
            let mut ports = mentioned_ports(service, Some(&*task.labels));
            let is_own = |row: &&ImageRow| !matches!(row.way, Way::Exporter(_));
            ports.extend(row.filter(is_own).map(|row| row.port));
            let mut seen = BTreeSet::new();
            ports.retain(|port| seen.insert(*port));
            ports.truncate(PORTS);
            let prefix = options.first().map_or("", |options| &options.label_prefix);
            silent.push(Silent { snapshot, service, prefix, row, ports });
        }
    }
    silent.sort_by(|a, b| a.service.name.cmp(&b.service.name));
    silent
}

/// Where a port of a task can be reached from here. `own`: the networks of this program.
fn doors_of(
    one: &Silent<'_>,
    task: &Task,
    port: u16,
    own: Option<&BTreeSet<Arc<str>>>,
) -> Vec<Door> {
    let node = one.snapshot.nodes.get("", &task.node);
    let node = node.and_then(|node| usable_address(node));
    let mut doors = Vec::new();
    for attachment in task.attachments.iter().filter(|one| !one.ingress) {
        if &*attachment.driver == "host" {
            doors.extend(node.iter().map(|node| Door {
                host: node.clone(),
                port,
                is_shared: true,
            }));
        }
        let is_shared = own.is_none_or(|own| own.contains(&attachment.network));
        if let Some(address) = attachment.addresses.first().filter(|_| is_shared) {
            doors.push(Door { host: in_url(*address), port, is_shared: true });
        }
    }
    let published = |ports: &[swarmscout_docker::engine::Port]| {
        let mut ports = ports.iter().filter(|published| &*published.protocol == "tcp");
        let found = ports.find(|published| published.target == u32::from(port))?;
        u16::try_from(found.published).ok().filter(|port| *port != 0)
    };
    let of_node = |port: Option<u16>, is_shared| {
        node.clone().zip(port).map(|(host, port)| Door { host, port, is_shared })
    };
    doors.extend(of_node(published(&task.host_ports), true));
    if own.is_none() || doors.is_empty() {
        // The routing mesh shows whether there are metrics, but reaches any of the tasks.
        doors.extend(of_node(published(&one.service.ports), false));
    }
    doors
}

fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The address of a node, or that at which other managers reach it.
fn usable_address(node: &Node) -> Option<String> {
    let parse = |text: &str| {
        let address: IpAddr = text.parse().ok()?;
        (!address.is_unspecified() && !address.is_loopback()).then(|| in_url(address))
    };
    let of_manager = || parse(&host_of(&node.manager.as_ref()?.address)?);
    parse(&node.address).or_else(of_manager)
}

fn suggestion(one: &Silent<'_>, found: &[Found]) -> Option<Suggestion> {
    let Silent { service, row, .. } = one;
    let mut suggestion = Suggestion {
        service: service.name.to_string(),
        image: service.image.split('@').next().unwrap_or_default().to_owned(),
        ..Suggestion::default()
    };
    if found.is_empty() {
        suggestion.advice = advice(row.as_ref()?, one.prefix);
        return Some(suggestion);
    }
    let labels = labels(one.prefix, found);
    let lines = labels.iter().map(|(key, value)| format!("    {key}: \"{value}\"\n"));
    suggestion.stack_file = format!("deploy:\n  labels:\n{}", lines.collect::<Vec<_>>().concat());
    let flags = labels.iter().map(|(key, value)| format!("--label-add '{key}={value}'"));
    let flags = flags.collect::<Vec<_>>().join(" ");
    suggestion.command = format!("docker service update {flags} {}", service.name);
    suggestion.found = found.iter().map(|found| found.url.clone()).collect();
    let networks = networks_of(one.snapshot, service);
    let networks: Vec<_> = networks.values().map(|name| &**name).collect();
    let mut advice = Vec::new();
    if found.iter().all(|found| found.listener == Listener::Guarded) {
        let prefix = one.prefix;
        advice.push(format!(
            "it wants credentials: also write {prefix}class, for the job of your Prometheus that \
             has them"
        ));
    }
    if !found.iter().any(|found| found.is_shared) {
        advice.push(match &networks[..] {
            [] => "it is in no overlay network: also attach it to one of the scraper".to_owned(),
            networks => {
                format!("the scraper must be in one of its networks: {}", networks.join(", "))
            }
        });
    }
    suggestion.advice = advice.join("; ");
    Some(suggestion)
}

/// The labels that declare what was found: the first port as the unnamed endpoint.
fn labels(prefix: &str, found: &[Found]) -> Vec<(String, String)> {
    let mut ports = BTreeMap::<u16, &str>::new();
    let mut order = Vec::new();
    for Found { port, path, .. } in found {
        if !ports.contains_key(port) {
            order.push(*port);
        }
        ports.entry(*port).or_insert(path);
    }
    let mut labels = Vec::new();
    for (place, port) in order.iter().enumerate() {
        let name = if place == 0 { String::new() } else { format!("p{port}.") };
        labels.push((format!("{prefix}{name}port"), port.to_string()));
        let (path, query) = ports[port].split_once('?').unwrap_or((ports[port], ""));
        if path != "/metrics" {
            labels.push((format!("{prefix}{name}path"), path.to_owned()));
        }
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            labels.push((format!("{prefix}{name}param.{key}"), value.to_owned()));
        }
    }
    labels
}

/// How an image gets metrics.
fn advice(row: &ImageRow, prefix: &str) -> String {
    let ImageRow { way, port, path, .. } = row;
    let place = if *path == "/metrics" { String::new() } else { format!(" and path {path}") };
    match way {
        Way::Exporter(image) => format!(
            "it has no metrics of its own: run {image} beside it, with {prefix}port: \"{port}\""
        ),
        Way::Setting(setting) => format!(
            "its metrics are off by default: {setting}; then write {prefix}port: \"{port}\"{place}"
        ),
        Way::Own => format!(
            "it has metrics at port {port}{place}, but did not answer from here: write \
             {prefix}port: \"{port}\", and let the scraper be in one of its networks"
        ),
    }
}

#[cfg(test)]
mod tests;
