//! What a real Prometheus scrapes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::{get_json, until};

use crate::{PATIENCE, prometheus, sd};

/// `job instance` of all targets that answer. `{node}` stands for each node, `{claim}` for the
/// service that has port 8090 of the nodes.
const UP: &[&str] = &[
    "ours_web ours_web.1",
    "ours_web ours_web.2",
    "ours_web ours_web.3",
    "admin ours_web.1/admin",
    "admin ours_web.2/admin",
    "admin ours_web.3/admin",
    "ours_side ours_side.1",
    "ours_published ours_published.1",
    "ours_agent ours_agent.{node}",
    "containersolutions_web containersolutions_web.1",
    "containersolutions_web containersolutions_web.2",
    "containersolutions_side containersolutions_side.1",
    "front-end llacroix_web.1/front-end",
    "front-end llacroix_web.2/front-end",
    "back-end llacroix_web.1/back-end",
    "back-end llacroix_web.2/back-end",
    "side llacroix_side.1/side",
    "docker-flow-monitor_web docker-flow-monitor_web.1",
    "docker-flow-monitor_web docker-flow-monitor_web.2",
    "docker-flow-monitor_side docker-flow-monitor_side.1",
    "dots blog-dots_web.1",
    "dots blog-dots_web.2",
    "blog-dots_side blog-dots_side.1",
    "dashes blog-dashes_web.1",
    "dashes blog-dashes_web.2",
    "blog-dashes_side blog-dashes_side.1",
    "underscores blog-underscores_web.1",
    "underscores blog-underscores_web.2",
    "blog-underscores_side blog-underscores_side.1",
    "awkward_host-network awkward_host-network.{node}",
    "awkward_host-port awkward_host-port.{node}",
    "awkward_two-networks awkward_two-networks.1",
    "awkward_dnsrr awkward_dnsrr.1",
    "awkward_dnsrr awkward_dnsrr.2",
    "awkward_bad-port awkward_bad-port.1",
    "{claim} {claim}.{node}",
    // By presets.
    "swarmscout monitoring_swarmscout.1",
    "swarm-state monitoring_swarmscout.1",
    "dockerd worker-2",
];

/// The others that are listed.
const DOWN: [&str; 5] = [
    "awkward_apart awkward_apart.1",
    "awkward_named-network awkward_named-network.1",
    "awkward_closed-port awkward_closed-port.1",
    "awkward_wrong-path awkward_wrong-path.1",
    "awkward_web-page awkward_web-page.1",
];

/// Instance, interval, timeout, and the end of the URL.
const SETTINGS: [(&str, &str, &str, &str); 6] = [
    ("ours_web.1", "3s", "3s", ":8080/metrics"),
    ("ours_web.1/admin", "2s", "1s500ms", ":9200/internal/metrics?depth=2"),
    ("docker-flow-monitor_web.2", "2s", "1s", ":8080/metrics"),
    ("llacroix_web.1/back-end", "4s", "3s", ":9200/metrics?depth=2"),
    ("blog-dashes_web.1", "4s", "3s", ":8080/metrics"),
    ("awkward_host-port.worker-1", "4s", "3s", ":9100/metrics"),
];

/// The results of a query: labels and value.
fn query(server: &Server, query: &str) -> Result<Vec<(Value, String)>> {
    let answer = get_json(&format!("{}/api/v1/query?query={query}", server.url))?;
    let result = answer["data"]["result"].as_array().with_context(|| answer.to_string())?;
    let sample = |sample: &Value| {
        let value = sample["value"][1].as_str().context("no value")?;
        Ok((sample["metric"].clone(), value.to_owned()))
    };
    result.iter().map(sample).collect()
}

/// `job instance` of each target that is scraped, and whether it answers.
fn up(server: &Server) -> Result<BTreeMap<String, bool>> {
    let samples = query(server, "up")?.into_iter().map(|(labels, value)| {
        let label = |name: &str| labels[name].as_str().context("no such label");
        Ok((format!("{} {}", label("job")?, label("instance")?), value == "1"))
    });
    samples.collect()
}

/// Waits until these and no others are scraped.
fn await_up(server: &Server, expected: &BTreeMap<String, bool>) -> Result<()> {
    until("all targets", PATIENCE, || {
        let up = up(server)?;
        let unlike = |a: &BTreeMap<_, _>, b: &BTreeMap<_, _>| {
            let differs = |(key, value): &(&String, &bool)| b.get(*key) != Some(*value);
            let unlike = a.iter().filter(differs);
            unlike.map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>()
        };
        let (missing, added) = (unlike(expected, &up), unlike(&up, expected));
        ensure!(
            missing.is_empty() && added.is_empty(),
            "missing {missing:#?}, but scraped {added:#?}"
        );
        Ok(())
    })
}

/// The service of the two that has the ports that both claim: the first by ID.
pub(crate) fn claimant(cluster: &Cluster) -> Result<&'static str> {
    let id = |name| cluster.docker(&["service", "inspect", "-f", "{{.ID}}", name]);
    let [one, two] = ["awkward_claim-one", "awkward_claim-two"];
    Ok(if id(one)? < id(two)? { one } else { two })
}

fn expected(cluster: &Cluster) -> Result<BTreeMap<String, bool>> {
    let claimant = claimant(cluster)?;
    let mut all = BTreeMap::from(DOWN.map(|target| (target.to_owned(), false)));
    for target in UP {
        let target = target.replace("{claim}", claimant);
        all.extend(cluster.names().map(|node| (target.replace("{node}", node), true)));
    }
    Ok(all)
}

pub(crate) fn everything(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let server = prometheus(cluster, folder)?;
    let expected = expected(cluster)?;
    await_up(&server, &expected)?;
    println!("{} targets, each under its own job", expected.len());

    // The container's own figure, with the labels that its service asks for.
    let samples = query(&server, "demo_requests_total%7Bservice=%22ours_web%22%7D")?;
    ensure!(samples.len() == 6, "{samples:?}");
    for (labels, value) in samples {
        let is_ours = labels["team"] == "web" && labels["stack"] == "ours";
        let has_place = labels["node"].is_string() && labels["task_slot"].is_string();
        ensure!(value == "7" && is_ours && has_place, "{labels} {value}");
    }

    let answer = get_json(&format!("{}/api/v1/targets?state=active", server.url))?;
    let targets = answer["data"]["activeTargets"].as_array().context("no targets")?;
    for (instance, interval, timeout, end) in SETTINGS {
        let target = targets.iter().find(|target| target["labels"]["instance"] == instance);
        let target = target.with_context(|| format!("no {instance}"))?;
        let url = target["scrapeUrl"].as_str().unwrap_or_default();
        let (is, was) = (&target["scrapeInterval"], &target["scrapeTimeout"]);
        ensure!(is == interval && was == timeout && url.ends_with(end), "{target}");
    }
    Ok(())
}

/// Instance and task of each target of a service.
fn tasks(cluster: &Cluster, service: &str) -> Result<BTreeMap<String, String>> {
    let targets = sd(cluster, "swarm")?.into_iter();
    let targets = targets.filter(|(_, labels)| labels["service"] == service);
    let tasks = targets.map(|(_, labels)| {
        let label = |name: &str| labels[name].as_str().map(str::to_owned).context("no label");
        Ok((label("instance")?, label("__meta_dockerswarm_task_id")?))
    });
    tasks.collect()
}

/// All tasks are replaced, perhaps on other nodes. The series go on.
pub(crate) fn redeployed(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    const SERVICE: &str = "ours_web";
    let server = prometheus(cluster, folder)?;
    let expected = expected(cluster)?;
    await_up(&server, &expected)?;
    let before = tasks(cluster, SERVICE)?;
    cluster.update_service(SERVICE, || Ok(()))?;
    until("targets of the new tasks", PATIENCE, || {
        let now = tasks(cluster, SERVICE)?;
        let is_same = before.keys().eq(now.keys());
        let is_new = before.iter().all(|(instance, task)| now.get(instance) != Some(task));
        ensure!(is_same && is_new, "{now:?} after {before:?}");
        Ok(())
    })?;
    await_up(&server, &expected)?;
    let path = "api/v1/series?match[]=up%7Bservice=%22ours_web%22%7D";
    let series = get_json(&format!("{}/{path}", server.url))?;
    let series = series["data"].as_array().context("no series")?;
    let instances: BTreeSet<_> = series.iter().filter_map(|s| s["instance"].as_str()).collect();
    ensure!(instances.iter().eq(before.keys()), "{instances:?} after {before:?}");
    Ok(())
}

/// Each instance has the first five characters of its node's ID, and each node is scraped.
pub(crate) fn one_host_name(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let server = prometheus(cluster, folder)?;
    let names: Vec<_> = cluster.names().map(str::to_owned).collect();
    let swarm: Vec<_> = names.iter().filter(|name| !name.starts_with("pi-")).collect();
    swarm.iter().try_for_each(|name| cluster.rename(name, "pi"))?;
    let ids = cluster.docker(&["node", "ls", "-q"])?;
    let expected: BTreeMap<_, _> =
        ids.lines().map(|id| (format!("ours_agent ours_agent.pi-{}", &id[..5]), true)).collect();
    ensure!(expected.len() == swarm.len(), "{ids}");
    until("five nodes of one name", PATIENCE, || {
        let mut agents = up(&server)?;
        agents.retain(|target, _| target.starts_with("ours_agent "));
        ensure!(agents == expected, "{agents:?}, not {expected:?}");
        Ok(())
    })?;
    swarm.iter().try_for_each(|name| cluster.rename(name, name))?;
    until("their own names", PATIENCE, || {
        let up = up(&server)?;
        let all =
            swarm.iter().all(|name| up.contains_key(&format!("ours_agent ours_agent.{name}")));
        ensure!(all, "{up:?}");
        Ok(())
    })
}
