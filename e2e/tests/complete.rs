//! `deploy/complete.yml` as the pages say, command by command, on a Swarm of a manager and two workers: `just complete`.
//!
//! The programs are those of Debian's packages, unpacked in the folder that `PACKAGES` names. `PROMETHEUS` names another one.
//! Grafana has no package: a stand-in serves a page of metrics, and has the environment and files that Grafana would have.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_e2e::cases::{self, Case};
use swarmscout_e2e::certificates::Secrets;
use swarmscout_e2e::cluster::{Cluster, Image};
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::swarmscout;
use swarmscout_e2e::queries::{BOARDS, Variables, queries};
use swarmscout_e2e::until;
use swarmscout_e2e::webhook::Webhook;

const CASES: &[(&str, Case)] = &[
    ("each form of ALERT_URL makes a configuration that amtool accepts", forms),
    ("three commands, and everything is scraped", three_commands),
    ("containers and nodes are measured", measured),
    ("alerts reach a webhook, and no token is in a log", alerts),
    ("a secret is Grafana's password", password),
    ("a second deploy has changed files", changed),
    ("without a shared network, the node parts fetch", reached),
    ("Compose on two hosts", compose),
];

/// An alert waits up to five minutes before it fires.
const PATIENCE: Duration = Duration::from_mins(10);

const ENGINES: [&str; 3] = ["manager-1", "worker-1", "worker-2"];

/// Image, program of a package, its path, a folder of its user.
const PROGRAMS: [(&str, &str, &str, &[&str]); 3] = [
    ("prometheus:test", "prometheus", "/bin/prometheus", &["/prometheus"]),
    ("alertmanager:test", "prometheus-alertmanager", "/bin/alertmanager", &["/alertmanager"]),
    ("blackbox:test", "prometheus-blackbox-exporter", "/bin/blackbox_exporter", &[]),
];

/// The variables that put these images in.
const IMAGES: [(&str, &str); 4] = [
    ("PROMETHEUS_IMAGE", "prometheus:test"),
    ("ALERTMANAGER_IMAGE", "alertmanager:test"),
    ("BLACKBOX_IMAGE", "blackbox:test"),
    ("GRAFANA_IMAGE", "grafana:test"),
];

/// What the image of Grafana runs: it shows the file of the password that it was given.
const GRAFANA: &str = "#!/bin/sh
cp \"$GF_SECURITY_ADMIN_PASSWORD__FILE\" /tmp/password
exec nc -ll -p 3000 -e /page.sh
";

/// Answers one request with metrics, whatever its path: httpd answers `/metrics` with a redirect or without a type.
const PAGE: &str = r#"#!/bin/sh
while read -r line && [ "${#line}" -gt 1 ]; do :; done
printf 'HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n\r\n'
printf '# TYPE stand_in gauge\nstand_in 1\n'
"#;

/// How many targets of each job answer.
const TARGETS: [(&str, usize); 8] = [
    ("alertmanager", 1),
    ("blackbox", 1),
    ("dockerd", 1),
    ("grafana", 1),
    ("prometheus", 1),
    ("swarm-state", 1),
    ("swarmscout", 1),
    ("swarmscout-node", 3),
];

fn main() -> ExitCode {
    cases::run(CASES, || {
        let packages = std::env::var_os("PACKAGES").context("PACKAGES names no folder")?;
        let packages = PathBuf::from(packages);
        let cluster = Cluster::up(1, 2)?;
        add_images(&cluster, &packages, &ENGINES)?;
        Ok(cluster)
    })
}

fn add_images(cluster: &Cluster, packages: &Path, engines: &[&str]) -> Result<()> {
    let bin = packages.join("usr/bin");
    // Debian's Alertmanager reads them, others have them inside.
    let [default, email] =
        ["default", "email"].map(|name| format!("/usr/share/prometheus/alertmanager/{name}.tmpl"));
    let read = |path: &str| fs::read_to_string(packages.join(path.trim_start_matches('/')));
    let texts = [read(&default)?, read(&email)?];
    let templates: [(&str, &str); 2] = [(&default, &texts[0]), (&email, &texts[1])];
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from);
    for (name, program, entrypoint, folders) in PROGRAMS {
        let is_read = name == "alertmanager:test";
        let files: &[_] = if is_read { &templates } else { &[] };
        let other = given("PROMETHEUS").filter(|_| name == "prometheus:test");
        let program = &other.unwrap_or_else(|| bin.join(program));
        cluster.add_image(engines, &Image { name, entrypoint, program, folders, files })?;
    }
    let grafana = [("/run.sh", GRAFANA), ("/page.sh", PAGE)];
    let (name, entrypoint, files) = ("grafana:test", "/run.sh", &grafana);
    cluster.add_image(engines, &Image { name, entrypoint, files, ..Image::default() })
}

/// Gives engines the image of the program.
fn add_swarmscout(cluster: &Cluster, engines: &[&str]) -> Result<()> {
    let program = fs::canonicalize(swarmscout().get_program())?;
    let (name, entrypoint) = ("swarmscout:latest", "/swarmscout");
    cluster.add_image(engines, &Image { name, entrypoint, program: &program, ..Image::default() })
}

/// The commands of the first block of a page that has this text.
fn commands(page: &str, text: &str) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let page = fs::read_to_string(path)?;
    let blocks = page.split("```console\n").skip(1);
    let mut blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
    let block = blocks.find(|block| block.contains(text)).with_context(|| text.to_owned())?;
    Ok(block.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect())
}

/// Runs a command of a page in the folder of the unpacked archive, on the manager.
fn shell(cluster: &Cluster, command: &str, variables: &[(&str, &str)]) -> Result<String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(archive(cluster));
    shell.env("DOCKER_HOST", cluster.url("manager-1")).envs(IMAGES).envs(variables.iter().copied());
    run(&mut shell)
}

fn archive(cluster: &Cluster) -> PathBuf {
    cluster.folder().join("archive")
}

fn copy_repository(cluster: &Cluster) -> Result<()> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    run(Command::new("cp").arg("-r").arg(deploy).arg(archive(cluster))).map(drop)
}

/// What a program in a container of a service of the stack prints.
fn exec(cluster: &Cluster, service: &str, command: &[&str]) -> Result<String> {
    let filter = format!("name=monitoring_{service}");
    let id = cluster.docker(&["ps", "-q", "--filter", &filter])?;
    ensure!(!id.is_empty() && !id.contains('\n'), "{service}: containers {id:?}");
    cluster.docker(&[&["exec", &id], command].concat())
}

/// An answer of Prometheus' API.
fn prometheus(cluster: &Cluster, path: &str) -> Result<Value> {
    let url = format!("http://127.0.0.1:9090/api/v1/{path}");
    let text = exec(cluster, "prometheus", &["wget", "-q", "-O", "-", &url])?;
    Ok(serde_json::from_str::<Value>(&text)?["data"].take())
}

/// Waits until as many targets of each job answer, and no target does not.
fn await_targets(cluster: &Cluster) -> Result<()> {
    await_targets_and(cluster, &[])
}

fn await_targets_and(cluster: &Cluster, more: &[(&str, usize)]) -> Result<()> {
    until("all targets", PATIENCE, || {
        let data = prometheus(cluster, "targets?state=active")?;
        let targets = data["activeTargets"].as_array().context("no targets")?;
        let mut up = BTreeMap::new();
        for target in targets {
            let job = target["labels"]["job"].as_str().context("no job")?;
            ensure!(target["health"] == "up", "{job} {}", target["lastError"]);
            *up.entry(job).or_default() += 1;
        }
        let all = TARGETS.iter().chain(more);
        let missing: Vec<_> = all.filter(|(job, n)| up.get(job) != Some(n)).collect();
        ensure!(missing.is_empty(), "{missing:?} is not in {up:?}");
        Ok(())
    })
}

/// Forms of `ALERT_URL`, and what their receivers have. None: it is refused.
const FORMS: [(&str, Option<&str>); 12] = [
    ("", Some("no receiver, set ALERT_URL")),
    ("https://hooks.slack.com/services/T0/B0/S3cr3t", Some("slack_configs")),
    ("slack+https://chat.example.org/hooks/S3cr3t", Some("slack_configs")),
    ("https://discord.com/api/webhooks/1/S3cr3t", Some("discord_configs")),
    ("telegram://1:S3cr3t@-1001", Some("chat_id: -1001")),
    ("https://ntfy.sh/S3cr3t", Some("/S3cr3t?template=alertmanager'")),
    ("ntfy://u:S3%27cr3t@ntfy.example.org/t?x=1", Some("t?x=1&template=alertmanager'")),
    ("https://example.org/S3cr3t", Some("name: webhook")),
    ("https://u:S3%40cr3t@example.org/", Some("password: 'S3@cr3t'")),
    ("telegram://1:S3cr3t@name", None),
    ("mailto:S3cr3t@example.org", None),
    ("S3cr3t", None),
];

fn forms(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let packages = PathBuf::from(std::env::var_os("PACKAGES").context("PACKAGES names no folder")?);
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let file = folder.join("alertmanager.yml");
    for (url, expected) in FORMS {
        let mut script = Command::new(cluster.folder().join("image/bin/busybox"));
        script.arg("sh").arg(deploy.join("stack/alertmanager.sh")).arg("--check");
        script.env("ALERT_URL", url).env("HEARTBEAT_URL", "https://example.org/heartbeat");
        script.env("INHIBIT", deploy.join("rules/alertmanager-inhibit.yml"));
        script.env("CONFIG_FILE", &file);
        match (run(&mut script), expected) {
            (Ok(text), Some(expected)) => ensure!(text.contains(expected), "{url}: {text}"),
            (Err(error), None) => {
                // The error has the command with its environment before what was printed.
                let error = error.to_string();
                let (_, printed) = error.split_once("exit status").context("no status")?;
                ensure!(printed.contains("ALERT_URL") && !printed.contains("S3cr3t"), "{printed}");
                continue;
            }
            (result, _) => anyhow::bail!("{url}: {result:?}"),
        }
        let amtool = packages.join("usr/bin/amtool");
        run(Command::new(amtool).arg("check-config").arg(&file)).with_context(|| url.to_owned())?;
    }
    Ok(())
}

fn three_commands(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    fs::create_dir_all(archive(cluster))?;
    fs::copy(swarmscout().get_program(), archive(cluster).join("swarmscout"))?;
    for command in commands("first-steps.md", "docker import")? {
        println!("$ {command}\n{}", shell(cluster, &command, &[])?);
    }
    let first = commands("first-steps.md", "docker stack deploy")?;
    let [_, deploy, show] = &first[..] else { anyhow::bail!("not three commands: {first:?}") };
    add_swarmscout(cluster, &ENGINES[1..])?;
    // From the repository, which may be newer than the program.
    copy_repository(cluster)?;
    println!("$ {deploy}\n{}", shell(cluster, deploy, &[])?);
    await_targets(cluster)?;
    let password = shell(cluster, show, &[])?;
    ensure!(password.len() == 20, "{password:?}");
    ensure!(exec(cluster, "grafana", &["cat", "/tmp/password"])? == password, "another password");
    let dashboards = exec(cluster, "grafana", &["ls", "/etc/grafana/dashboards"])?;
    ensure!(dashboards.lines().count() == 4, "{dashboards}");
    let nodes =
        prometheus(cluster, "query?query=count(count(node_memory_MemTotal_bytes)by(node))")?;
    ensure!(nodes["result"][0]["value"][1] == "3", "{nodes}");
    println!(
        "{}",
        cluster.docker(&["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"])?
    );
    Ok(())
}

/// Each query of the dashboards for figures of containers and nodes has an answer, and the alert for memory waits.
fn measured(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    cluster.create_service(
        "web --network monitoring --limit-memory 64m --limit-cpu 1 \
         -l prometheus.io/alert.memory=0.001 -l prometheus.io/team=shop demo:1",
    )?;
    let variables =
        Variables { cluster: "swarm", service: |_| "web", node: "manager-1", rate_interval: "1m" };
    let is_measured = |expression: &str| {
        [" node_", "(node_", "container_"].iter().any(|name| expression.contains(name))
    };
    let mut count = 0;
    for (board, _) in BOARDS {
        for query in queries(board, variables)? {
            if is_measured(&query.expression) {
                count += 1;
                until(&format!("{board}, {}", query.of), PATIENCE, || {
                    query.ask(|path| Ok(serde_json::json!({"data": prometheus(cluster, path)?})))
                })?;
            }
        }
    }
    println!("{count} queries");
    let query = "ALERTS%7Balertname%3D%22SwarmMemoryNearLimit%22%2Cservice%3D%22web%22%7D";
    until("the alert", PATIENCE, || {
        let alerts = prometheus(cluster, &format!("query?query={query}"))?;
        ensure!(alerts["result"][0]["metric"]["cluster"] == "swarm", "{alerts}");
        Ok(())
    })?;
    cluster.docker(&["service", "rm", "web"]).map(drop)
}

fn alerts(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    const TOKEN: &str = "S3cr3tT0ken";
    let bridge = cluster.engine("manager-1").address.rsplit_once('.').context("an address")?.0;
    let webhook = Webhook::start(&format!("{bridge}.1"))?;
    let url = |path: &str| format!("http://{}/{path}?token={TOKEN}", webhook.address());
    let (alert, heartbeat) = (url("alert"), url("heartbeat"));
    let deploy = commands("first-steps.md", "docker stack deploy")?.remove(1);
    shell(cluster, &deploy, &[("ALERT_URL", &alert), ("HEARTBEAT_URL", &heartbeat)])?;
    let gets = |path: &str, text: &str| {
        until(text, PATIENCE, || {
            let received = webhook.received();
            let is_there = received.iter().any(|request| {
                request.line == format!("POST /{path}?token={TOKEN}") && request.body.contains(text)
            });
            ensure!(is_there, "{received:#?}");
            Ok(())
        })
    };
    gets("heartbeat", "Watchdog")?;
    cluster.create_service("crash --restart-delay 1s demo:1 false")?;
    gets("alert", "SwarmServiceDown")?;
    cluster.docker(&["service", "rm", "crash"])?;
    gets("alert", "resolved")?;
    // A receiver that is gone is an error in the log, without credentials. Debian's Alertmanager prints the
    // rest of a webhook's URL; 0.26 and later do not.
    let lost = format!("http://user:{TOKEN}@127.0.0.1:1/alert");
    shell(cluster, &deploy, &[("ALERT_URL", &lost), ("HEARTBEAT_URL", &lost)])?;
    until("a failure in the log", PATIENCE, || {
        let arguments = ["service", "logs", "--raw", "monitoring_alertmanager"];
        let output = run(cluster_docker(cluster).args(arguments).arg("--no-trunc"))?;
        ensure!(output.contains("refused"), "{output}");
        ensure!(!output.contains(TOKEN), "a token is in the log: {output}");
        Ok(())
    })
}

/// The docker command with both outputs in one.
fn cluster_docker(cluster: &Cluster) -> Command {
    let mut command = Command::new("sh");
    command.env("DOCKER_HOST", cluster.url("manager-1"));
    command.args(["-c", "docker \"$@\" 2>&1", "docker"]);
    command
}

fn password(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    cluster.docker(&["stack", "rm", "monitoring"])?;
    until("the end of the stack", PATIENCE, || {
        let networks = cluster.docker(&["network", "ls", "-q", "--filter", "name=monitoring"])?;
        ensure!(networks.is_empty(), "{networks}");
        // Only when the last container is gone.
        cluster.docker(&["volume", "rm", "-f", "monitoring_grafana"])
    })?;
    for command in commands("complete.md", "docker secret create grafana_password")? {
        shell(cluster, &command, &[])?;
    }
    until("the password", PATIENCE, || {
        let password = exec(cluster, "grafana", &["cat", "/tmp/password"])?;
        ensure!(password == "a long password", "{password}");
        Ok(())
    })
}

fn changed(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    let file = archive(cluster).join("deploy/stack/prometheus.yml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text.replace("scrape_interval: 15s", "scrape_interval: 5s"))?;
    let deploy = commands("complete.md", "CONFIG=2")?.remove(0);
    shell(cluster, &deploy, &[])?;
    until("the new interval", PATIENCE, || {
        let config = prometheus(cluster, "status/config")?;
        let yaml = config["yaml"].as_str().context("no configuration")?;
        ensure!(yaml.contains("scrape_interval: 5s"), "{yaml}");
        Ok(())
    })?;
    await_targets(cluster)
}

/// With `deploy/reach.yml`: a service in a network of its own, where Prometheus is not.
fn reached(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    cluster.docker(&["network", "create", "-d", "overlay", "apart"])?;
    cluster
        .create_service("apart --mode global --network apart -l prometheus.io/port=8080 demo:1")?;
    let manager = cluster.engine("manager-1").address.clone();
    let commands = commands("complete.md", "deploy/reach.yml")?;
    let [init, _, deploy] = &commands[..] else {
        anyhow::bail!("not three commands: {commands:?}");
    };
    let init = init.replace("manager-1.example", &manager);
    let mut secrets = Secrets::default();
    secrets.make(cluster, &init.split(' ').skip(2).collect::<Vec<_>>())?;
    let variables = [
        ("CA", secrets.end("ca")?),
        ("SERVER", secrets.end("server")?),
        ("CLIENT", secrets.end("client")?),
        ("NODE", secrets.end("node")?),
    ];
    shell(cluster, &deploy.replace("manager-1.example", &manager), &variables)?;
    await_targets_and(cluster, &[("apart", 3), ("swarmscout-peers", 3)])?;
    // Its probe has no certificate; that does not make a target faulty.
    until("doctor", PATIENCE, || {
        let found = exec(cluster, "swarmscout", &["/swarmscout", "doctor"])?;
        let is_well = !["ERROR", "WARNING"].iter().any(|severity| found.contains(severity));
        ensure!(is_well && found.contains("want a client certificate"), "{found}");
        println!("{found}");
        Ok(())
    })
}

/// The second host has its node part alone, which lists its containers and fetches from them.
fn compose(cluster: &mut Cluster, _folder: &Path) -> Result<()> {
    const HOSTS: [&str; 2] = ["host-1", "host-2"];
    const SWARMSCOUT: &str = "deploy/compose/swarmscout.yml";
    for name in HOSTS {
        cluster.add_alone(name, Vec::new())?;
    }
    let packages = std::env::var_os("PACKAGES").context("PACKAGES names no folder")?;
    add_images(cluster, Path::new(&packages), &HOSTS)?;
    add_swarmscout(cluster, &HOSTS)?;

    fs::create_dir_all(archive(cluster))?;
    copy_repository(cluster)?;
    // Debian has Compose as a command of its own. A plugin is found in the folder that `DOCKER_CONFIG` names.
    let has_plugin = run(Command::new("docker").args(["compose", "version"])).is_ok();
    let program = if has_plugin { "docker compose" } else { "docker-compose" };
    let compose = |host: &str, command: &str| {
        let command = command.replace("docker compose", program);
        let url = cluster.url(host);
        let address = ("ADDRESS", cluster.engine(host).address.as_str());
        shell(cluster, &command, &[("DOCKER_HOST", &url), address])
    };
    let [_, up, show] = &commands("compose.md", "--profile center")?[..] else {
        anyhow::bail!("not three commands");
    };
    compose("host-1", up)?;
    let other = commands("compose.md", "--profile host")?.remove(0);
    let other = other.split_once(' ').context("an address first")?.1;
    compose("host-2", other)?;
    cluster.docker_at("host-2", &["network", "create", "shop"])?;
    let run = "run -d --network shop -l prometheus.io/port=8080 --name web demo:1";
    cluster.load_image("host-2")?;
    cluster.docker_at("host-2", &run.split(' ').collect::<Vec<_>>())?;
    let file = archive(cluster).join(SWARMSCOUT);
    let text = fs::read_to_string(&file)?;
    let list = format!("http://{}:9466/sd/swarm", cluster.engine("host-2").address);
    let lines = format!("  http_sd_configs:\n  - {{url: '{list}', refresh_interval: 1s}}\n");
    fs::write(&file, text + &lines)?;
    ensure!(compose("host-1", &show.replace("exec", "exec -T"))?.len() == 20, "no password");
    let query = "http://127.0.0.1:9090/api/v1/query?query=up";
    let exec = "docker compose -p monitoring -f deploy/compose.yml exec -T prometheus wget -q -O -";
    let expected = ["swarmscout-node host-1", "swarmscout-node host-2", "web host-2"];
    until("both hosts", PATIENCE, || {
        let answer: Value =
            serde_json::from_str(&compose("host-1", &format!("{exec} '{query}'"))?)?;
        let samples = answer["data"]["result"].as_array().context("no result")?;
        let up = samples.iter().filter(|sample| sample["value"][1] == "1");
        let label = |sample: &Value, name: &str| {
            sample["metric"][name].as_str().unwrap_or_default().to_owned()
        };
        let up: Vec<_> = up.map(|s| format!("{} {}", label(s, "job"), label(s, "node"))).collect();
        let is_up = |target: &str| up.iter().any(|known| known == target);
        ensure!(expected.iter().all(|target| is_up(target)), "{answer}");
        Ok(())
    })
}
