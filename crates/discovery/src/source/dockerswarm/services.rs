//! `role: services`: a target for each virtual IP and published port (Prometheus
//! `discovery/moby/services.go`).

use swarmscout_docker::engine::{Service, VirtualIp};
use swarmscout_model::TargetGroup;
use swarmscout_model::labels::ADDRESS;
use swarmscout_refresh::problems::shown;
use swarmscout_swarm::{Bucket, Snapshot};

use super::finder::{Buffers, Context};
use super::group_cache::BucketResult;
use super::{Options, SOURCE, meta};
use crate::limits::{Excess, Meter};
use crate::source::moby::Skipped;

/// Makes one group for each service of a bucket.
pub(super) fn find(
    bucket: &Bucket<Service>,
    context: Context<'_>,
    buffers: &mut Buffers,
    found: &mut BucketResult<()>,
    meter: &mut Meter,
) -> Result<(), Excess> {
    let Context { snapshot, shared, options, selection } = context;
    let Buffers { writer, address } = buffers;
    for service in bucket.objects().filter(|service| selection.service(service)) {
        found.skipped.collisions("service", &service.id, &service.labels);
        let of = || format!("service {}", shown(&service.id));
        let mut targets = Vec::new();
        let mut keep = |target, meter: &mut Meter, skipped: &mut Skipped| {
            if skipped.fits(meter.target(&target, of), "service", &service.id)? {
                targets.push(target);
            }
            Ok::<_, Excess>(())
        };
        for ip in virtual_ips(service, options, snapshot) {
            let network = shared.network(&ip.network);
            let Some(ip) = ip.address else {
                // Every service on the host's network has one. Prometheus fails the whole refresh
                // for it.
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
                keep(writer.build(), meter, &mut found.skipped)?;
            }
            for port in published {
                writer.push(ADDRESS, address.ip(ip, options.overlay_port(port)));
                network.inspect(|network| writer.extend(network));
                writer.push("__meta_dockerswarm_service_endpoint_port_name", &port.name);
                writer.push("__meta_dockerswarm_service_endpoint_port_publish_mode", &port.mode);
                keep(writer.build(), meter, &mut found.skipped)?;
            }
        }
        let source = format!("{SOURCE}/{}", service.id);
        let labels = meta::service(service, true, writer);
        let counted = meter.group(source.len(), targets.len(), &labels, of);
        if found.skipped.fits(counted, "service", &service.id)? {
            found.groups.push(TargetGroup { source: source.into(), targets, labels });
        }
    }
    Ok(())
}

/// The virtual IPs that make targets: all, or that of the first network by name. The network of
/// published ports comes last: no container can be reached through it.
fn virtual_ips<'a>(service: &'a Service, options: Options, snapshot: &Snapshot) -> &'a [VirtualIp] {
    if !options.match_first_network {
        return &service.virtual_ips;
    }
    let all = &service.virtual_ips;
    let with_address = (0..all.len()).filter(|at| all[*at].address.is_some());
    let first = with_address.min_by_key(|at| {
        let id = &all[*at].network;
        match snapshot.networks.get("", id) {
            Some(network) => (network.ingress, &network.name, id),
            None => (true, id, id),
        }
    });
    first.map_or(&[], |at| &all[at..=at])
}
