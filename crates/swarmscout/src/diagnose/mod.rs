//! `explain`, `doctor` and `status`: why targets are missing, as text for a terminal.
//!
//! The running program is asked, or with `--config.file` the Swarm itself. Results go to stdout,
//! errors to stderr. Exit codes: 0 where all is well, 1 where something is not, 2 where nothing could
//! be found out.

pub(crate) mod direct;
mod doctor;
mod explain;
mod page;
mod status;
mod watch;

use std::process::ExitCode;

use crate::cli::{DoctorArgs, ExplainArgs, StatusArgs};

/// Nothing could be found out.
const NO_RESULT: u8 = 2;

/// What to do if no program answers.
const ADVICE: &str = "if Swarmscout runs elsewhere, give its --url; to ask the Swarm without a \
                      running Swarmscout, give --config.file";

/// Runs `doctor`.
pub async fn doctor(args: &DoctorArgs) -> ExitCode {
    doctor::run(args).await
}

/// Runs `explain`.
pub async fn explain(args: &ExplainArgs) -> ExitCode {
    explain::run(args).await
}

/// Runs `status`.
pub async fn status(args: &StatusArgs) -> ExitCode {
    status::run(args).await
}
