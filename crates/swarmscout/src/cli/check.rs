//! The arguments of `check`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand, ValueEnum};
use swarmscout_model::PromDuration;

use super::CheckStatusArgs;

/// What to check.
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// Check configuration files
    Config(CheckConfigArgs),
    /// Discover the targets of a job once and show what relabeling makes of them
    ServiceDiscovery(CheckDiscoveryArgs),
    /// Check web configuration files, and the certificates and keys that they name
    WebConfig(CheckWebConfigArgs),
    /// Ask a running Swarmscout (or Prometheus) whether it is healthy
    Healthy(CheckStatusArgs),
    /// Ask a running Swarmscout (or Prometheus) whether it is ready
    Ready(CheckStatusArgs),
}

/// Of `check config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Do not check that the files they name exist
    #[arg(long, value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL",
          hide_possible_values = true)]
    pub syntax_only: bool,

    /// Reject what Prometheus' agent mode rejects
    #[arg(long, value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL",
          hide_possible_values = true)]
    pub agent: bool,
}

/// Of `check web-config`.
#[derive(Debug, Args)]
pub struct CheckWebConfigArgs {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// Of `check service-discovery`.
#[derive(Debug, Args)]
pub struct CheckDiscoveryArgs {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,

    /// How to show the targets
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: DiscoveryFormat,

    /// Show each dropped target, not only the number for each rule and service
    #[arg(long, value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL",
          hide_possible_values = true)]
    pub all: bool,

    /// Value of the label cluster of all targets, as the program has it [default: none]
    #[arg(long = "cluster", value_name = "NAME")]
    pub cluster: Option<String>,

    /// Labels of services and nodes that targets of swarmscout_sd_configs get, as the program has them:
    /// a comma-separated list, or repeated
    #[arg(long = "state.series-labels", value_name = "LABEL", value_delimiter = ',')]
    pub series_labels: Vec<String>,

    /// Whether the preset swarm-state makes a target, as in the program
    #[arg(long = "state.metrics", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "true", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub state_metrics: bool,

    /// How long to wait for sources to answer
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub timeout: PromDuration,
}

/// How to show targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiscoveryFormat {
    /// A table for a terminal.
    Table,
    /// As `promtool check service-discovery` does.
    Json,
}
