//! Generated answers of masters against recorded ones.

use std::collections::BTreeMap;

use serde_json::Value;
use swarmscout_simulator::classic::{Cluster, Node, RECORDED, Status};

fn recorded(version: &str, case: &str) -> serde_json::Result<Value> {
    let found = RECORDED.iter().find(|(v, c, _)| (*v, *c) == (version, case));
    let (.., body) = found.expect("it was recorded");
    serde_json::from_slice(body)
}

/// The nodes of the recorded cluster, one that never answered among them.
fn three_nodes(version: (u8, u8, u8)) -> Cluster {
    let cluster = Cluster::default();
    let memory = if version == (0, 1, 0) { 25_276_514_304 } else { 26_540_340_019 };
    // In 0.1.0 a CPU was a share of one.
    let cpu = if version == (0, 1, 0) { 10 } else { 1 };
    let labels = |own: &[(&str, &str)]| {
        let mut labels: BTreeMap<String, String> = [
            ("kernelversion", "6.18.44-fc-v595"),
            ("operatingsystem", "Debian GNU/Linux 12 (bookworm) (containerized)"),
            ("storagedriver", "overlay2"),
        ]
        .iter()
        .chain(own)
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
        let driver = if version < (1, 2, 0) { "<not supported>" } else { "" };
        if version < (1, 2, 6) {
            labels.insert("executiondriver".into(), driver.into());
        }
        labels
    };
    cluster.edit(|nodes| {
        let id = |id: &str| id.to_owned();
        *nodes = vec![
            Node {
                id: id("AM6U:EWHY:BI47:HREK:W5Y3:N5LX:2ACK:33ER:AK4A:3I3U:GLGL:LAKJ"),
                containers: (1, 0, 1),
                cpus: (cpu, 2),
                memory: (64 << 20, memory),
                labels: labels(&[
                    ("zone", "z1"),
                    ("note", "a,b=c d"),
                    ("storage", "ssd"),
                    ("com.example.rack-id", "r 1"),
                ]),
                ..Node::new("node-1", "10.77.1.11:2375")
            },
            Node {
                id: id("TXYK:O7WC:CJAT:Q4JR:IAYE:TKX7:UPHH:MYDQ:25EF:DJYO:TVDP:SPB6"),
                containers: (1, 0, 0),
                cpus: (0, 2),
                memory: (128 << 20, memory),
                labels: labels(&[
                    ("zone", "z2"),
                    ("city", "Zürich ✓"),
                    ("empty", ""),
                    ("list", "x, y=z, zone=fake"),
                ]),
                ..Node::new("node-2", "10.77.1.12:2375")
            },
            Node {
                id: id("UJ7R:2RIV:YCS6:ZER2:HC72:C5V2:YCC4:TCG6:DQZ6:OX6F:MOYF:RSJH"),
                containers: (0, 0, 2),
                cpus: (cpu, 2),
                memory: (0, memory),
                labels: labels(&[
                    ("zone", "z3"),
                    ("storage", "hdd"),
                    ("url", "http://h:1/?q=1&r=2"),
                ]),
                ..Node::new("node-3", "10.77.1.13:2375")
            },
            Node { status: Status::Pending, ..Node::new("node-9", "10.77.1.99:2375") },
        ];
    });
    cluster
}

#[test]
fn generated_rows_are_those_of_real_masters() {
    for (text, version) in [
        ("0.1.0", (0, 1, 0)),
        ("0.3.0", (0, 3, 0)),
        ("1.2.0", (1, 2, 0)),
        ("1.2.3", (1, 2, 3)),
        ("1.2.6", (1, 2, 6)),
    ] {
        let real = recorded(text, "pending-one").unwrap();
        let made: Value =
            serde_json::from_slice(&three_nodes(version).info(version, None)).unwrap();
        for field in ["SystemStatus", "DriverStatus", "Containers"] {
            assert_eq!(made[field], real[field], "{text}");
        }
    }
}
