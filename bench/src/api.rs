//! `/api/v1/targets` at 100,000 targets: the rate of answers, the first byte, and what readers cost
//! that stop to read.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::process::until;
use crate::programs::{Program, Running, shows};
use crate::report::{Report, mebibytes, milliseconds, seconds};
use crate::serve::targets;

const TARGETS: usize = 100_000;
const ROUNDS: usize = 12;
/// Readers that take one piece of their answer and no more.
const STALLED: usize = 100;
/// What such a reader may cost.
const A_READER: f64 = (1 << 20) as f64;

/// Prometheus scrapes targets that no rule drops: here once a day.
const ACTIVE: &str = "scrape_configs:\n- job_name: many\n  scrape_interval: 1d\n  \
                      file_sd_configs: [{files: [many.json]}]\n";
/// Targets are found, not scraped: what is dropped is listed too.
const DROPPED: &str = "scrape_configs:\n- job_name: many\n  file_sd_configs: [{files: [many.json]}]\n  \
                       relabel_configs: [{action: drop, regex: .*}]\n";

/// Of the answers of one program, medians.
struct Figures {
    /// The first byte of an answer, the longest of all rounds.
    first_byte: f64,
    wall: f64,
    cpu: f64,
    size: f64,
    peak: f64,
}

pub fn run(report: &mut Report) -> Result<()> {
    for (config, kind) in [(ACTIVE, "active"), (DROPPED, "dropped")] {
        let ours = Server::start(Program::Swarmscout, config)?;
        let peer = Program::Prometheus.is_there();
        let peer = peer.then(|| Server::start(Program::Prometheus, config)).transpose()?;
        for (encoding, what) in [("identity", "plain"), ("gzip", "compressed")] {
            let (ours, peer) = measure(&ours, peer.as_ref(), encoding)?;
            let peer = peer.as_ref();
            let mut row = |what: &str, of: fn(&Figures) -> f64, wanted, show: fn(f64) -> String| {
                report.row(what, of(&ours), peer.map(of), wanted, show);
            };
            let name = format!("/api/v1/targets of 100,000 {kind} targets, {what}");
            row(&format!("wall time of {name}"), |it| it.wall, "< 0.2", seconds);
            row("CPU of it", |it| it.cpu, "< 0.2", seconds);
            row("its size", |it| it.size, "", mebibytes);
            row("the first byte, longest of twelve", |it| it.first_byte, "< 50 ms", milliseconds);
            row("peak memory", |it| it.peak, "", mebibytes);
        }
    }
    stalled(report)
}

/// A program that has the targets.
struct Server {
    running: Running,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(program: Program, config: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("many.json"), targets(TARGETS))?;
        let running = program.start(folder.path(), config)?;
        let url = format!("{}/api/v1/targets", running.url);
        let last = format!("10.0.{}.{}:8080", (TARGETS - 1) / 250, (TARGETS - 1) % 250);
        until("100,000 targets", Duration::from_mins(2), || Ok(shows(&url, &last).then_some(())))?;
        Ok(Self { running, _folder: folder })
    }

    /// First byte, wall time, CPU and size of an answer.
    fn answer(&self, encoding: &str) -> Result<[f64; 4]> {
        let (cpu, asked) = (self.running.process.cpu()?, Instant::now());
        let mut stream = ask(self.running.url.trim_start_matches("http://"), encoding)?;
        stream.read_exact(&mut [0])?;
        let first_byte = asked.elapsed().as_secs_f64();
        let (mut buffer, mut size) = (vec![0; 1 << 20], 1);
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                read => size += read,
            }
        }
        let wall = asked.elapsed().as_secs_f64();
        Ok([first_byte, wall, self.running.process.cpu()? - cpu, size as f64])
    }

    fn figures(&self, mut answers: Vec<[f64; 4]>) -> Result<Figures> {
        let mut sorted = |of: usize| {
            answers.sort_by(|a, b| a[of].total_cmp(&b[of]));
            answers.iter().map(|answer| answer[of]).collect::<Vec<_>>()
        };
        let mut median = |of| sorted(of)[ROUNDS / 2];
        let (wall, cpu, size) = (median(1), median(2), median(3));
        let first_byte = sorted(0)[ROUNDS - 1];
        Ok(Figures { first_byte, wall, cpu, size, peak: self.running.process.peak_memory()? })
    }
}

/// Both in turn, so that what else this machine does slows both.
fn measure(
    ours: &Server,
    peer: Option<&Server>,
    encoding: &str,
) -> Result<(Figures, Option<Figures>)> {
    let (mut of_ours, mut of_peer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_ours.push(ours.answer(encoding)?);
        if let Some(peer) = peer {
            of_peer.push(peer.answer(encoding)?);
        }
    }
    let peer = peer.map(|peer| peer.figures(of_peer)).transpose()?;
    Ok((ours.figures(of_ours)?, peer))
}

/// Memory of readers that stop to read.
fn stalled(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("many.json"), targets(TARGETS))?;
    let running = Program::Swarmscout.start_frugal(folder.path(), DROPPED, &[])?;
    let address = running.url.trim_start_matches("http://");
    let url = format!("{}/api/v1/targets", running.url);
    until(
        "100,000 targets",
        Duration::from_mins(2),
        || Ok(shows(&url, "10.0.399.").then_some(())),
    )?;
    let before = running.process.memory()?;
    let mut readers = Vec::new();
    for _ in 0..STALLED {
        let mut stream = ask(address, "identity")?;
        stream.read_exact(&mut vec![0; 64 << 10])?;
        readers.push(stream);
    }
    let each = (running.process.memory()? - before).max(0.0) / STALLED as f64;
    report.row("memory of a reader that stops to read", each, None, "< 1 MiB", mebibytes);
    ensure!(each < A_READER, "a reader that stops to read costs more than 1 MiB");
    Ok(())
}

fn ask(address: &str, encoding: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).context("no server")?;
    let request = format!(
        "GET /api/v1/targets HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {encoding}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}
