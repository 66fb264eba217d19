//! docs/migration.md against real Prometheus: a job that moves as the page says, in either way,
//! leaves its targets as they were.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::proxy::Proxy;
use swarmscout_e2e::{get_json, until};

/// The configurations of a section, in its order.
fn configurations(heading: &str) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migration.md");
    let text = fs::read_to_string(path)?;
    let (_, section) = text.split_once(heading).with_context(|| heading.to_owned())?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```yaml\n").skip(1);
    Ok(blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect())
}

/// What a Prometheus scrapes: URL and labels of each target.
fn targets(prometheus: &Server) -> Result<BTreeSet<String>> {
    until("targets", Duration::from_secs(40), || {
        let data = get_json(&format!("{}/api/v1/targets", prometheus.url))?["data"].take();
        let active = data["activeTargets"].as_array().context("no active targets")?;
        ensure!(!active.is_empty(), "none");
        let view = |target: &Value| format!("{} {}", target["scrapeUrl"], target["labels"]);
        Ok(active.iter().map(view).collect())
    })
}

pub fn from_prometheus(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let engine = Proxy::before(&format!("{}:2375", cluster.engine("manager-1").address))?;
    let blocks = configurations("## From Prometheus' own discovery")?;
    let [before, ours @ ..] = &blocks[..] else { anyhow::bail!("no configuration") };
    ensure!(ours.len() == 4, "two ways, with two files each, not {}", ours.len());
    let here = |config: &str| config.replace("unix:///var/run/docker.sock", &engine.url());
    let start = |name: &str, config: &str| {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        Server::prometheus(&folder, config)
    };
    let before = targets(&start("before", &here(before))?)?;
    for (i, pair) in ours.chunks(2).enumerate() {
        let scout = Server::swarmscout(folder, &format!("scout-{i}"), &here(&pair[0]))?;
        // Prometheus asks at once, and then only once in its refresh interval.
        until("the first refresh", Duration::from_secs(20), || scout.sd("swarm-tasks"))?;
        let after = pair[1].replace("http://swarmscout:9465", &scout.url);
        let after = targets(&start(&format!("after-{i}"), &after)?)?;
        ensure!(after == before, "before: {before:#?}\nafter: {after:#?}");
    }
    println!("{} targets", before.len());
    Ok(())
}
