//! The command line, with Prometheus' names.
//!
//! [`Cli`] holds exactly what was given and what is the default; what it means for the program is
//! decided in [`crate::app`]. Booleans take Prometheus' spellings, `--web.enable-lifecycle` and
//! `--no-web.enable-lifecycle`. Flags that are known only so that a Prometheus' command line can be
//! taken over stand in [`compat`].

mod check;
pub mod compat;
mod diagnose;
mod embedded;
mod listener;
mod node;
mod rules;
pub mod state;
mod tls;
pub mod web;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use swarmscout_model::PromDuration;
use swarmscout_model::size::Bytes;
use swarmscout_publish::file_sd::{self, Format, Mode, Removed};

pub use check::{
    CheckCommand, CheckConfigArgs, CheckDiscoveryArgs, CheckWebConfigArgs, DiscoveryFormat,
};
use compat::{FLAGS, Value, Verdict};
pub use diagnose::{
    CheckStatusArgs, DiagnoseFormat, DoctorArgs, EndpointArgs, ExplainArgs, ServerArgs, StatusArgs,
};
pub use embedded::EmbeddedArgs;
pub use listener::ListenerArgs;
pub use node::{DEFAULT_NODE_PORT, NodeArgs};
pub use rules::RulesArgs;
pub use state::StateArgs;
pub use tls::{TlsClientArgs, TlsCommand, TlsInitArgs, TlsRenewArgs};

use crate::listen::ListenAddress;

/// Read when `--config.file` is not given and there is one in the current folder.
pub const DEFAULT_CONFIG_FILE: &str = "prometheus.yml";

/// Swarmscout's port.
pub const DEFAULT_PORT: u16 = 9465;

/// Where the web server listens by default: Swarmscout's port, this machine only.
pub const DEFAULT_LISTEN_ADDRESS: &str = "127.0.0.1:9465";

/// What Prometheus called `--config.auto-reload` before that flag was there.
const AUTO_RELOAD_FEATURE: &str = "auto-reload-config";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "swarmscout",
    version,
    about = "Finds every service, task and node of a Docker Swarm and serves them to Prometheus as targets",
    after_help = "Without a command, Swarmscout runs with the file of --config.file, else with \
                  prometheus.yml of this folder, else on the local Docker Engine or Swarm. \
                  Prometheus flags without effect are accepted with a warning; docs/flags.md \
                  lists them.",
    disable_version_flag = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    infer_long_args = false,
    max_term_width = 100
)]
pub struct Cli {
    /// Flags of the program when it runs.
    #[command(flatten)]
    pub run: RunArgs,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
    /// What else to do than run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of [`compat::FLAGS`] that were given and only deserve a warning.
    #[clap(skip)]
    pub ignored: Vec<IgnoredFlag>,
    /// Whether there is a log. `check` says by itself what is wrong, unless a level is asked for.
    #[clap(skip)]
    pub logs: bool,
    #[arg(long, action = ArgAction::Version, help = "Show the version")]
    version: (),
    #[arg(long, short, action = ArgAction::HelpShort, global = true, help = "Show this help")]
    help: (),
}

/// A flag that was given and has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IgnoredFlag {
    /// Without the leading dashes.
    pub name: &'static str,
    /// Why it has none.
    pub reason: &'static str,
}

/// Flags of the program when it runs.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Configuration file in Prometheus' format [default: prometheus.yml, if there is one]
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Reload the configuration when its files change
    #[arg(long = "config.auto-reload", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub auto_reload: bool,

    /// How often to check these files, at least 1s
    #[arg(long = "config.auto-reload-interval", value_name = "DURATION", default_value = "30s",
          value_parser = parse_interval)]
    pub auto_reload_interval: PromDuration,

    /// Reject what Prometheus' agent mode rejects in the file
    #[arg(long = "agent", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub agent: bool,

    /// What all together may take.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// The web server's flags.
    #[command(flatten)]
    pub web: WebArgs,

    /// Value of the label cluster of all targets and state metrics. A target that has such a label
    /// keeps its own [default: none]
    #[arg(long = "cluster", value_name = "NAME")]
    pub cluster: Option<String>,

    /// How long a job waits for its sources, from the start or from the reload that changed it,
    /// before it is served without those that have not answered
    #[arg(long = "sd.startup-timeout", value_name = "DURATION", default_value = "30s")]
    pub startup_timeout: PromDuration,

    /// Folder for the last targets of each source, which are served after a restart until it
    /// answers [default: none]
    #[arg(long = "storage.path", value_name = "DIR")]
    pub storage_path: Option<PathBuf>,

    /// The flags of state metrics.
    #[command(flatten)]
    pub state: StateArgs,

    /// The flags of file SD.
    #[command(flatten)]
    pub file_sd: FileSdArgs,
}

/// What all together may take.
#[derive(Clone, Copy, Debug, Args)]
pub struct LimitArgs {
    /// Memory limit for all targets and lists together, as 512MB; 0: no limit [default: 80 % of the
    /// control group's limit, else 2GB]
    #[arg(id = "limits.memory", long = "limits.memory", value_name = "SIZE")]
    pub memory: Option<Bytes>,
}

/// Flags of the web server.
#[derive(Clone, Debug, Args)]
pub struct WebArgs {
    /// Address to listen on, host:port or unix:///path; may be given several times. With
    /// ,config=FILE it has a web configuration file of its own, with ,config= none
    #[arg(long = "web.listen-address", value_name = "ADDRESS",
          default_value = DEFAULT_LISTEN_ADDRESS)]
    pub listen_addresses: Vec<ListenAddress>,

    /// How to listen.
    #[command(flatten)]
    pub listener: ListenerArgs,

    /// Allow reload and shutdown over HTTP: /-/reload, /-/quit
    #[arg(long = "web.enable-lifecycle", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    pub enable_lifecycle: bool,

    /// URL at which clients reach Swarmscout, for instance through a proxy
    #[arg(
        long = "web.external-url",
        value_name = "URL",
        default_value = "",
        hide_default_value = true
    )]
    pub external_url: String,

    /// Prefix of all paths [default: the path of --web.external-url]
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    pub route_prefix: Option<String>,

    /// Let every client with the right "nodes" read the tasks of any node (/api/v1/nodes/NODE/tasks), without a
    /// client certificate
    #[arg(long = "nodes.insecure", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    pub open_nodes: bool,

    /// Limit of requests that wait for a change of a list (/sd/JOB?wait=60s); --web.max-connections
    /// does not count them; 0: none may wait
    #[arg(long = "web.max-waiting", value_name = "N", default_value = "2000",
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    pub max_waiting: usize,

    /// Title of the web pages
    #[arg(long = "web.page-title", value_name = "TEXT", default_value = "Swarmscout")]
    pub page_title: String,

    /// Regex of the origins that CORS allows, anchored at both ends [default: none]
    #[arg(long = "web.cors.origin", value_name = "REGEX")]
    pub cors_origin: Option<String>,
}

/// Flags of file SD.
#[derive(Clone, Debug, Args)]
pub struct FileSdArgs {
    /// Folder for a file with the targets of each job, for file_sd_configs
    #[arg(id = "file-sd.directory", long = "file-sd.directory", value_name = "DIR")]
    pub directory: Option<PathBuf>,

    /// Format of these files: json, JOB.json, or yaml, JOB.yml
    #[arg(
        long = "file-sd.format",
        value_name = "FORMAT",
        value_parser = PossibleValuesParser::new(["json", "yaml"]).try_map(|text| text.parse::<Format>()),
        default_value = "json",
        requires = "file-sd.directory"
    )]
    pub format: Format,

    /// Permissions of these files, in octal digits
    #[arg(
        long = "file-sd.mode",
        value_name = "MODE",
        default_value = "0644",
        requires = "file-sd.directory"
    )]
    pub mode: Mode,

    /// What happens to the file of a removed job: emptied, or kept
    #[arg(
        long = "file-sd.removed",
        value_name = "WHAT",
        value_parser = PossibleValuesParser::new(["empty", "keep"]).try_map(|text| text.parse::<Removed>()),
        default_value = "empty",
        requires = "file-sd.directory"
    )]
    pub removed: Removed,
}

impl FileSdArgs {
    /// What they ask for, if anything.
    pub fn options(&self) -> Option<file_sd::Options> {
        let Self { directory, format, mode, removed } = self.clone();
        directory.map(|directory| file_sd::Options { directory, format, mode, removed })
    }
}

/// How to log.
#[derive(Clone, Copy, Debug, Args)]
pub struct LogArgs {
    /// Lowest level of the log lines that are written
    #[arg(
        id = "log.level",
        long = "log.level",
        value_name = "LEVEL",
        default_value = "info",
        ignore_case = true,
        global = true
    )]
    pub level: LogLevel,

    /// Format of the log lines
    #[arg(
        id = "log.format",
        long = "log.format",
        value_name = "FORMAT",
        default_value = "logfmt",
        global = true
    )]
    pub format: LogFormat,
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// For finding the cause of a fault.
    Debug,
    /// What an operator wants to know.
    Info,
    /// What an operator should check.
    Warn,
    /// What failed.
    Error,
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `key=value`.
    Logfmt,
    /// One JSON object.
    Json,
}

/// What else to do than run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a file, a job's targets, or a running Swarmscout
    #[command(subcommand, arg_required_else_help = true)]
    Check(CheckCommand),
    /// Show all that is known of a service, task, node or address, and what became of its targets
    Explain(ExplainArgs),
    /// Find out why metrics are missing, and what to do about it
    Doctor(DoctorArgs),
    /// Show how nodes, services and targets are, what is wrong, and what to do about it
    Status(StatusArgs),
    /// Print the alerts for Prometheus, with runbooks in docs/alerts
    Rules(RulesArgs),
    /// Print the dashboards for Grafana
    Dashboards(EmbeddedArgs),
    /// Print a stack for `docker stack deploy` or Compose, or write it with the files that it reads
    Stack(EmbeddedArgs),
    /// Make certificates for TLS, where there is no public key infrastructure
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Serve the metrics of this machine and its containers, in place of cAdvisor
    Node(Box<NodeArgs>),
    /// Run on a simulated Swarm, with real sockets, without Docker
    Demo(DemoArgs),
}

/// Of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Address to listen on, host:port or unix:///path; port 0 takes a free one
    #[arg(long = "web.listen-address", value_name = "ADDRESS",
          default_value = DEFAULT_LISTEN_ADDRESS)]
    pub listen_addresses: Vec<ListenAddress>,

    /// Time between two steps, at least 100ms
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub pace: PromDuration,
}

/// Reads the command line, the program's name first. The error knows how to print itself and which
/// exit code to end with; `--help` and `--version` come as one, too.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = command();
    let args = normalise(&command, args)?;
    let matches = command.try_get_matches_from_mut(args)?;
    refuse_misplaced(&mut command, &matches)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let level_given = matches.value_source("log.level") == Some(ValueSource::CommandLine);
    cli.logs = level_given
        || !matches!(
            cli.command,
            Some(
                Command::Check(_)
                    | Command::Doctor(_)
                    | Command::Explain(_)
                    | Command::Status(_)
                    | Command::Rules(_)
                    | Command::Dashboards(_)
                    | Command::Stack(_)
                    | Command::Tls(_)
            )
        );
    if !level_given && matches!(cli.command, Some(Command::Demo(_))) {
        // The demo prints by itself what happens.
        cli.log.level = LogLevel::Warn;
    }
    let features = matches.get_many::<String>("enable-feature").into_iter().flatten();
    let features: Vec<_> = features.flat_map(|list| list.split(',')).collect();
    cli.run.auto_reload |= features.contains(&AUTO_RELOAD_FEATURE);
    for flag in FLAGS {
        if matches.value_source(flag.name) != Some(ValueSource::CommandLine) {
            continue;
        }
        match flag.verdict {
            Verdict::Ignored(_)
                if flag.name == "enable-feature"
                    && features.iter().all(|feature| *feature == AUTO_RELOAD_FEATURE) => {}
            Verdict::Ignored(reason) => cli.ignored.push(IgnoredFlag { name: flag.name, reason }),
            // Switched off, there is nothing to miss.
            Verdict::Refused(_) if is_false(&matches, flag) => {}
            Verdict::Refused(reason) => {
                let message = format!("cannot use --{}: {reason}", flag.name);
                return Err(command.error(clap::error::ErrorKind::ArgumentConflict, message));
            }
        }
    }
    Ok(cli)
}

/// The flags that act when the program runs, with the values they have: Prometheus'
/// `/api/v1/status/flags`.
pub fn values(cli: &Cli) -> Vec<(String, String)> {
    let RunArgs {
        config_file,
        auto_reload,
        auto_reload_interval,
        agent,
        limits,
        web,
        file_sd,
        state,
        ..
    } = &cli.run;
    let shown = |path: &PathBuf| path.display().to_string();
    let list = |addresses: &[ListenAddress]| {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        addresses.join(",")
    };
    let mut values = vec![
        ("agent", agent.to_string()),
        ("cluster", cli.run.cluster.clone().unwrap_or_default()),
        ("config.auto-reload", auto_reload.to_string()),
        ("config.auto-reload-interval", auto_reload_interval.to_string()),
        ("config.file", config_file.as_ref().map(shown).unwrap_or_default()),
        ("file-sd.directory", file_sd.directory.as_ref().map(shown).unwrap_or_default()),
        ("file-sd.format", file_sd.format.to_string()),
        ("file-sd.mode", file_sd.mode.to_string()),
        ("file-sd.removed", file_sd.removed.to_string()),
        ("limits.memory", limits.memory.map(|size| size.to_string()).unwrap_or_default()),
        ("log.format", name_of(&cli.log.format)),
        ("log.level", name_of(&cli.log.level)),
        ("sd.startup-timeout", cli.run.startup_timeout.to_string()),
        ("state.certificates", state.certificates.to_string()),
        ("state.label-allowlist", state.label_allowlist.join(",")),
        ("state.metric-allowlist", state.metric_allowlist.join(",")),
        ("state.metric-denylist", state.metric_denylist.join(",")),
        ("nodes.insecure", web.open_nodes.to_string()),
        ("state.metrics", state.metrics.to_string()),
        ("state.network-status", state.network_status.to_string()),
        ("state.series-labels", state.series_labels.join(",")),
        ("storage.path", cli.run.storage_path.as_ref().map(shown).unwrap_or_default()),
        ("web.allowed-hosts", web.listener.allowed_hosts.join(",")),
        ("web.cors.origin", web.cors_origin.clone().unwrap_or_default()),
        ("web.enable-lifecycle", web.enable_lifecycle.to_string()),
        ("web.external-url", swarmscout_net::redact_url(&web.external_url)),
        ("web.listen-address", list(&web.listen_addresses)),
        ("web.max-connections", web.listener.max_connections.to_string()),
        ("web.max-waiting", web.max_waiting.to_string()),
        ("web.page-title", web.page_title.clone()),
        ("web.read-timeout", web.listener.read_timeout.to_string()),
        ("web.route-prefix", web.route_prefix.clone().unwrap_or_default()),
        ("web.systemd-socket", web.listener.systemd_socket.to_string()),
    ];
    values.sort_unstable();
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// An interval that time can pass in.
fn parse_interval(text: &str) -> anyhow::Result<PromDuration> {
    let interval: PromDuration = text.parse()?;
    anyhow::ensure!(!interval.is_zero(), "an interval must be longer than 0");
    Ok(interval)
}

fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A flag before a sub-command belongs to the running program, and would be silently without
/// effect.
fn refuse_misplaced(
    command: &mut clap::Command,
    matches: &clap::ArgMatches,
) -> Result<(), clap::Error> {
    let Some(subcommand) = matches.subcommand_name() else { return Ok(()) };
    let misplaced = command.get_arguments().find(|arg| {
        !arg.is_global_set()
            && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    });
    let Some(flag) = misplaced.and_then(Arg::get_long) else { return Ok(()) };
    let message = format!(
        "--{flag} before `{subcommand}` has no effect: write the flags of a sub-command after it"
    );
    Err(command.error(clap::error::ErrorKind::ArgumentConflict, message))
}

fn is_false(matches: &clap::ArgMatches, flag: &compat::CompatFlag) -> bool {
    flag.value == Value::Switch && matches.get_one::<bool>(flag.name) == Some(&false)
}

/// The derived command with the flags of the table, hidden.
fn command() -> clap::Command {
    FLAGS.iter().fold(Cli::command(), |command, flag| {
        let arg = Arg::new(flag.name).long(flag.name).hide(true);
        command.arg(match flag.value {
            Value::Switch => arg
                .value_parser(BoolishValueParser::new())
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
            Value::One => arg,
            Value::Many => arg.action(ArgAction::Append),
        })
    })
}

/// Turns Prometheus' `--no-flag` into `--flag=false`, and says so where somebody writes flags as
/// Prometheus 1 had them, with one dash.
fn normalise(
    command: &clap::Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, clap::Error> {
    let mut out = Vec::new();
    for arg in args {
        if let Some(name) = arg.to_str().and_then(|arg| arg.strip_prefix("--no-"))
            && has_switch(command, name)
        {
            out.push(OsString::from(format!("--{name}=false")));
            continue;
        }
        if let Some(flag) = one_dash(&arg)
            && find(command, flag).is_some()
        {
            let message = format!(
                "flags have two dashes since Prometheus 2: write --{flag} instead of -{flag}"
            );
            return Err(command.clone().error(clap::error::ErrorKind::UnknownArgument, message));
        }
        out.push(arg);
    }
    Ok(out)
}

/// The name in `-name` or `-name=value`.
fn one_dash(arg: &OsStr) -> Option<&str> {
    let name = arg.to_str()?.strip_prefix('-')?;
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    (!name.starts_with('-') && name.len() > 1).then_some(name)
}

fn find<'a>(command: &'a clap::Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(name))
}

fn has_switch(command: &clap::Command, name: &str) -> bool {
    let here = find(command, name).is_some_and(Arg::is_require_equals_set);
    here || command.get_subcommands().any(|command| has_switch(command, name))
}

#[cfg(test)]
mod tests;
