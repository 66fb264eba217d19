//! Docker's own DNS, asked from where only containers are: in the network namespace of one, with its
//! `resolv.conf`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::{check_sd, known_to_2_42, swarmscout};
use swarmscout_e2e::until;

/// `tasks.web` has an address for each task, `web` the one virtual IP; a service without tasks has
/// none of either. Targets follow when tasks come and go.
pub fn tasks_of_a_service(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let config = folder.join("prometheus.yml");
    fs::write(
        &config,
        "scrape_configs:\n\
         - job_name: tasks\n  dns_sd_configs: [{names: [tasks.web], type: A, port: 8080}]\n\
         - job_name: service\n  dns_sd_configs: [{names: [web], type: a, port: 8080}]\n\
         - job_name: ipv6\n  dns_sd_configs: [{names: [tasks.web], type: AAAA, port: 8080}]\n",
    )?;
    let probe = ["--name", "probe", "--network", "front", "--constraint", "node.role==manager"];
    let create = ["service", "create", "-d", "-q", "--no-resolve-image"];
    cluster.docker(&[&create[..], &probe, &["demo:1"]].concat())?;
    let container = until("a container on the network", Duration::from_mins(1), || {
        let list = cluster.docker(&[
            "ps",
            "-q",
            "--filter",
            "label=com.docker.swarm.service.name=probe",
        ])?;
        ensure!(!list.is_empty(), "none yet");
        Ok(list)
    })?;
    let check = |mut command: Command, job: &str, more: &[&str]| -> Result<Vec<Value>> {
        command.args(["check", "service-discovery", "--timeout=5s"]).args(more);
        command.arg(&config).arg(job);
        let mut command = cluster.in_container("manager-1", &container, &command)?;
        check_sd(&mut command).map(known_to_2_42)
    };
    let both = |job: &str| -> Result<BTreeSet<String>> {
        let ours = check(swarmscout(), job, &["--format=json"])?;
        let theirs = check(Command::new("promtool"), job, &[])?;
        ensure!(ours == theirs, "{job}: promtool {theirs:#?}\nours {ours:#?}");
        let addresses = ours.iter().map(|labels| labels["__address__"].as_str());
        addresses.map(|address| Ok(address.context("no address")?.to_owned())).collect()
    };
    for replicas in [3, 60, 3] {
        cluster.docker(&["service", "scale", "-d", &format!("web={replicas}")])?;
        until("the tasks by DNS", Duration::from_mins(3), || {
            let expected = addresses(cluster)?;
            ensure!(expected.len() == replicas, "{} tasks run", expected.len());
            let found = both("tasks")?;
            ensure!(found == expected, "{found:?}, but the tasks have {expected:?}");
            Ok(())
        })?;
        println!("{replicas} tasks");
    }
    ensure!(both("service")?.len() == 1);
    ensure!(both("ipv6")?.is_empty());
    cluster.docker(&["service", "rm", "probe"])?;
    Ok(())
}

/// What the running tasks of `web` have on the network `front`, with the port.
fn addresses(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let running = ["service", "ps", "-q", "--filter", "desired-state=running", "web"];
    let ids = cluster.docker(&running)?;
    let format = "{{if eq .Status.State \"running\"}}{{range .NetworksAttachments}}\
                  {{if eq .Network.Spec.Name \"front\"}}{{index .Addresses 0}}{{end}}{{end}}{{end}}";
    let inspect = ["inspect", "--type", "task", "-f", format];
    let ids: Vec<&str> = ids.split_whitespace().collect();
    let addresses = cluster.docker(&[&inspect[..], &ids].concat())?;
    let ips = addresses.split_whitespace().filter_map(|address| address.split('/').next());
    Ok(ips.map(|ip| format!("{ip}:8080")).collect())
}
