//! `swarmscout check`: promtool's checks, for files, jobs and running programs.
//!
//! Results go to stdout, errors to stderr. Exit codes are promtool's: 0 where all is well, 1 where
//! a check fails; a wrong command line ends with 2.

mod config;
mod discovery;
mod status;
mod web_config;

use std::process::ExitCode;

use crate::cli::CheckCommand;

/// Runs one check.
pub async fn run(command: &CheckCommand) -> ExitCode {
    let passed = match command {
        CheckCommand::Config(args) => config::check(args),
        CheckCommand::ServiceDiscovery(args) => discovery::check(args).await,
        CheckCommand::WebConfig(args) => web_config::check(&args.files),
        CheckCommand::Healthy(args) => status::check(args, "/-/healthy").await,
        CheckCommand::Ready(args) => status::check(args, "/-/ready").await,
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
