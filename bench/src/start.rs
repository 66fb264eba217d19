//! From the start of the process to the first complete answer; memory at rest; size of the binary.

use std::time::Duration;

use anyhow::Result;

use crate::process::until;
use crate::programs::{Program, Running, both, shows};
use crate::refresh::Swarm;
use crate::report::{Report, mebibytes, seconds};

pub fn run(report: &mut Report) -> Result<()> {
    let small = Swarm::start(3, 30)?;
    let ((first, ours), peer) = both(|program| first_answer(program, &small))?;
    let wall = peer.as_ref().map(|(first, _)| *first);
    report.row(
        "wall time to the first complete answer, 3 nodes and 30 tasks",
        first,
        wall,
        "< 0.1 s",
        seconds,
    );
    let theirs = peer.as_ref().map(|(_, peer)| peer.process.memory()).transpose()?;
    report.row(
        "memory at rest, 3 nodes and 30 tasks",
        ours.process.memory()?,
        theirs,
        "< 20 MB",
        mebibytes,
    );
    drop((ours, peer));

    let large = Swarm::start(1000, 10_000)?;
    let ((first, _), peer) = both(|program| first_answer(program, &large))?;
    let wall = peer.map(|(first, _)| first);
    report.row(
        "wall time to the first complete answer, 1,000 nodes and 10,000 tasks",
        first,
        wall,
        "< 0.5 s",
        seconds,
    );

    let theirs = Program::Prometheus.size().ok().map(|size| size as f64);
    report.row(
        "size of the binary",
        Program::Swarmscout.size()? as f64,
        theirs,
        "< 20 MB",
        mebibytes,
    );
    Ok(())
}

/// Seconds until the job's targets are served: by `/sd` here, by `/api/v1/targets` there.
fn first_answer(program: Program, swarm: &Swarm) -> Result<(f64, Running)> {
    let folder = tempfile::tempdir()?;
    let running = program.start(folder.path(), &swarm.config("60s"))?;
    let url = match program {
        Program::Swarmscout => format!("{}/sd/tasks?meta=0", running.url),
        Program::Prometheus => format!("{}/api/v1/targets?state=active", running.url),
    };
    until("the first answer", Duration::from_mins(1), || {
        Ok(shows(&url, r#""service""#).then_some(()))
    })?;
    Ok((running.started.elapsed().as_secs_f64(), running))
}
