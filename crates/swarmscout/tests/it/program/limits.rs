//! Answers that would take far more memory than they have bytes, and `--limits.memory`.

use bytes::Bytes;
use swarmscout_simulator::{Listen, Response, Server};

use super::harness::{Folder, wait_for};

/// The bytes of one row.
const ROW: usize = 50_000_000;

/// What a master answers that has one node, where one of its texts is that long.
fn info(place: &str) -> Bytes {
    // An escaped character cannot be borrowed from the answer.
    let long = |prefix: &str| format!("{prefix}\\u0041{}", "a".repeat(ROW));
    let text = |here: &str, otherwise: &str| {
        if place == here { long(otherwise) } else { otherwise.to_owned() }
    };
    let rows = [
        ("Strategy".to_owned(), text("strategy", "spread")),
        ("Nodes".to_owned(), "1".to_owned()),
        (text("name", " node-1"), text("address", "10.0.0.1:2375")),
        ("  └ Status".to_owned(), text("status", "Healthy")),
        ("  └ Labels".to_owned(), text("labels", "zone=a")),
    ];
    let rows: Vec<_> = rows.iter().map(|(key, value)| format!("[\"{key}\",\"{value}\"]")).collect();
    format!("{{\"SystemStatus\":[{}]}}", rows.join(",")).into()
}

#[test]
fn a_long_row_of_a_classic_master_is_refused_before_it_is_copied() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    for (place, reason) in [
        ("strategy", "a row about the master has 500000"),
        ("name", "exceeds --limits.memory=100MiB"),
        ("address", "exceeds --limits.memory=100MiB"),
        ("status", "exceeds --limits.memory=100MiB"),
        ("labels", "exceeds --limits.memory=100MiB"),
    ] {
        let answer = info(place);
        let server = Server::start(Listen::Tcp, move |_| Response::json(answer.clone()));
        let server = server.expect("a port is free");
        let folder = Folder::new();
        let yaml = format!(
            "scrape_configs:\n- job_name: classic\n  swarm_sd_configs: [{{masters: ['{}'], \
             refresh_interval: 1m}}]\n",
            server.url()
        );
        folder.write("prometheus.yml", &yaml);
        let mut program = folder.start(&["--limits.memory=100MB"]);
        wait_for(program.address(), "/api/v1/sources", reason);
        // The answer itself, once or twice, and what the program has anyway.
        let memory = program.peak();
        assert!(memory < 180, "{place}: {memory} MiB");
    }
}
