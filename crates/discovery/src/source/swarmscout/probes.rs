//! What services want to be probed by the blackbox exporter.

use http::Uri;
use swarmscout_docker::engine::{LabelMap, Service};
use swarmscout_model::TargetGroup;
use swarmscout_model::labels::{ADDRESS, INSTANCE};
use swarmscout_model::target_list::{LIST, PROBES};
use swarmscout_refresh::problems::shown;
use swarmscout_swarm::Bucket;

use super::options::Options;
use super::settings;
use super::slots::Slots;
use super::targets::{Buffers, ENDPOINT, push_pace, service_labels};
use crate::limits::{Excess, Meter};
use crate::source::dockerswarm::group_cache::BucketResult;
use crate::source::moby::AddressWriter;

/// What the source keys of groups of probes begin with.
const GROUPS: &str = "Swarmscout;probes";
const PARAM_MODULE: &str = "__param_module";
const PARAM_TARGET: &str = "__param_target";

/// Makes a group of the services of a bucket that want to be probed, whether their tasks run or not.
/// Labels of containers are those of the newest of its tasks that has some of ours.
pub(super) fn find(
    bucket: &Bucket<Service>,
    slots: &Slots,
    options: &Options,
    buffers: &mut Buffers,
    found: &mut BucketResult<()>,
    meter: &mut Meter,
) -> Result<(), Excess> {
    let no_container = LabelMap::default();
    let mut targets = Vec::new();
    for service in bucket.objects().filter(|service| options.lists_probes_of(service)) {
        let container = slots.labels_of(&service.id, |labels| options.are_in(labels));
        let container = container.unwrap_or(&no_container);
        let declared = settings::declared(&options.rules, &service.labels, container);
        if declared.probes.is_empty() {
            continue;
        }
        let writer = &mut buffers.writer;
        let shared = service_labels(service, false, options, writer);
        for (probe, url) in declared
            .probes
            .iter()
            .flat_map(|probe| probe.urls.iter().map(move |url| (probe, &**url)))
        {
            let Some(host) = host_of(url, &mut buffers.address) else { continue };
            writer.extend(&shared);
            writer.push(ADDRESS, host);
            writer.push(ENDPOINT, probe.name);
            writer.push(PARAM_MODULE, probe.module.unwrap_or_default());
            writer.push(PARAM_TARGET, url);
            push_pace(probe.shared.interval, probe.shared.timeout, writer);
            writer.push(INSTANCE, url);
            for (name, value) in &probe.shared.labels {
                writer.push(name, value);
            }
            let target = writer.build();
            let counted = meter.target(&target, || format!("service {}", shown(&service.id)));
            if found.skipped.fits(counted, "service", &service.name)? {
                targets.push(target);
            }
        }
    }
    if targets.is_empty() {
        return Ok(());
    }
    buffers.writer.push(LIST, PROBES);
    let (source, labels) = (bucket.name(GROUPS), buffers.writer.build());
    meter.group(source.len(), targets.len(), &labels, String::new)?;
    found.groups.push(TargetGroup { source, targets, labels });
    Ok(())
}

/// Host and port of a URL, as an address. A rule replaces it by the address of the exporter.
fn host_of<'a>(url: &str, writer: &'a mut AddressWriter) -> Option<&'a str> {
    let url: Uri = url.parse().ok()?;
    let default = if url.scheme_str() == Some("https") { 443 } else { 80 };
    // An IPv6 address has its brackets.
    Some(writer.write(format_args!("{}:{}", url.host()?, url.port_u16().unwrap_or(default))))
}
