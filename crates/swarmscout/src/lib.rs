//! Swarmscout, the program: command line, wiring, reload, signals, demo.
//!
//! A library so that tests, benchmarks and fuzz targets reach its parts. Its interface is the command
//! line, not this.
//!
//! **Invariant: a reload applies as a whole, or the previous state runs on.**

pub mod app;
mod ask;
pub mod auto_reload;
pub mod check;
pub mod cli;
pub mod config_source;
mod counters;
pub mod demo;
pub mod detect;
pub mod diagnose;
mod doors;
pub mod embedded;
pub mod listen;
pub mod logging;
mod manager_certificates;
pub mod memory;
mod node;
mod open_files;
pub mod output;
mod replace;
pub mod rules;
pub mod signals;
mod summary;
pub mod systemd;
pub mod tls;

use std::path::Path;
use std::process::ExitCode;

use app::{App, Ended, StartError};
use cli::{Cli, Command, DEFAULT_CONFIG_FILE, RunArgs};
use config_source::ConfigSource;
use detect::Environment;

/// Does what the command line says and returns the exit code: 0 for success, 1 for a failure while
/// running, 2 for a command line or configuration that cannot be used.
pub async fn run(cli: Cli) -> ExitCode {
    match &cli.command {
        None => serve(&cli).await,
        Some(Command::Check(command)) => check::run(command).await,
        Some(Command::Explain(args)) => diagnose::explain(args).await,
        Some(Command::Doctor(args)) => diagnose::doctor(args).await,
        Some(Command::Status(args)) => diagnose::status(args).await,
        Some(Command::Rules(args)) => {
            if output::print(&rules::text(args)) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Some(Command::Dashboards(args)) => embedded::run(&embedded::DASHBOARDS, args),
        Some(Command::Stack(args)) => embedded::run(&embedded::STACKS, args),
        Some(Command::Tls(command)) => tls::run(command).await,
        Some(Command::Node(args)) => node::run(args).await,
        Some(Command::Demo(args)) => demo::run(args, &cli).await.unwrap_or_else(report),
    }
}

/// Runs until a signal or a request ends it.
async fn serve(cli: &Cli) -> ExitCode {
    let options = match serve_options(cli) {
        Ok(options) => options,
        Err(error) => {
            tracing::error!(error = format_args!("{error:#}").to_string(), "Cannot start");
            return ExitCode::from(2);
        }
    };
    match App::start(options).await {
        Ok(app) => match app.run().await {
            Ended::Clean => ExitCode::SUCCESS,
            Ended::Forced | Ended::Failed => ExitCode::FAILURE,
        },
        Err(error) => report(error),
    }
}

fn serve_options(cli: &Cli) -> anyhow::Result<app::Options> {
    let source = config_source(&cli.run);
    let mut flags = cli::values(cli);
    if let ConfigSource::File { path, .. } = &source {
        // The default may have been taken.
        flags.retain(|(name, _)| name != "config.file");
        flags.push((String::from("config.file"), path.display().to_string()));
    }
    let memory = cli.run.limits.memory.unwrap_or_else(memory::default_limit);
    flags.retain(|(name, _)| name != "limits.memory");
    flags.push((String::from("limits.memory"), memory.to_string()));
    flags.sort_unstable();
    let common_labels = cli::state::common_labels(cli.run.cluster.as_deref());
    let listener = &cli.run.web.listener;
    Ok(app::Options {
        source,
        auto_reload: cli.run.auto_reload.then(|| cli.run.auto_reload_interval.into()),
        listen: listener.listen(&cli.run.web.listen_addresses),
        web_config: listener.web_config().map(Path::to_owned),
        memory,
        web: cli::web::options(&cli.run.web)?,
        file_sd: cli.run.file_sd.options(),
        storage_path: cli.run.storage_path.clone(),
        network_status: cli.run.state.network_status,
        certificates: cli.run.state.certificates,
        state: cli.run.state.options(&common_labels)?,
        common_labels,
        copied_labels: cli.run.state.copied_labels(),
        startup_timeout: cli.run.startup_timeout.into(),
        flags,
        ignored_flags: cli.ignored.clone(),
    })
}

/// The file that was named, else the one of this folder, else the local Engine.
fn config_source(args: &RunArgs) -> ConfigSource {
    let default = Path::new(DEFAULT_CONFIG_FILE);
    let path = match &args.config_file {
        Some(path) => path.clone(),
        // One that cannot be read is there, and its error is worth more than a guess.
        None if default.try_exists().unwrap_or(true) => default.to_owned(),
        None => {
            return ConfigSource::Engine(Environment::read(|name| std::env::var(name).ok()));
        }
    };
    let options =
        swarmscout_config::Options { agent: args.agent, ..swarmscout_config::Options::default() };
    ConfigSource::File { path, options }
}

/// Says why the program did not start.
fn report(error: StartError) -> ExitCode {
    match error {
        StartError::Config(errors) => {
            for error in errors.lines() {
                tracing::error!(error, "Cannot use the configuration");
            }
            ExitCode::from(2)
        }
        StartError::Other(error) => {
            tracing::error!(error = format_args!("{error:#}").to_string(), "Cannot start");
            ExitCode::FAILURE
        }
        StartError::Stopped => ExitCode::SUCCESS,
    }
}
