//! `swarmscout node`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgMatches, Args, FromArgMatches};
use swarmscout_model::size::Bytes;
use swarmscout_node::host::Collector;

use super::ListenerArgs;
use crate::listen::ListenAddress;

/// Port of the node part.
pub const DEFAULT_NODE_PORT: u16 = 9466;

/// Where the node part listens by default. Others must reach it, so it is all addresses.
const DEFAULT_LISTEN_ADDRESS: &str = ":9466";

/// Flags of `swarmscout node`.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// ID of this node in its Swarm: write {{.Node.ID}} in the environment variable
    /// SWARMSCOUT_NODE_ID of a service [default: that variable, else what the Docker Engine or the
    /// manager says]
    #[arg(long = "node.id", value_name = "ID")]
    pub node_id: Option<String>,

    /// URLs of Swarmscouts on managers, which say what the containers of this node are: a
    /// comma-separated list, or repeated [default: none]
    #[arg(long = "manager", value_name = "URL", value_delimiter = ',')]
    pub managers: Vec<String>,

    /// File with an http_config for these managers: TLS, client certificate, password [default: none]
    #[arg(long = "manager.http-config", value_name = "FILE", requires = "managers")]
    pub manager_http_config: Option<PathBuf>,

    /// Docker Engine of this machine; empty: none [default: unix:///var/run/docker.sock, if it is
    /// there]
    #[arg(long = "docker.host", value_name = "URL")]
    pub docker_host: Option<String>,

    /// Where the host's /proc is mounted [default: /host/proc, if it is there, else /proc]
    #[arg(long = "path.procfs", value_name = "DIR")]
    pub procfs: Option<PathBuf>,

    /// Where the host's /sys is mounted [default: /host/sys, if it is there, else /sys]
    #[arg(long = "path.sysfs", value_name = "DIR")]
    pub sysfs: Option<PathBuf>,

    /// Where the host's / is mounted [default: /host/root, if it is there, else /]
    #[arg(long = "path.rootfs", value_name = "DIR")]
    pub rootfs: Option<PathBuf>,

    /// Further labels of containers that become labels of their series, as those of Swarm and Compose do:
    /// a comma-separated list, or repeated
    #[arg(long = "containers.labels", value_name = "LABEL", value_delimiter = ',')]
    pub container_labels: Vec<String>,

    /// The metrics of the node itself.
    #[command(flatten)]
    pub collectors: CollectorArgs,

    /// Ask the Docker Engine once an hour what images, volumes and the build cache take
    #[arg(long = "collector.disk", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub disk: bool,

    /// Reach tasks without TLS and client certificates: every client of this port reads the metrics
    /// of every listed task
    #[arg(long = "reach.insecure", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub reach_insecure: bool,

    /// The largest answer of a task that is passed on, as it comes over the network
    #[arg(long = "reach.max-body", value_name = "SIZE", default_value = "64MB")]
    pub reach_max_body: Bytes,

    /// The network to other nodes.
    #[command(flatten)]
    pub peers: PeerArgs,

    /// Address to listen on, host:port or unix:///path; may be given several times. With
    /// ,config=FILE it has a web configuration file of its own, with ,config= none
    #[arg(long = "web.listen-address", value_name = "ADDRESS",
          default_value = DEFAULT_LISTEN_ADDRESS)]
    pub listen_addresses: Vec<ListenAddress>,

    /// How to listen.
    #[command(flatten)]
    pub listener: ListenerArgs,
}

/// Flags of the probes between nodes.
#[derive(Clone, Debug, Args)]
pub struct PeerArgs {
    /// Name of a service whose tasks are all on one overlay network with this one: its tasks are
    /// probed there. tasks.NAME, or NAME [default: none]
    #[arg(id = "peers_overlay", long = "peers.overlay", value_name = "NAME")]
    pub overlay: Option<String>,

    /// Probe the network to four other nodes
    #[arg(id = "peers", long = "peers", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub enabled: bool,

    /// Only probe other nodes, and report to the managers what the probes find: for a second node part,
    /// which is on the overlay network. It does not fetch from tasks, and registers no address
    #[arg(id = "peers_only", long = "peers.only", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub only: bool,
}

/// `--collector.<name>` and `--no-collector.<name>`.
#[derive(Clone, Debug, Default)]
pub struct CollectorArgs {
    /// Those that were given.
    pub given: Vec<(Collector, bool)>,
}

impl Args for CollectorArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        Collector::ALL.into_iter().fold(command, |command, collector| {
            let flag = collector.flag();
            let default = if collector.is_of_node_exporter() {
                " [default: unless a node exporter runs on this node]"
            } else {
                " [default: true]"
            };
            let arg = Arg::new(flag)
                .long(flag)
                .help(format!("{}{default}", collector.about()))
                .value_parser(BoolishValueParser::new())
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_name("BOOL")
                .hide_possible_values(true);
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CollectorArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value =
            |collector: Collector| Some((collector, *matches.get_one::<bool>(collector.flag())?));
        Ok(Self { given: Collector::ALL.into_iter().filter_map(value).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
