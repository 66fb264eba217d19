//! Configs and secrets, and the form of the answer.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::exposition::Exposition;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::proxy::Proxy;
use swarmscout_e2e::{get, until};

use crate::compared::await_equal;
use crate::{PATIENCE, Scouts, metrics, remove};

/// What may not be seen, as it is and as the Engine hands it out.
const CONTENT: [&str; 2] = ["keep this to yourself", "a2VlcCB0aGlzIHRvIHlvdXJzZWxm"];

/// Lets a service use a config and a secret; others are not used.
fn deploy(cluster: &Cluster, folder: &Path) -> Result<()> {
    let file = folder.join("content");
    fs::write(&file, CONTENT[0])?;
    let file = file.display().to_string();
    for kind in ["config", "secret"] {
        for name in ["used", "unused"] {
            cluster.docker(&[kind, "create", &format!("{name}-{kind}"), &file])?;
        }
    }
    cluster.create_service("reader --config used-config --secret used-secret demo:1")?;
    cluster.await_replicas("reader 1/1")
}

fn undeploy(cluster: &Cluster) -> Result<()> {
    remove(cluster, &["reader"])?;
    for kind in ["config", "secret"] {
        // Tasks of a service that is gone may still use it.
        for name in ["used", "unused"] {
            until("the end of the tasks", PATIENCE, || {
                cluster.docker(&[kind, "rm", &format!("{name}-{kind}")])
            })?;
        }
    }
    Ok(())
}

pub(crate) fn listed(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    deploy(cluster, folder)?;
    let scouts = Scouts::start(cluster, folder)?;
    await_equal(cluster, &scouts)?;
    for kind in ["config", "secret"] {
        let docker = cluster.docker(&[kind, "ls", "--format", "{{.ID}} {{.Name}}"])?;
        let mut docker: Vec<_> = docker.lines().collect();
        docker.sort_unstable();
        scouts.await_all(kind, |metrics| {
            let family = format!("dockerswarm_{kind}_info");
            let infos = metrics.all(&family, &[]);
            let line = format!("{kind}_id");
            let mut ours: Vec<_> =
                infos.map(|info| format!("{} {}", info.label(&line), info.label(kind))).collect();
            ours.sort_unstable();
            ensure!(ours == docker, "Docker says {docker:?}, the metrics {ours:?}");
            for (name, services) in [("used", 1), ("unused", 0)] {
                let name = format!("{name}-{kind}");
                let family = format!("dockerswarm_{kind}_services");
                let used = metrics.value(&family, &[(kind, &*name)])?;
                ensure!(used == services, "{name}: {used}");
            }
            Ok(())
        })?;
    }
    for server in &scouts.0 {
        let text = get(&format!("{}/metrics/swarm", server.url))?;
        ensure!(CONTENT.iter().all(|content| !text.contains(content)), "{text}");
    }
    undeploy(cluster)
}

pub(crate) fn withheld(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    deploy(cluster, folder)?;
    let allowed = ["/info", "/nodes", "/services", "/tasks", "/networks", "/events"];
    let allowed = allowed.map(|path| format!("GET {path}")).into_iter();
    let allowed = allowed.chain(["HEAD /_ping".to_owned()]).collect();
    let engine = format!("{}:2375", cluster.engine("manager-1").address);
    let filter = Proxy::filter(&engine, allowed)?;
    let config = format!(
        "scrape_configs:\n- job_name: swarm\n  dockerswarm_sd_configs: \
         [{{host: '{}', role: tasks, refresh_interval: 1s}}]\n",
        filter.url()
    );
    let server = Server::swarmscout(folder, "withheld", &config)?;
    until("the lists", PATIENCE, || {
        let metrics = metrics(&server)?;
        for (list, up) in [
            ("nodes", 1),
            ("services", 1),
            ("tasks", 1),
            ("networks", 1),
            ("configs", 0),
            ("secrets", 0),
        ] {
            let is = metrics.value("dockerswarm_list_up", &[("list", list)])?;
            ensure!(is == up, "{list}: {is}");
        }
        ensure!(metrics.value("dockerswarm_up", &[])? == 1, "the Swarm is not up");
        for family in ["config_info", "secret_info"] {
            let family = format!("dockerswarm_{family}");
            ensure!(metrics.all(&family, &[]).next().is_none(), "{family} is there");
        }
        let reader = [("service", "reader")];
        ensure!(metrics.value("dockerswarm_service_running_tasks", &reader)? == 1, "no task");
        Ok(())
    })?;
    let source = server.source("swarm")?;
    let problems = source["problems"].as_array().is_none_or(Vec::is_empty);
    ensure!(source["health"] == "up" && problems && source["lastError"] == "", "{source}");
    let asked = |path: &str| filter.requests().iter().any(|request| request.ends_with(path));
    ensure!(asked("/configs") && asked("/secrets"), "{:?}", filter.requests());
    undeploy(cluster)
}

/// What comes and goes is there while `promtool` reads it.
pub(crate) fn valid(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    deploy(cluster, folder)?;
    cluster.create_service("exits --restart-max-attempts 1 --restart-delay 200ms demo:1 false")?;
    cluster.create_service("job --mode replicated-job -p 8090:8080 demo:1 true")?;
    let scouts = Scouts::start(cluster, folder)?;
    await_equal(cluster, &scouts)?;
    for server in &scouts.0 {
        let file = folder.join("metrics");
        let (plain, compressed) = until("the same answer twice", PATIENCE, || {
            let plain = get(&format!("{}/metrics/swarm", server.url))?;
            let compressed = get_compressed(server, folder)?;
            ensure!(plain == compressed, "{} bytes, {} bytes", plain.len(), compressed.len());
            Ok((plain, compressed))
        })?;
        ensure!(Exposition::parse(&plain)? == Exposition::parse(&compressed)?, "they differ");
        fs::write(&file, plain)?;
        let mut promtool = Command::new("promtool");
        let checked = promtool.args(["check", "metrics"]).stdin(File::open(&file)?).output()?;
        let complaints = String::from_utf8_lossy(&checked.stderr).into_owned();
        ensure!(checked.status.success() && complaints.is_empty(), "{complaints}");
    }
    remove(cluster, &["exits", "job"])?;
    undeploy(cluster)
}

/// The answer that a client gets which takes gzip, unpacked by gzip itself.
fn get_compressed(server: &Server, folder: &Path) -> Result<String> {
    let url = format!("{}/metrics/swarm", server.url);
    let mut answer = ureq::get(&url).header("Accept-Encoding", "gzip").call()?;
    let encoding = answer.headers().get("Content-Encoding").cloned();
    ensure!(encoding.is_some_and(|encoding| encoding == "gzip"), "not compressed");
    let file = folder.join("metrics.gz");
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().read_to_end(&mut bytes)?;
    fs::write(&file, bytes)?;
    let mut gzip = Command::new("gzip");
    let unpacked = gzip.arg("-dc").stdin(File::open(&file)?).stderr(Stdio::inherit()).output()?;
    ensure!(unpacked.status.success(), "gzip cannot unpack it");
    Ok(String::from_utf8(unpacked.stdout)?)
}
