//! Filters that are applied here, against the Engine's own.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::{get, get_json, until};

use crate::{How, PATIENCE, agents, job, start};

/// Role, name and value of a filter, or of two.
const FILTERS: &[(&str, &[(&str, &str)])] = &[
    ("tasks", &[("desired-state", "running")]),
    ("tasks", &[("desired-state", "Shutdown")]),
    ("tasks", &[("service", "web")]),
    ("tasks", &[("service", "web"), ("service", "agent")]),
    ("tasks", &[("service", "web"), ("desired-state", "running")]),
    ("tasks", &[("node", "worker-1")]),
    ("tasks", &[("name", "web.1")]),
    ("tasks", &[("label", "tier=front")]),
    ("tasks", &[("label", "tier"), ("label", "team=a=b")]),
    ("tasks", &[("label", "tier=")]),
    ("tasks", &[("runtime", "container")]),
    ("services", &[("name", "we")]),
    ("services", &[("mode", "global")]),
    ("services", &[("mode", "global"), ("mode", "replicated")]),
    ("services", &[("label", "tier=front")]),
    ("nodes", &[("role", "Manager")]),
    ("nodes", &[("name", "manager")]),
    ("nodes", &[("node.label", "zone=b")]),
    ("nodes", &[("node.label", "zone")]),
    ("nodes", &[("membership", "accepted")]),
    ("nodes", &[("label", "none=such")]),
];

/// Filters that the Engine refuses, and our messages.
const REFUSED: &[(&str, (&str, &str), &str)] = &[
    ("tasks", ("service", "nope"), "service nope not found"),
    ("tasks", ("node", "nope"), "node nope not found"),
    ("tasks", ("node", "manager"), "node manager not found"),
    ("tasks", ("desired-state", "walking"), "invalid desired-state filter: 'walking'"),
    ("nodes", ("role", "boss"), "invalid role filter: 'boss'"),
    ("nodes", ("colour", "red"), "invalid filter 'colour'"),
];

pub(crate) fn as_the_engine(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    agents(cluster)?;
    cluster.create_service("web --replicas 3 -p 8081:8080 -l tier=front -l team=a=b demo:1")?;
    cluster.await_replicas("web 3/3")?;
    cluster.docker(&["node", "update", "--label-add", "zone=b", "worker-1"])?;
    let of_job = |i: usize, role: &str, filters: &[(&str, &str)]| {
        let filters =
            filters.iter().map(|(name, value)| format!("{{name: {name}, values: ['{value}']}}"));
        let filters = filters.collect::<Vec<_>>().join(", ");
        let more = format!("role: {role}, filters: [{filters}]");
        job(cluster, &format!("{role}-{i}"), "manager-1", How::Watch, &more)
    };
    let mut jobs: Vec<_> =
        FILTERS.iter().enumerate().map(|(i, (role, filters))| of_job(i, role, filters)).collect();
    for (i, (role, filter, _)) in REFUSED.iter().enumerate() {
        jobs.push(of_job(FILTERS.len() + i, role, &[*filter]));
    }
    jobs.push(of_job(FILTERS.len() + REFUSED.len(), "tasks", &[("node", "self")]));
    let server = start(folder, "filters", &jobs)?;
    for (i, (role, filters)) in FILTERS.iter().enumerate() {
        until(&format!("{role} {filters:?}"), PATIENCE, || {
            let label = format!("__meta_dockerswarm_{}_id", &role[..role.len() - 1]);
            let found = server.sd(&format!("{role}-{i}?raw=1"))?;
            let ours = found.iter().map(|(_, labels)| labels[&label].as_str().unwrap_or_default());
            let theirs = engine_ids(cluster, role, filters)?;
            let ours = sorted(ours.map(str::to_owned).collect());
            ensure!(ours == theirs, "ours: {ours:?}, the Engine's: {theirs:?}");
            println!("{role} {filters:?}: {}", ours.len());
            Ok(())
        })?;
    }
    for (i, (role, (name, value), text)) in REFUSED.iter().enumerate() {
        let job = format!("{role}-{}", FILTERS.len() + i);
        until(text, PATIENCE, || {
            let error = server.source(&job)?["lastError"].as_str().unwrap_or_default().to_owned();
            ensure!(error.contains(text), "{error}");
            Ok(())
        })?;
        let Err(refused) = get(&engine_url(cluster, role, &[(*name, *value)])) else {
            anyhow::bail!("the Engine takes {name}={value}");
        };
        println!("{role} {name}={value}: {text}; the Engine: {refused:#}");
    }
    // The Engine leaves this name to its command line.
    let of_self = format!("tasks-{}", FILTERS.len() + REFUSED.len());
    let node = cluster.docker(&["node", "inspect", "-f", "{{.ID}}", "manager-1"])?;
    until("tasks of the manager itself", PATIENCE, || {
        let found = server.sd(&format!("{of_self}?raw=1"))?;
        let here = |(_, labels): &(String, Value)| labels["__meta_dockerswarm_node_id"] == *node;
        ensure!(!found.is_empty() && found.iter().all(here), "{found:?}");
        Ok(())
    })?;
    cluster.docker(&["service", "rm", "web"])?;
    Ok(())
}

fn engine_url(cluster: &Cluster, role: &str, filters: &[(&str, &str)]) -> String {
    let mut terms = Map::new();
    for (name, value) in filters {
        let term = terms.entry(*name).or_insert_with(|| json!({}));
        term[value] = json!(true);
    }
    let terms = Value::Object(terms).to_string();
    let encoded = utf8_percent_encode(&terms, NON_ALPHANUMERIC);
    let url = cluster.url("manager-1").replace("tcp:", "http:");
    format!("{url}/{role}?filters={encoded}")
}

/// The IDs that the Engine lists, of those that make targets.
fn engine_ids(cluster: &Cluster, role: &str, filters: &[(&str, &str)]) -> Result<Vec<String>> {
    let list = get_json(&engine_url(cluster, role, filters))?;
    let mut ids = Vec::new();
    for object in list.as_array().context("no list")? {
        let id = object["ID"].as_str().context("no ID")?;
        // One for each address and port, as discovery makes targets.
        let addresses = match role {
            "nodes" => 1,
            "services" => object["Endpoint"]["VirtualIPs"].as_array().map_or(0, Vec::len),
            _ => {
                let of_network =
                    |network: &Value| network["Addresses"].as_array().map_or(0, Vec::len);
                let networks = object["NetworksAttachments"].as_array();
                let on_networks: usize = networks.into_iter().flatten().map(of_network).sum();
                let ports = object["Status"]["PortStatus"]["Ports"].as_array();
                on_networks + ports.map_or(0, Vec::len)
            }
        };
        ids.extend(std::iter::repeat_n(id.to_owned(), addresses));
    }
    Ok(sorted(ids))
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}
