//! swarm-scheduler-exporter, beside ours. It reads the whole Swarm at each poll, every ten seconds.

use std::ffi::OsString;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::{Process, until};
use crate::refresh::Swarm;

/// How many polls are counted.
const POLLS: f64 = 10.0;

/// What it takes.
#[derive(Debug)]
pub struct Peer {
    /// Seconds of CPU for a poll and what is scraped after it.
    pub cpu: f64,
    /// Of its metrics, without those about itself.
    pub bytes: f64,
    /// Resident, in bytes.
    pub memory: f64,
}

impl Peer {
    pub fn measure(path: OsString, swarm: &Swarm) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = Command::new(path);
        command.env("DOCKER_HOST", swarm.url()).args(["-listen-addr", &address]);
        // Each poll is as expensive as the one before: the figure is the same in less time.
        command.args(["-poll-delay", "1s", "-log-level", "error"]);
        let process = Process::start(&mut command, &folder.path().join("log"))?;
        let url = format!("http://{address}/metrics");
        // It empties some families before it fills them again: the largest answer is the whole one.
        let mut bytes = 0.0_f64;
        let mut after = |polls: f64| {
            until("a poll of swarm-scheduler-exporter", Duration::from_mins(2), || {
                let text = crate::programs::get(&url).unwrap_or_default();
                let text = String::from_utf8(text)?;
                bytes = bytes.max(size_of(&text, |family| {
                    family.starts_with("swarm_") && !family.starts_with("swarm_exporter_")
                }));
                let polled = text.lines().find_map(|line| {
                    line.strip_prefix("swarm_exporter_polls_total ")?.parse::<f64>().ok()
                });
                Ok(polled.filter(|polled| *polled >= polls))
            })
        };
        let first = after(1.0)?;
        let before = process.cpu()?;
        let last = after(first + POLLS)?;
        let cpu = (process.cpu()? - before) / (last - first);
        Ok(Self { cpu, bytes, memory: process.memory()? })
    }
}

/// The bytes of the series of some families.
pub fn size_of(exposition: &str, is_wanted: impl Fn(&str) -> bool) -> f64 {
    let wanted = exposition.lines().filter(|line| is_wanted(family_of(line)));
    wanted.map(|line| line.len() as f64 + 1.0).sum()
}

/// The family of a line; of a comment something else.
pub fn family_of(line: &str) -> &str {
    line.split(['{', ' ']).next().unwrap_or_default()
}
