//! Our targets against Prometheus' own, for the recorded answers of real Swarms: see
//! `../prometheus/README.md`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use swarmscout_discovery::Groups;
use swarmscout_discovery::config::{OverlayPort, Role};
use swarmscout_discovery::source::{docker, dockerswarm};

use crate::lists;

type Target = BTreeMap<String, String>;

/// A line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    fixture: String,
    lists: BTreeMap<String, String>,
    kind: String,
    config: Config,
    #[serde(default)]
    withheld: bool,
    error: Option<String>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    role: Option<String>,
    port: Option<u16>,
    host_networking_host: Option<String>,
    match_first_network: Option<bool>,
}

#[test]
fn label_for_label() {
    let table = include_str!("../prometheus/targets.jsonl");
    let mut compared = 0;
    for line in table.lines() {
        let entry: Entry = serde_json::from_str(line).unwrap();
        let mut ours = find(&entry);
        let what = format!("{} {} {:?}", entry.fixture, entry.kind, entry.config);
        if let Some(error) = &entry.error {
            // The one thing that Prometheus rejects and we do not.
            assert!(error.contains("invalid CIDR address: invalid Prefix"), "{what}: {error}");
            assert!(!ours.is_empty(), "{what}");
            continue;
        }
        let mut theirs = entry.targets;
        ours.sort();
        theirs.sort();
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{what}");
        }
        assert_eq!(ours.len(), theirs.len(), "{what}");
        compared += theirs.len();
        // The virtual IPs that Prometheus rejects make no difference.
        assert!(!entry.withheld || entry.config.role.as_deref() == Some("services"));
    }
    assert!(compared > 300, "only {compared} targets were compared");
}

fn find(entry: &Entry) -> Vec<Target> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (lists, _) = lists::read(|list| {
        let file = entry.lists.get(list);
        file.map_or(b"[]".to_vec(), |file| std::fs::read(crates.join(file)).unwrap())
    });
    let config = &entry.config;
    let port = config.port.unwrap_or(80);
    let (groups, _) = if entry.kind == "docker" {
        let host = config.host_networking_host.clone();
        docker::find(
            &lists,
            &docker::Options {
                port,
                host_networking_host: host.unwrap_or_else(|| "localhost".to_owned()),
                match_first_network: config.match_first_network.unwrap_or(true),
            },
        )
    } else {
        let role = match config.role.as_deref() {
            Some("nodes") => Role::Nodes,
            Some("services") => Role::Services,
            _ => Role::Tasks,
        };
        dockerswarm::find(
            &lists,
            dockerswarm::Options {
                role,
                port,
                match_first_network: false,
                overlay_port: OverlayPort::Published,
            },
        )
    };
    targets(&groups)
}

/// All targets with all labels that Prometheus knows.
fn targets(groups: &Groups) -> Vec<Target> {
    let own = |name: &str| name.starts_with("__meta_swarmscout_");
    groups
        .iter()
        .flat_map(|group| {
            group.targets.iter().map(|target| {
                let labels = group.labels.iter().chain(target);
                let labels = labels.filter(|(name, _)| !own(name));
                labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
            })
        })
        .collect()
}
