//! Every refresh goes over a real socket to a simulated master.

mod failover;
mod recorded;
mod seed;
mod target;
mod tls;

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::Expect;
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_simulator::classic::{Cluster, Master, Version};
use swarmscout_simulator::{Listen, Server};

use super::*;
use crate::RefreshScope;

const NEWEST: Version = (1, 2, 9);

fn classic(masters: &[&str]) -> Classic {
    classic_with(masters, HttpConfig::default())
}

fn classic_with(masters: &[&str], http: HttpConfig) -> Classic {
    let config = ClassicConfig {
        masters: masters.iter().map(|&master| master.to_owned()).collect(),
        refresh_interval: PromDuration::from_millis(1000),
        metrics_port: "8070".to_owned(),
        http,
    };
    let mut classic = Classic::new(&config, &BuildContext::new("Swarmscout/test")).unwrap();
    // A test must not depend on how busy the machine is.
    classic.deadlines.rule = |_, _| Duration::from_mins(1);
    classic.max_answer = 1 << 20;
    classic
}

fn master(cluster: &Cluster) -> Master {
    Master::start(Listen::Tcp, cluster, NEWEST).unwrap()
}

/// The groups of one refresh, or its error, as text. Prefixes that all names share are left out, and
/// `MASTER` stands for the address of the server, which differs in each run.
async fn refresh(classic: &mut Classic, server: &Server) -> String {
    let text = match classic.fetch(RefreshScope::Full).await {
        Ok(refreshed) => show(&refreshed),
        Err(error) => format!("error: {error}\n"),
    };
    let address = server.url().split_once("://").map_or("", |(_, address)| address);
    text.replace(address, "MASTER")
}

fn show(refreshed: &Refreshed<Groups>) -> String {
    let mut text = String::new();
    for group in &refreshed.value {
        let _ = writeln!(text, "{} {}", group.source, short(&group.labels));
        let mut targets: Vec<_> = group.targets.iter().map(short).collect();
        targets.sort();
        for target in targets {
            let _ = writeln!(text, "  {target}");
        }
    }
    for Problem { kind, object, reason, detail } in &refreshed.problems {
        let _ = writeln!(text, "problem: {kind} {object:?}: {reason}: {detail}");
    }
    text
}

fn short(labels: &Labels) -> String {
    let shorten = |name: &str| {
        let name = name.strip_prefix("__meta_swarm_").unwrap_or(name);
        name.strip_prefix("node_").unwrap_or(name).to_owned()
    };
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| format!("{}={value:?}", shorten(name))).collect();
    labels.join(" ")
}

/// One refresh from this cluster.
async fn check(cluster: &Cluster, version: Version, expected: Expect) {
    let master = Master::start(Listen::Tcp, cluster, version).unwrap();
    let mut classic = classic(&[master.server.url()]);
    expected.assert_eq(&refresh(&mut classic, &master.server).await);
}

/// The addresses of the nodes of one refresh, sorted.
async fn nodes(classic: &mut Classic) -> Result<Vec<String>, Error> {
    let refreshed = classic.fetch(RefreshScope::Full).await?;
    let nodes = refreshed.value.iter().filter(|group| group.source.starts_with("swarm_nodes"));
    let mut nodes: Vec<_> = nodes
        .flat_map(|group| &group.targets)
        .map(|target| target.get(ADDRESS).unwrap_or("none").to_owned())
        .collect();
    nodes.sort();
    Ok(nodes)
}
