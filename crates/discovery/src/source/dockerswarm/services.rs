//! `role: services`: a target for each virtual IP and published port (Prometheus
//! `discovery/moby/services.go`).

use swarmscout_model::LabelsWriter;
use swarmscout_model::labels::ADDRESS;

use super::{Found, Options, SOURCE, meta};
use crate::engine::{Lists, Network, Service, VirtualIp};
use crate::source::moby::{self, AddressWriter, ById};
use crate::source::partition::Partition;

pub(super) fn find(lists: &Lists, options: Options, found: &mut Found<'_>) {
    let mut writer = LabelsWriter::new();
    let mut address = AddressWriter::default();
    let networks = moby::networks(meta::PREFIX, &lists.networks, &mut found.skipped, &mut writer);
    let by_id: ById<&Network> =
        lists.networks.iter().map(|network| (network.id.clone(), &**network)).collect();
    for service in &lists.services {
        found.skipped.collisions("service", &service.id, &service.labels);
        let mut targets = Partition::default();
        for ip in virtual_ips(service, options, &by_id) {
            let network = networks.get(&ip.network);
            let Some(ip) = ip.address else {
                // Every service on the host's network has one, and Prometheus gives up all
                // services for it.
                let detail = format!("on network {}", ip.network);
                let reason = "virtual IP without address";
                found.skipped.part("service", &service.id, reason, detail);
                continue;
            };
            let tcp = service.ports.iter().filter(|port| &*port.protocol == "tcp");
            let mut published = tcp.peekable();
            if published.peek().is_none() {
                writer.push(ADDRESS, address.ip(ip, options.port));
                network.inspect(|network| writer.extend(network));
                targets.push(&service.id, writer.build());
            }
            for port in published {
                writer.push(ADDRESS, address.ip(ip, options.overlay_port(port)));
                network.inspect(|network| writer.extend(network));
                writer.push("__meta_dockerswarm_service_endpoint_port_name", &port.name);
                writer.push("__meta_dockerswarm_service_endpoint_port_publish_mode", &port.mode);
                targets.push(&service.id, writer.build());
            }
        }
        let labels = meta::service(service, true, &mut writer);
        let source = format!("{SOURCE}/{}", service.id);
        targets.groups(&source, &labels, &mut found.groups);
    }
}

/// The virtual IPs that give targets: all, or the one of the first network by name. The network
/// of published ports comes last: no container can be reached by it.
fn virtual_ips<'a>(
    service: &'a Service,
    options: Options,
    networks: &ById<&Network>,
) -> &'a [VirtualIp] {
    if !options.match_first_network {
        return &service.virtual_ips;
    }
    let all = &service.virtual_ips;
    let with_address = (0..all.len()).filter(|at| all[*at].address.is_some());
    let first = with_address.min_by_key(|at| {
        let id = &all[*at].network;
        match networks.get(id) {
            Some(network) => (network.ingress, &network.name, id),
            None => (true, id, id),
        }
    });
    first.map_or(&[], |at| &all[at..=at])
}
