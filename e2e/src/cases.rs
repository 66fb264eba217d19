//! Runs the cases of a test file one after the other on one Swarm.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::cluster::Cluster;

/// Far more than what most cases wait for takes.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// One case, in a folder of its own.
pub type Case = fn(&mut Cluster, &Path) -> Result<()>;

/// Brings up a Swarm, unless only the names are asked for, and runs what the arguments name.
pub fn run(cases: &'static [(&str, Case)], up: impl FnOnce() -> Result<Cluster>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if arguments.list {
        let trials = cases.iter().map(|(name, _)| Trial::test(*name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let cluster = match up() {
        Ok(cluster) => Arc::new(Mutex::new(cluster)),
        Err(error) => {
            eprintln!("cannot bring up a Swarm: {error:?}");
            return ExitCode::FAILURE;
        }
    };
    let trials = cases.iter().enumerate().map(|(i, (name, case))| {
        let cluster = Arc::clone(&cluster);
        Trial::test(*name, move || {
            let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
            let folder = cluster.folder().join(format!("case-{i}"));
            fs::create_dir_all(&folder)?;
            case(&mut cluster, &folder).map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
