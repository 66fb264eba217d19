//! `docker_sd_configs`: the containers of one Docker Engine (Prometheus `discovery/moby/docker.go`,
//! with the image labels that came after v3.14).

mod config;
mod keys;

use std::sync::Arc;

use swarmscout_docker::engine::{Container, ContainerPort, Endpoint, Hosts, List, Lists, Query};
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Budget, Charge, Labels, LabelsWriter};
use swarmscout_refresh::problems::shown;

pub use self::config::DockerConfig;
pub use self::keys::DockerSdKeys;
use crate::config::BuildContext;
use crate::limits::{Excess, LONGEST_ENGINE_LABEL, Meter};
use crate::source::moby::{self, AddressWriter, ById, Skipped};
use crate::source::partition::{GroupDiff, Partition};
use crate::{BoxFuture, Discoverer, Error, Groups, Problem, RefreshScope, Refreshed};

/// The source key that Prometheus gives to all targets of an Engine.
const SOURCE: &str = "Docker";

const PREFIX: &str = "__meta_docker_";

/// One of `docker_sd_configs`.
#[derive(Debug)]
pub struct Docker {
    hosts: Hosts,
    query: Query,
    options: Options,
    what: String,
    /// The memory of the last groups.
    held: Charge,
    budget: Budget,
}

/// The options that decide which targets are made of the lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Port of targets without one of their own.
    pub port: u16,
    /// Address of containers on the host's network.
    pub host_networking_host: String,
    /// Only the first network of a container by name gives targets.
    pub match_first_network: bool,
}

impl Docker {
    /// Fails if the host or its TLS options cannot be used.
    pub fn new(config: &DockerConfig, context: &BuildContext) -> Result<Self, Error> {
        let hosts = Hosts::new(&config.engine, &context.refresh)?;
        let query = Query::new(List::Containers, &[List::Networks], &config.engine.filters);
        let options = Options {
            port: config.engine.port,
            host_networking_host: config.host_networking_host.clone(),
            match_first_network: config.match_first_network,
        };
        let (what, budget) = (config.engine.describe(), context.refresh.budget.clone());
        Ok(Self { hosts, query, options, what, held: budget.nothing(), budget })
    }
}

impl Discoverer for Docker {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(async {
            let listed = self.hosts.list(&self.query).await?;
            let mut meter = Meter::new(&self.budget, LONGEST_ENGINE_LABEL);
            let found = find_within(&listed.value.lists, &self.options, &mut meter);
            let (groups, mut problems) =
                found.map_err(|excess| Error::Excess { what: self.what.clone(), excess })?;
            self.held = meter.finish();
            problems.extend(listed.problems);
            Ok(Refreshed { value: groups, as_of: listed.as_of, problems })
        })
    }
}

/// The groups of one listing, in an order that does not depend on that of the lists. Empty if a
/// source may not have that many.
pub fn find(lists: &Lists, options: &Options) -> (Groups, Vec<Problem>) {
    let mut meter = Meter::unlimited(LONGEST_ENGINE_LABEL);
    find_within(lists, options, &mut meter).unwrap_or_default()
}

fn find_within(
    lists: &Lists,
    options: &Options,
    meter: &mut Meter,
) -> Result<(Groups, Vec<Problem>), Excess> {
    let mut writer = LabelsWriter::new();
    let mut address = AddressWriter::default();
    let mut skipped = Skipped::default();
    let networks = lists.networks.iter().map(|network| {
        (Arc::clone(&network.id), moby::network(PREFIX, network, &mut skipped, &mut writer))
    });
    let networks: ById<Labels> = networks.collect();
    let by_id: ById<&Container> =
        lists.containers.iter().map(|container| (container.id.clone(), &**container)).collect();
    let mut targets = Partition::default();
    for container in &lists.containers {
        let Some(name) = &container.name else { continue };
        skipped.collisions("container", &container.id, &container.labels);
        let known = container_labels(container, name, &mut writer);
        for endpoint in endpoints(container, &by_id, options) {
            let network = networks.get(&endpoint.network);
            let ip = endpoint.address.map(|ip| ip.to_string()).unwrap_or_default();
            let mut target = |address: &str, port: Option<&ContainerPort>| {
                writer.push(ADDRESS, address);
                writer.extend(&known);
                if let Some(network) = network {
                    writer.extend(network);
                }
                writer.push("__meta_docker_network_ip", &ip);
                if let Some(port) = port {
                    write_port(port, &mut writer);
                }
                let labels = writer.build();
                let counted =
                    meter.target(&labels, || format!("container {}", shown(&container.id)));
                if skipped.fits(counted, "container", &container.id)? {
                    targets.push(&container.id, labels);
                }
                Ok::<_, Excess>(())
            };
            let mut ports =
                container.ports.iter().filter(|port| &*port.protocol == "tcp").peekable();
            if ports.peek().is_none() {
                // A container on the host's network has no ports, so it is always here.
                if &*container.network_mode == "host" {
                    target(&options.host_networking_host, None)?;
                } else {
                    target(address.host(&ip, options.port), None)?;
                }
            }
            for port in ports {
                target(address.host(&ip, port.private), Some(port))?;
            }
        }
    }
    let mut diff = GroupDiff::default();
    targets.groups(SOURCE, &Labels::empty(), &mut diff, meter)?;
    Ok((diff.into_groups(), skipped.into_problems().collect()))
}

fn container_labels(container: &Container, name: &str, writer: &mut LabelsWriter) -> Labels {
    writer.push("__meta_docker_container_id", &container.id);
    writer.push("__meta_docker_container_image", &container.image);
    writer.push("__meta_docker_container_image_id", &container.image_id);
    container.labels.write("__meta_docker_container_label_", writer);
    writer.push("__meta_docker_container_name", name);
    writer.push("__meta_docker_container_network_mode", &container.network_mode);
    writer.build()
}

fn write_port(port: &ContainerPort, writer: &mut LabelsWriter) {
    writer.push("__meta_docker_port_private", &port.private.to_string());
    if port.public > 0 {
        writer.push("__meta_docker_port_public", &port.public.to_string());
        let ip = port.ip.map(|ip| ip.to_string()).unwrap_or_default();
        writer.push("__meta_docker_port_public_ip", &ip);
    }
}

/// The networks that give targets, by name: all or the first of the container's own, or of the one
/// whose network it shares.
fn endpoints<'a>(
    container: &'a Container,
    by_id: &ById<&'a Container>,
    options: &Options,
) -> impl Iterator<Item = &'a Endpoint> {
    let mut owner = container;
    // A chain is not longer than the list. Two containers that share each other's network have
    // none.
    for _ in 0..by_id.len() {
        if !owner.networks.is_empty() {
            break;
        }
        let Some(id) = owner.network_mode.strip_prefix("container:") else { break };
        let Some(next) = by_id.get(id) else { break };
        owner = next;
    }
    let most = if options.match_first_network { 1 } else { usize::MAX };
    owner.networks.iter().filter_map(|(_, endpoint)| endpoint.as_ref()).take(most)
}
