//! Engines without a Swarm, as Compose uses them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::{Server, free_port, swarmscout};
use swarmscout_e2e::{get_json, until};

use crate::PATIENCE;

const NAMES: [&str; 2] = ["pi-1", "pi-2"];

/// Starts a container as Compose does.
fn run_service(
    cluster: &Cluster,
    engine: &str,
    service: &str,
    number: u8,
    options: &str,
) -> Result<()> {
    let name = format!("shop-{service}-{number}");
    let labels = [
        "com.docker.compose.project=shop".to_owned(),
        format!("com.docker.compose.service={service}"),
        format!("com.docker.compose.container-number={number}"),
        "prometheus.io/port=8080".to_owned(),
    ];
    let mut arguments = vec!["run", "-d", "--name", &name];
    for label in &labels {
        arguments.extend(["-l", label]);
    }
    arguments.extend(options.split_whitespace());
    arguments.push("demo:1");
    cluster.docker_by_socket(engine, &arguments).map(drop)
}

/// `node job instance reason` of all targets of a job, sorted; the reason why one is not reached.
fn listed(server: &Server, job: &str) -> Result<Vec<String>> {
    let targets = server.sd(job)?.into_iter().map(|(_, labels)| {
        let label = |name: &str| labels[name].as_str().unwrap_or("-").to_owned();
        let names = ["node", "job", "instance", "__meta_swarmscout_unreachable"];
        names.map(label).join(" ")
    });
    let mut targets: Vec<_> = targets.collect();
    targets.sort();
    Ok(targets)
}

fn source(server: &Server, number: usize) -> Result<Value> {
    let url = format!("{}/api/v1/sources?scrapePool=compose", server.url);
    Ok(get_json(&url)?["data"]["sources"][number].take())
}

pub(crate) fn union(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    for name in NAMES {
        cluster.add_alone(name, Vec::new())?;
        cluster.load_image(name)?;
        run_service(cluster, name, "web", 1, "-p 8080:8080")?;
        run_service(cluster, name, "web", 2, "-p 8081:8080")?;
    }
    run_service(cluster, "pi-2", "db", 1, "")?;
    let socket = cluster.socket("pi-1").display().to_string();
    let (remote, worker) = (cluster.url("pi-2"), cluster.url("worker-1"));
    let dead = format!("tcp://127.0.0.1:{}", free_port()?);
    let file = folder.join("engines.yml");
    fs::write(
        &file,
        format!(
            "scrape_configs:\n- job_name: compose\n  swarmscout_sd_configs:\n  - refresh_interval: 1s\n    \
             engines: [{{host: 'unix://{socket}'}}, {{host: '{remote}', node: second}}, {{host: '{dead}'}}, \
             {{host: '{worker}'}}]\n"
        ),
    )?;
    let mut command = swarmscout();
    command.arg(format!("--config.file={}", file.display())).arg("--sd.startup-timeout=1s");
    let server = Server::start(command, folder, "engines")?;
    let expected = [
        "pi-1 shop_web shop_web.1 -",
        "pi-1 shop_web shop_web.2 -",
        "second shop_db shop_db.1 the scraper shares no network with the task",
        "second shop_web shop_web.1 -",
        "second shop_web shop_web.2 -",
    ];
    let await_all = |server: &Server| {
        until("containers of both engines", PATIENCE, || {
            let targets = listed(server, "compose")?;
            let second = source(server, 1)?;
            ensure!(targets == expected, "{targets:#?}, the second engine: {second}");
            Ok(())
        })
    };
    await_all(&server)?;
    for (number, text) in [(2, "connection refused"), (3, "is a worker of a Swarm")] {
        until(text, PATIENCE, || {
            let source = source(&server, number)?;
            let error = source["lastError"].as_str().context("no error")?;
            ensure!(error.contains(text) && source["health"] != "up", "{source}");
            Ok(())
        })?;
    }

    // Scraped where their ports are published.
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: compose\n  \
         http_sd_configs: [{{url: '{}/sd/compose', refresh_interval: 1s}}]\n",
        server.url
    );
    let prometheus = Server::prometheus(folder, &config)?;
    let query =
        format!("{}/api/v1/query?query=sum(up%7Bnode=%22second%22%7D)by(job)", prometheus.url);
    until("samples", PATIENCE, || {
        let answer = get_json(&query)?;
        let result = answer["data"]["result"].as_array().context("no result")?;
        let value = |job: &str| {
            let of_job = result.iter().find(|sample| sample["metric"]["job"] == *job);
            of_job.and_then(|sample| sample["value"][1].as_str())
        };
        let (web, db) = (value("shop_web"), value("shop_db"));
        ensure!((web, db) == (Some("2"), Some("0")), "{answer}");
        Ok(())
    })?;
    drop(prometheus);

    // One that ends without notice keeps its targets.
    cluster.kill("pi-2")?;
    until("an error of the second engine", PATIENCE, || {
        let source = source(&server, 1)?;
        ensure!(source["health"] == "down", "{source}");
        Ok(())
    })?;
    await_all(&server)?;
    drop(server);

    // Without a file, in a folder that has none.
    let empty = folder.join("empty");
    fs::create_dir(&empty)?;
    let mut command = swarmscout();
    command.current_dir(&empty).env("DOCKER_HOST", format!("unix://{socket}"));
    let server = Server::start(command, folder, "no-file")?;
    until("the job swarm", PATIENCE, || {
        let targets = listed(&server, "swarm")?;
        ensure!(targets == expected[..2], "{targets:#?}");
        Ok(())
    })
}
