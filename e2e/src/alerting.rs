//! What brings alerts to people: Swarmscout, a Prometheus with its rules, and an Alertmanager with its
//! inhibition rules, as docs/alerts.md has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::cluster::Cluster;
use crate::process::run;
use crate::program::{Server, swarmscout};
use crate::{get_json, until};

/// Longer than the five minutes without a restart that end an alert.
const PATIENCE: Duration = Duration::from_mins(7);

/// Thresholds that a test cannot wait for, or cannot reach, and others. Nothing else of an expression
/// changes.
const THRESHOLDS: [(&str, &str); 4] = [
    // Docker takes no root certificate that is valid for less than a year, and makes one for twenty.
    ("- time() < 30 * 86400", "- time() < 6000 * 86400"),
    ("- time() < 7 * 86400", "- time() < 500 * 86400"),
    // A new certificate for 90 days is above this, one for an hour below: it began an hour ago.
    ("< 0.1 * (\n", "< 0.9 * (\n"),
    // Seconds.
    ("> 300\n", "> 5\n"),
];

/// What fires if no manager answers, so that the docker command fails.
const UNREAD: [&str; 3] = ["SwarmQuorumLost", "SwarmStateNotRead", "SwarmStateAbsent"];

/// All of them, for one Swarm.
#[derive(Debug)]
pub struct Alerting {
    folder: PathBuf,
    /// One that is stopped still has its place, so that its address is not taken.
    swarmscout: Option<Server>,
    config: String,
    alertmanager: Server,
    prometheus: Server,
    /// Alerts whose page was typed.
    typed: BTreeSet<String>,
}

/// An alert in Alertmanager.
#[derive(Clone, Debug)]
pub struct Alert {
    pub labels: BTreeMap<String, String>,
    is_inhibited: bool,
}

impl Alert {
    /// The value of a label; empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map(String::as_str).unwrap_or_default()
    }

    /// `SwarmServiceDown web`; in parentheses if another alert inhibits it.
    pub fn describe(&self) -> String {
        let name = self.label("alertname");
        let labels: &[&str] = match name {
            "SwarmTargetDown" => &["instance"],
            "SwarmRootCertificateExpires" => &["severity"],
            _ => &["service", "node", "network", "resource", "source"],
        };
        let mut text = name.to_owned();
        if let Some(subject) = labels.iter().map(|label| self.label(label)).find(|l| !l.is_empty())
        {
            let _ = write!(text, " {subject}");
        }
        if self.is_inhibited { format!("({text})") } else { text }
    }
}

impl Alerting {
    /// Starts them. `feed` is how the source of Swarmscout learns of changes, and perhaps its hosts; by default
    /// it reads the first manager. It is in the network `front` alone. `jobs` are further jobs.
    pub fn start(cluster: &Cluster, folder: &Path, feed: &str, jobs: &str) -> Result<Self> {
        let socket = cluster.socket("manager-1").display().to_string();
        let host = if feed.contains("hosts:") {
            String::new()
        } else {
            format!("host: 'unix://{socket}', ")
        };
        let config = format!(
            "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs:\n  - {{{host}networks: \
             [front], refresh_interval: 2s, {feed}}}\n{jobs}"
        );
        fs::write(folder.join("rules.yml"), quickened(&printed(&["--team=swarm"])?)?)?;
        let routes = "route: {receiver: none, group_by: [...]}\nreceivers: [{name: none}]\n";
        let file = folder.join("alertmanager.yml");
        fs::write(&file, routes.to_owned() + &printed(&["--inhibit"])?)?;
        let mut command = Command::new("prometheus-alertmanager");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.path={}", folder.join("alertmanager").display()));
        command.arg("--cluster.listen-address=");
        let alertmanager = Server::start(command, folder, "alertmanager")?;
        let swarmscout = scout(folder, &config)?;
        let file = folder.join("prometheus.yml");
        fs::write(&file, prometheus_config(&swarmscout, &alertmanager))?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()));
        // What it sent before it knew Alertmanager is sent again.
        command.arg("--rules.alert.resend-delay=1s");
        let prometheus = Server::start(command, folder, "prometheus")?;
        let swarmscout = Some(swarmscout);
        let folder = folder.to_owned();
        let typed = BTreeSet::new();
        let mut alerting = Self { folder, swarmscout, config, alertmanager, prometheus, typed };
        alerting.add_commands(cluster)?;
        alerting.await_alerts(&[]).context("at the beginning")?;
        let name = [("alertname".to_owned(), "Watchdog".to_owned())];
        alerting.type_page(&Alert { labels: name.into(), is_inhibited: false })?;
        Ok(alerting)
    }

    /// Stops Swarmscout.
    pub fn stop_swarmscout(&mut self) {
        self.swarmscout = None;
    }

    /// Starts it again, and lets Prometheus read it.
    pub fn restart_swarmscout(&mut self) -> Result<()> {
        let swarmscout = scout(&self.folder, &self.config)?;
        let config = prometheus_config(&swarmscout, &self.alertmanager);
        self.swarmscout = Some(swarmscout);
        fs::write(self.folder.join("prometheus.yml"), config)?;
        self.prometheus.process.signal("HUP")
    }

    /// Waits until a target of this job answers.
    pub fn await_up(&self, job: &str) -> Result<()> {
        self.await_value(&format!("max(up{{job=\"{job}\"}})"))
    }

    /// Waits until Swarmscout has this change feed.
    pub fn await_feed(&self, feed: &str) -> Result<()> {
        self.await_value(&format!("swarmscout_snapshot_feed{{feed=\"{feed}\"}}"))
    }

    fn await_value(&self, query: &str) -> Result<()> {
        until(query, PATIENCE, || {
            let value = self.query(query)?;
            ensure!(value == Some(1.0), "{value:?}");
            Ok(())
        })
    }

    /// What Alertmanager holds now, but for the Watchdog, which has to be there.
    pub fn alerts(&self) -> Result<Vec<Alert>> {
        let found = get_json(&format!("{}/api/v2/alerts", self.alertmanager.url))?;
        let mut alerts = Vec::new();
        for alert in found.as_array().context("no list")? {
            let labels = serde_json::from_value(alert["labels"].clone())?;
            let is_inhibited = alert["status"]["state"] == "suppressed";
            alerts.push(Alert { labels, is_inhibited });
        }
        let all = alerts.len();
        alerts.retain(|alert| alert.label("alertname") != "Watchdog");
        ensure!(alerts.len() < all, "no Watchdog: {found}");
        Ok(alerts)
    }

    /// Waits until these alerts and no others fire, each with the labels `cluster` and `team`.
    pub fn await_alerts(&mut self, expected: &[&str]) -> Result<Vec<Alert>> {
        self.await_that(&format!("{expected:?}"), |alerts| {
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            ensure!(alerts == expected, "{alerts:?}, not {expected:?}");
            Ok(())
        })
    }

    /// Waits until the descriptions of all alerts, sorted, pass a check.
    pub fn await_that(
        &mut self,
        what: &str,
        check: impl Fn(&[String]) -> Result<()>,
    ) -> Result<Vec<Alert>> {
        let began = Instant::now();
        let alerts = until(what, PATIENCE, || {
            let alerts = self.alerts()?;
            let mut described: Vec<_> = alerts.iter().map(Alert::describe).collect();
            described.sort_unstable();
            check(&described)?;
            Ok(alerts)
        })
        .with_context(|| self.prometheus.process.printed())?;
        println!("{what} after {:?}", began.elapsed());
        for alert in &alerts {
            ensure!(
                alert.label("cluster") == "e2e" && !alert.label("team").is_empty(),
                "{alert:?}"
            );
            let exported = alert.labels.keys().find(|label| label.starts_with("exported_"));
            ensure!(exported.is_none(), "{alert:?}");
            if !alert.is_inhibited && self.typed.insert(alert.label("alertname").to_owned()) {
                self.type_page(alert)?;
            }
        }
        Ok(alerts)
    }

    /// The commands that the pages of docs/alerts name, each with the address of what is started here.
    fn add_commands(&self, cluster: &Cluster) -> Result<()> {
        let folder = self.commands();
        fs::create_dir_all(&folder)?;
        let program = swarmscout().get_program().to_string_lossy().into_owned();
        let manager = cluster.url("manager-1");
        let alertmanager = &self.alertmanager.url;
        for (name, command) in [
            ("docker", format!("docker -H {manager} \"$@\"")),
            ("swarmscout", format!("'{program}' \"$@\" --url=$SCOUT")),
            ("amtool", format!("amtool \"$@\" --alertmanager.url={alertmanager}")),
        ] {
            let file = folder.join(name);
            // Without this folder, or the script would call itself.
            let path = std::env::var("PATH")?;
            fs::write(&file, format!("#!/bin/sh\nPATH={path} exec {command}\n"))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn commands(&self) -> PathBuf {
        self.folder.join("commands")
    }

    /// Types the commands that the page of an alert begins with, and prints what they say.
    fn type_page(&self, alert: &Alert) -> Result<()> {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/alerts");
        let page = fs::read_to_string(docs.join(alert.label("alertname")).with_extension("md"))?;
        let block = page.split("```").nth(1).context("a page begins with commands")?;
        let mut described = alert.describe();
        let subject = described.split_off(described.find(' ').map_or(described.len(), |at| at + 1));
        println!("{}", alert.describe());
        for line in block.lines().filter_map(|line| line.strip_prefix(['$', '#'])) {
            let line = line.trim().replace("NAME", &subject);
            let path = format!("{}:{}", self.commands().display(), std::env::var("PATH")?);
            let mut command = Command::new("sh");
            command.args(["-c", &line]).env("PATH", path);
            // Nothing listens at that port.
            let scout = self.swarmscout.as_ref().map_or("http://127.0.0.1:1", |it| &it.url);
            let output = command.env("SCOUT", scout).output()?;
            println!("$ {line}\n{}{}", text(&output.stdout), text(&output.stderr));
            // Swarmscout ends with 1 if something is wrong, and a manager without others refuses.
            let is_known =
                line.starts_with("swarmscout ") || UNREAD.contains(&alert.label("alertname"));
            ensure!(output.status.success() || is_known, "{line}: {}", output.status);
        }
        Ok(())
    }

    /// The only value of a query to Prometheus; `None` if there is no series.
    pub fn query(&self, query: &str) -> Result<Option<f64>> {
        let encoded =
            percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let answer = get_json(&format!("{}/api/v1/query?query={encoded}", self.prometheus.url))?;
        let result = answer["data"]["result"].as_array().with_context(|| answer.to_string())?;
        ensure!(result.len() < 2, "{query}: {answer}");
        let value = result.first().and_then(|sample| sample["value"][1].as_str());
        Ok(value.map(str::parse).transpose()?)
    }
}

/// What `swarmscout rules` prints.
fn printed(flags: &[&str]) -> Result<String> {
    Ok(run(swarmscout().arg("rules").args(flags))? + "\n")
}

/// The rules as they are, but that each alert has to be true for two seconds only, and
/// [`THRESHOLDS`].
fn quickened(rules: &str) -> Result<String> {
    let mut quick = String::new();
    for line in rules.lines() {
        quick += if line.starts_with("    for: ") { "    for: 2s" } else { line };
        quick.push('\n');
    }
    for (is, to) in THRESHOLDS {
        ensure!(quick.contains(is), "the rules have no {is:?} any longer");
        quick = quick.replace(is, to);
    }
    Ok(quick)
}

fn text(output: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(output)
}

fn scout(folder: &Path, config: &str) -> Result<Server> {
    let file = folder.join("scout.yml");
    fs::write(&file, config)?;
    let mut command = swarmscout();
    command.arg(format!("--config.file={}", file.display()));
    command.args(["--cluster=e2e", "--state.series-labels=team"]);
    Server::start(command, folder, "scout")
}

fn prometheus_config(swarmscout: &Server, alertmanager: &Server) -> String {
    let host = |server: &Server| server.url.trim_start_matches("http://").to_owned();
    let (url, scout, alertmanager) = (&swarmscout.url, host(swarmscout), host(alertmanager));
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}
scrape_configs:
- job_name: swarm
  http_sd_configs: [{{url: '{url}/sd/swarm', refresh_interval: 1s}}]
- job_name: swarm-state
  metrics_path: /metrics/swarm
  honor_labels: true
  static_configs: [{{targets: ['{scout}'], labels: {{instance: swarmscout}}}}]
- job_name: swarmscout
  static_configs: [{{targets: ['{scout}'], labels: {{cluster: e2e, instance: swarmscout}}}}]
"
    )
}
