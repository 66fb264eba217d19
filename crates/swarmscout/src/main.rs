//! Swarmscout finds every service, task and node of a Docker Swarm and serves them to Prometheus.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use mimalloc::MiMalloc;
use swarmscout::cli::Command;
use swarmscout::output::print_unwritten;
use swarmscout::{cli, logging};
use tokio::runtime::Builder;

/// A static binary has musl's allocator, which is slow. Built without huge pages (`no_thp`): they
/// double the idle memory, 21 MB instead of 11.
///
/// How soon it returns freed memory is set by `MIMALLOC_PURGE_DELAY` (docs/install.md). Only the
/// environment and unsafe calls can set it; no feature and no macro of its build has the default.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// More do not make discovery faster, and each costs memory, which small machines lack.
const MAX_WORKERS: usize = 4;

/// For file SD, which needs one. What may hang elsewhere, and what takes long, has threads of its
/// own (`net::lane`, `net::cpu`). Idle ones end after ten seconds.
const MAX_BLOCKING_THREADS: usize = 4;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` is an answer, which must not be lost in silence. A reader may be gone.
            if let Err(lost) = error.print()
                && !error.use_stderr()
                && lost.kind() != ErrorKind::BrokenPipe
            {
                print_unwritten(&lost);
                return ExitCode::FAILURE;
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // Kept to the end: dropping it writes the last lines.
    let _log = match cli.logs.then(|| logging::init(cli.log)).transpose() {
        Ok(log) => log,
        Err(error) => {
            // There is no log, and nowhere else to say it where stderr is closed.
            let _ = writeln!(std::io::stderr(), "cannot start: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "Cannot start");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    let mut runtime = match cli.command {
        // Between requests it waits, and what answers them has threads of its own.
        Some(Command::Node(_)) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
    let runtime = runtime
        .worker_threads(workers)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .enable_all()
        .build()?;
    let code = runtime.block_on(swarmscout::run(cli));
    // A read that hangs must not hold up the end.
    runtime.shutdown_background();
    Ok(code)
}
