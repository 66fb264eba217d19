//! The arguments of the commands that ask a running program: `explain`, `doctor`, `status`, and
//! those of `check` that do.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use swarmscout_model::PromDuration;

/// Where a running program is, and how to reach it.
#[derive(Clone, Debug, Args)]
pub struct EndpointArgs {
    /// URL of the running Swarmscout, a path is kept as prefix; or its unix socket,
    /// unix:///PATH or unix:///PATH:/PREFIX
    #[arg(long, value_name = "URL", default_value = Self::DEFAULT_URL)]
    pub url: String,

    /// File with credentials and TLS options for it, in the format of http_config
    #[arg(long = "http.config.file", value_name = "FILE")]
    pub http_config_file: Option<PathBuf>,
}

impl EndpointArgs {
    /// Where a program on this machine listens unless its flags say otherwise.
    pub const DEFAULT_URL: &str = concat!("http://", "127.0.0.1:9465");
}

/// Of `check healthy` and `check ready`.
#[derive(Debug, Args)]
pub struct CheckStatusArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
}

/// Whom to ask, and how to show the answer.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The running program.
    #[command(flatten)]
    pub endpoint: EndpointArgs,

    /// Ask the Swarm itself, with the jobs of this file, not a running Swarmscout
    #[arg(long = "config.file", value_name = "FILE", conflicts_with_all = ["url", "http_config_file"])]
    pub config_file: Option<PathBuf>,

    /// With --config.file: value of the label cluster of all targets, as the program has it
    /// [default: none]
    #[arg(long = "cluster", value_name = "NAME", requires = "config_file")]
    pub cluster: Option<String>,

    /// With --config.file: labels of services and nodes that targets of swarmscout_sd_configs get, as
    /// the program has them: a comma-separated list, or repeated
    #[arg(
        long = "state.series-labels",
        value_name = "LABEL",
        value_delimiter = ',',
        requires = "config_file"
    )]
    pub series_labels: Vec<String>,

    /// With --config.file: whether the preset swarm-state makes a target, as in the program
    #[arg(long = "state.metrics", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true, requires = "config_file")]
    pub state_metrics: bool,

    /// How long the sources of --config.file may take to answer
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub timeout: PromDuration,

    /// How to show the result
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: DiagnoseFormat,
}

/// How to show a diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiagnoseFormat {
    /// For a terminal.
    Text,
    /// For programs: the data of the API.
    Json,
}

/// Of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// service/NAME, task/ID, node/NAME or an address; the kind may be left out, an ID may be cut
    #[arg(value_name = "OBJECT")]
    pub object: String,

    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also request /metrics of services without a target, and print the labels to write
    #[arg(long, value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL",
          hide_possible_values = true)]
    pub suggest: bool,

    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Ask every INTERVAL (2s if it is left out, at least 100ms), and show each change
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true,
          default_missing_value = "2s", value_parser = parse_watch)]
    pub watch: Option<PromDuration>,
}

fn parse_watch(text: &str) -> anyhow::Result<PromDuration> {
    let interval: PromDuration = text.parse()?;
    anyhow::ensure!(interval.get().as_millis() >= 100, "an interval must be at least 100ms");
    Ok(interval)
}
