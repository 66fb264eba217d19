//! Swarmscout, the program: command line, configuration file, reload, outputs, web pages.
//!
//! A library so that tests, benchmarks and fuzz targets reach its parts; its interface is the
//! command line, not this.

pub mod app;
pub mod cli;
pub mod config;
pub mod listen;
pub mod logging;
pub mod reload;
pub mod signals;
pub mod web;

use std::process::ExitCode;

use app::{App, Ended, StartError};
use cli::{Cli, DEFAULT_CONFIG_FILE};
use reload::ConfigSource;

/// Does what the command line says and returns the exit code: 0 for success, 1 for a failure while
/// running, 2 for a command line or configuration that cannot be used.
pub async fn run(cli: Cli) -> ExitCode {
    serve(&cli).await
}

/// Runs until it is told to end.
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
    let path = cli.run.config_file.clone().unwrap_or_else(|| DEFAULT_CONFIG_FILE.into());
    let options = config::Options { agent: cli.run.agent, ..config::Options::default() };
    Ok(app::Options {
        source: ConfigSource::File { path, options },
        listen_addresses: cli.run.web.listen_addresses.clone(),
        web: cli::web::options(&cli.run.web)?,
        flags: cli::values(cli),
        ignored_flags: cli.ignored.clone(),
    })
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
