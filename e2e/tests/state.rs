//! `/metrics/swarm` against the docker command: one manager, two workers.
//!
//! Each case has two Swarmscouts of its own: one follows the Swarm by the watch, one by events and a
//! refresh each second. Both must come to what Docker says.

#[path = "state/alerts.rs"]
mod alerts;
#[path = "state/compared.rs"]
mod compared;
#[path = "state/dashboards.rs"]
mod dashboards;
#[path = "state/files.rs"]
mod files;
#[path = "state/nodes.rs"]
mod nodes;
#[path = "state/reasons.rs"]
mod reasons;
#[path = "state/services.rs"]
mod services;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::cases::{self, Case, PATIENCE};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::exposition::Exposition;
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::{get, until};

const CASES: &[(&str, Case)] = &[
    ("services that run, that are scaled, and jobs", services::healthy),
    ("each failure and restart counts once", services::crash_loops),
    ("an update is rolled back", services::rolled_back),
    ("tasks wait and fail for reasons", reasons::all),
    ("a network is full", reasons::full_network),
    ("generic resources are reserved", reasons::generic_resources),
    ("the certificate of the manager is read", nodes::certificate),
    ("configs and secrets are listed without their content", files::listed),
    ("a proxy withholds configs and secrets", files::withheld),
    ("the exposition is valid, compressed too", files::valid),
    ("each query of the dashboards has an answer", dashboards::answered),
    ("each query of the dashboard for classic Swarms has one", dashboards::classic),
    ("a node is drained", nodes::drained),
    ("a node dies", nodes::dead),
    ("alerts fire, reach Alertmanager, and end", alerts::fire_and_end),
];

fn main() -> ExitCode {
    cases::run(CASES, || Cluster::up(1, 2))
}

/// A name without `dockerswarm_`, labels, a value.
type Value<'a> = (&'a str, &'a [(&'a str, &'a str)], i64);

/// Two Swarmscouts that follow the Swarm in different ways.
struct Scouts(Vec<Server>);

impl Scouts {
    /// Starts them, and waits until they know the Swarm.
    fn start(cluster: &Cluster, folder: &Path) -> Result<Self> {
        let socket = cluster.socket("manager-1").display().to_string();
        let control = cluster.control_socket("manager-1").display().to_string();
        let watch = format!("events: watch, swarmkit_socket: '{control}', refresh_interval: 1h");
        let events = "events: events, refresh_interval: 1s".to_owned();
        let start = |(name, how): (&str, String)| {
            let config = format!(
                "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs: \
                 [{{host: 'unix://{socket}', {how}}}]\n"
            );
            let mut command = swarmscout();
            command.arg("--state.network-status");
            let server = Server::swarmscout_with(command, folder, name, &config)?;
            until("the Swarm", PATIENCE, || {
                let nodes = metrics(&server)?.all("dockerswarm_node_info", &[]).count();
                ensure!(nodes == cluster.names().count(), "{nodes} nodes");
                Ok(())
            })?;
            Ok(server)
        };
        [("watch", watch), ("events", events)]
            .into_iter()
            .map(start)
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Waits until both pass a check.
    fn await_all(&self, what: &str, check: impl Fn(&Exposition) -> Result<()>) -> Result<()> {
        self.0.iter().try_for_each(|server| {
            until(what, PATIENCE, || check(&metrics(server)?))
                .with_context(|| server.process.printed())
        })
    }

    /// Waits until both report these values.
    fn await_values(&self, values: &[Value<'_>]) -> Result<()> {
        self.await_all("values", |metrics| {
            values.iter().try_for_each(|(name, labels, value)| {
                let is = metrics.value(&format!("dockerswarm_{name}"), labels)?;
                ensure!(is == *value, "{name} {labels:?} is {is}, not {value}");
                Ok(())
            })
        })
    }
}

fn metrics(server: &Server) -> Result<Exposition> {
    Exposition::parse(&get(&format!("{}/metrics/swarm", server.url))?)
}

/// Creates a service whose command has blanks: options, then the command.
fn create(cluster: &Cluster, options: &str, command: &[&str]) -> Result<String> {
    let create = ["service", "create", "-d", "-q", "--no-resolve-image", "--name"];
    let options = options.split_whitespace();
    let arguments: Vec<_> =
        create.into_iter().chain(options).chain(command.iter().copied()).collect();
    cluster.docker(&arguments)
}

/// Removes services.
fn remove(cluster: &Cluster, services: &[&str]) -> Result<()> {
    cluster.docker(&[&["service", "rm"], services].concat()).map(drop)
}
