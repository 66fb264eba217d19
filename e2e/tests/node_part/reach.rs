//! Prometheus scrapes tasks of every kind through the node parts.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::PATIENCE;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::swarmscout;
use swarmscout_e2e::until;

use crate::{NODE, answer, ask, ask_as, ask_prometheus, curl, port};

/// Services, each with a target at its port 8080.
const SERVICES: [&str; 5] = [
    "web --replicas 2 --network front --constraint node.role==worker",
    "mover --network back --constraint node.hostname==worker-1",
    "agent --mode global -p mode=host,published=9100,target=8080",
    "host --network host --constraint node.hostname==worker-2",
    "hidden --network inner --constraint node.hostname==worker-2",
];

/// The targets that Prometheus has of each, and whether they are up.
const EXPECTED: [(&str, usize, &str); 5] = [
    ("web", 2, "up"),
    ("mover", 1, "up"),
    ("agent", 3, "up"),
    ("host", 1, "up"),
    ("hidden", 1, "down"),
];

pub(crate) fn deploy(cluster: &Cluster) -> Result<()> {
    for network in ["front", "back", "--internal inner"] {
        let words = "network create -d overlay".split_whitespace();
        cluster.docker(&words.chain(network.split_whitespace()).collect::<Vec<_>>())?;
    }
    for service in SERVICES {
        cluster.create_service(&format!("{service} -l prometheus.io/port=8080 demo:1"))?;
    }
    EXPECTED
        .iter()
        .try_for_each(|(name, count, _)| cluster.await_replicas(&format!("{name} {count}/{count}")))
}

/// The targets of Prometheus that are of the Swarm, by service.
fn targets() -> Result<BTreeMap<String, Vec<Value>>> {
    let answer = ask_prometheus("targets?state=active")?;
    let mut all = BTreeMap::<String, Vec<_>>::new();
    for target in answer["data"]["activeTargets"].as_array().context("no list")? {
        if target["scrapePool"] == "swarm" {
            let service = target["labels"]["service"].as_str().context("no service")?;
            all.entry(service.to_owned()).or_default().push(target.clone());
        }
    }
    Ok(all)
}

/// Where a target is: the node part's address, and the path there.
fn place(target: &Value) -> Result<(&str, &str)> {
    let label = |name: &str| target["discoveredLabels"][name].as_str().context("no label");
    Ok((label("__address__")?, label("__metrics_path__")?))
}

/// The node of a target of a service, and the path there.
pub(crate) fn somewhere(service: &str) -> Result<(String, String)> {
    let all = targets()?;
    let target = all.get(service).and_then(|targets| targets.first()).context("no target")?;
    let node = target["labels"]["node"].as_str().context("no node")?;
    Ok((node.to_owned(), place(target)?.1.to_owned()))
}

pub(crate) fn scraped(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let found = until("the targets", PATIENCE, || {
        let found = targets()?;
        ensure!(found.len() == EXPECTED.len(), "{found:#?}");
        for (service, count, health) in EXPECTED {
            let targets = found.get(service).context(service)?;
            ensure!(targets.len() == count, "{service}: {targets:#?}");
            for target in targets {
                let why = || {
                    let node = target["labels"]["node"].as_str().unwrap_or_default();
                    let found = place(target).map(|(_, path)| ask(cluster, node, path));
                    format!("{service} on {node}: {found:?}, {:?}", answer(cluster))
                };
                ensure!(target["health"] == health, "{}", why());
            }
        }
        Ok(found)
    })?;
    for target in found.values().flatten() {
        let (address, path) = place(target)?;
        let node = target["labels"]["node"].as_str().context("no node")?;
        let is_there = address.ends_with(&format!(":{}", port(node)));
        ensure!(is_there && path.starts_with("/reach/"), "{address} {path}");
    }
    let hidden = &found["hidden"][0];
    let error = hidden["lastError"].as_str().unwrap_or_default();
    ensure!(error.contains("403"), "{error}");
    let found = ask(cluster, "worker-2", place(hidden)?.1);
    ensure!(found == "403 internal", "{found}");
    println!("{}", answer(cluster)?.trim());
    // What the exporters say arrives, with the labels of the list.
    let query = "query?query=count%20by%20(service)%20(demo_requests_total%20%3D%3D%207)";
    let counted = ask_prometheus(query)?;
    let series = counted["data"]["result"].as_array().context("no list")?;
    for (service, count, health) in EXPECTED {
        let of_service = series.iter().find(|series| series["metric"]["service"] == service);
        let value = of_service.and_then(|series| series["value"][1].as_str());
        let expected = (health == "up").then(|| count.to_string());
        ensure!(value == expected.as_deref(), "{service}: {series:?}");
    }
    Ok(())
}

pub(crate) fn refused(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let found = targets()?;
    let (_, path) = place(&found["mover"][0])?;
    ensure!(ask(cluster, "worker-1", path) == "200", "{path}");
    ensure!(answer(cluster)?.contains("demo_requests_total 7"), "{}", answer(cluster)?);
    let other = |from: &str, to: &str| path.replace(from, to);
    for (path, expected) in [
        (other("/metrics", "/"), "403 target"),
        (other("/metrics", "/metrics/x"), "403 target"),
        (other("/metrics", "/%6detrics"), "403 target"),
        (other("/8080/", "/8081/"), "403 target"),
        (other("/http/", "/https/"), "403 target"),
        ("/reach/nosuchtask/http/8080/metrics".to_owned(), "403 task"),
        ("/reach/127.0.0.1/http/9465/metrics".to_owned(), "403"),
    ] {
        let found = ask(cluster, "worker-1", &path);
        ensure!(found.starts_with(expected), "{path}: {found}, not {expected}");
    }
    // The task is another node's.
    let found = ask(cluster, "worker-2", path);
    ensure!(found == "403 task", "{found}");
    let mut foreign = swarmscout();
    run(foreign.args(["tls", "init", "--hosts=elsewhere"]).current_dir(folder))?;
    let foreign = folder.join("tls").display().to_string();
    let foreign = format!("--cert {foreign}/client.pem --key {foreign}/client-key.pem");
    for words in ["", &foreign] {
        let found = ask_as(cluster, words, "worker-1", path);
        let is_refused = found.contains("curl: (") && !found.contains("curl: (60)");
        ensure!(is_refused, "{words}: {found}");
    }
    // The key of another node.
    for path in [path, "/metrics"] {
        let found = ask_as(cluster, NODE, "worker-1", path);
        let why = answer(cluster)?;
        ensure!(
            found == "403" && why.contains("does not have the right"),
            "{path}: {found}: {why}"
        );
    }
    let url = format!("https://{}:9466{path}", cluster.engine("worker-1").address);
    let plain = run(Command::new("curl").args(["-sS", &url.replace("https:", "http:")]));
    ensure!(plain.as_ref().map_or(true, |body| !body.contains("demo_")), "{plain:?}");
    // From an address that does not belong to a node.
    let manager = &cluster.engine("manager-1").address;
    for path in ["/api/v1/nodes/name:worker-1/tasks", "/sd/swarm", "/metrics", "/"] {
        let found = curl(cluster, NODE, &format!("https://{manager}:9465{path}"));
        ensure!(found == "403", "{path}: {found}");
    }
    Ok(())
}

pub(crate) fn moved(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let (_, before) = place(&targets()?["mover"][0]).map(|(a, p)| (a.to_owned(), p.to_owned()))?;
    let update = "service update -d -q --no-resolve-image --constraint-rm node.hostname==worker-1 \
                  --constraint-add node.hostname==worker-2 mover";
    cluster.docker(&update.split_whitespace().collect::<Vec<_>>())?;
    let address = format!("{}:{}", cluster.engine("worker-2").address, port("worker-2"));
    until("the task elsewhere", PATIENCE, || {
        let targets = targets()?.remove("mover").context("no target")?;
        let [target] = &targets[..] else { anyhow::bail!("{targets:#?}") };
        let (at, path) = place(target)?;
        ensure!(at == address && path != before && target["health"] == "up", "{target:#}");
        Ok(())
    })?;
    until("the task that ended is refused", PATIENCE, || {
        let found = ask(cluster, "worker-1", &before);
        ensure!(found == "403 task", "{found}");
        Ok(())
    })
}
