//! The lists of Swarmscout, without a Prometheus.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::{get, until};

use crate::{PATIENCE, scout, sd};

const UNREACHABLE: &str = "__meta_swarmscout_unreachable";

/// Why the scraper does not reach them.
pub(crate) const MARKED: [(&str, &str); 2] = [
    ("awkward_apart.1", "the scraper shares no network with the task"),
    ("awkward_named-network.1", "the scraper is not in the network of the label"),
];

/// The source of the address.
const SOURCES: [(&str, &str); 6] = [
    ("awkward_apart.1", "first_network"),
    ("awkward_named-network.1", "network_label"),
    ("awkward_two-networks.1", "shared_network"),
    ("awkward_dnsrr.2", "shared_network"),
    ("awkward_host-network.worker-1", "node"),
    ("awkward_host-port.manager-2", "host_port"),
];

/// Objects that are refused, by reason. Each address that two services claim counts.
const REFUSED: [(&str, usize); 6] = [
    ("address of another target", 5),
    ("invalid label name", 1),
    ("invalid port", 1),
    ("several published TCP ports", 1),
    ("task on no network", 1),
    ("unknown key", 1),
];

fn by_instance(targets: Vec<(String, Value)>) -> Result<BTreeMap<String, Value>> {
    let targets = targets.into_iter().map(|(address, labels)| {
        let instance = labels["instance"].as_str().with_context(|| address.clone())?;
        Ok((instance.to_owned(), labels))
    });
    targets.collect()
}

pub(crate) fn unreachable(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let targets = by_instance(sd(cluster, "swarm")?)?;
    let marked: Vec<_> = targets
        .iter()
        .filter_map(|(instance, labels)| Some((instance.as_str(), labels[UNREACHABLE].as_str()?)))
        .collect();
    ensure!(marked == MARKED, "{marked:?}");
    for (instance, source) in SOURCES {
        let is = &targets[instance]["__meta_swarmscout_address_source"];
        ensure!(is == source, "{instance}: {is}, not {source}");
    }
    let metrics = get(&format!("{}/metrics", scout(cluster)))?;
    let series = "swarmscout_targets{job=\"swarm\",state=\"unreachable\"} 2.0";
    ensure!(metrics.contains(series), "{metrics}");

    // From elsewhere the networks of the scraper are those of its service, or the ones that are named.
    let host = cluster.socket("manager-1").display().to_string();
    let job = |name, options| {
        format!(
            "- job_name: {name}\n  swarmscout_sd_configs:\n  - {{host: 'unix://{host}', \
             unreachable: drop, {options}}}\n"
        )
    };
    let by_service = job("scraper", "scraper: monitoring_swarmscout");
    let by_network = job("networks", "networks: [front]");
    let config = format!("scrape_configs:\n{by_service}{by_network}");
    let server = Server::swarmscout(folder, "drop", &config)?;
    for name in ["scraper", "networks"] {
        until(name, PATIENCE, || {
            let left = by_instance(server.sd(name)?)?;
            let kept = targets.keys().filter(|instance| !left.contains_key(*instance));
            ensure!(kept.eq(MARKED.map(|(instance, _)| instance)), "{:?}", left.keys());
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn refused(cluster: &mut Cluster, _: &Path) -> Result<()> {
    let url = format!("{}/api/v1/sources?scrapePool=swarm", scout(cluster));
    let source = swarmscout_e2e::get_json(&url)?["data"]["sources"][0].take();
    let problems = source["problems"].as_array().context("no problems")?;
    let mut reasons = BTreeMap::<&str, usize>::new();
    for reason in problems.iter().filter_map(|problem| problem["reason"].as_str()) {
        *reasons.entry(reason).or_default() += 1;
    }
    ensure!(reasons == BTreeMap::from(REFUSED), "{problems:#?}");
    let metrics = get(&format!("{}/metrics", scout(cluster)))?;
    for (reason, _) in REFUSED {
        let counted = format!("reason=\"{reason}\"}}");
        let line = metrics.lines().find(|line| line.contains(&counted));
        let line = line.with_context(|| format!("{reason} is not counted"))?;
        ensure!(line.starts_with("swarmscout_objects_skipped_total{kind="), "{line}");
    }
    Ok(())
}

pub(crate) fn classes_and_probes(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let internal = by_instance(sd(cluster, "swarm?class=internal")?)?;
    ensure!(internal.keys().eq(["ours_internal.1"]), "{internal:?}");
    let probes = by_instance(sd(cluster, "swarm?probes=1&meta=0")?)?;
    let urls =
        ["https://a.example.com/", "https://b.example.com/", "https://shop.example.com/health"];
    ensure!(probes.keys().eq(urls), "{probes:?}");
    for (url, labels) in &probes {
        let service = if url == urls[2] { "ours_shop" } else { "ours_routed" };
        ensure!(labels["__param_target"] == *url && labels["service"] == service, "{labels}");
        ensure!(labels["__param_module"].is_string() == (url == urls[2]), "{labels}");
    }

    // A block of a class lists just those, and no probe.
    let host = cluster.socket("manager-1").display().to_string();
    let config = format!(
        "scrape_configs:\n- job_name: internal\n  swarmscout_sd_configs: \
         [{{host: 'unix://{host}', class: internal}}]\n"
    );
    let server = Server::swarmscout(folder, "internal", &config)?;
    until("the class", PATIENCE, || {
        let listed = by_instance(server.sd("internal")?)?;
        ensure!(listed.keys().eq(["ours_internal.1"]), "{listed:?}");
        Ok(())
    })?;
    ensure!(server.sd("internal?probes=1")?.is_empty(), "a class has no probes");
    Ok(())
}
