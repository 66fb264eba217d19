//! `/api/v1/targets` at 100,000 targets: the rate of answers, the first byte, and what readers cost
//! that stop to read.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::process::until;
use crate::programs::{Program, both, shows};
use crate::report::{Report, mebibytes, milliseconds, seconds};
use crate::serve::targets;

const TARGETS: usize = 100_000;
const ROUNDS: u32 = 6;
/// Readers that take one piece of their answer and no more.
const STALLED: usize = 100;
/// What such a reader may cost.
const A_READER: f64 = (1 << 20) as f64;

/// Of one program.
struct Figures {
    /// The first byte of an answer, the longest of all rounds.
    first_byte: f64,
    /// An answer, on average.
    wall: f64,
    cpu: f64,
    size: f64,
    peak: f64,
}

pub fn run(report: &mut Report) -> Result<()> {
    for (encoding, what) in [("identity", "plain"), ("gzip", "compressed")] {
        let (ours, peer) = both(|program| measure(program, encoding))?;
        let peer = peer.as_ref();
        let size = mebibytes(ours.size);
        let mut row = |what: &str, of: fn(&Figures) -> f64, wanted, show: fn(f64) -> String| {
            report.row(what, of(&ours), peer.map(of), wanted, show);
        };
        let name = format!("/api/v1/targets of 100,000 targets, {what}, {size}");
        row(&format!("wall time of {name}"), |it| it.wall, "< 0.2", seconds);
        row("CPU of it", |it| it.cpu, "< 0.2", seconds);
        row("the first byte, longest of six", |it| it.first_byte, "< 50 ms", milliseconds);
        row("peak memory", |it| it.peak, "", mebibytes);
    }
    stalled(report)
}

/// Targets are found, not scraped: what is dropped is listed too.
const CONFIG: &str = "scrape_configs:\n- job_name: many\n  file_sd_configs: [{files: [many.json]}]\n  \
                      relabel_configs: [{action: drop, regex: .*}]\n";

fn measure(program: Program, encoding: &str) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("many.json"), targets(TARGETS))?;
    let running = program.start(folder.path(), CONFIG)?;
    let url = format!("{}/api/v1/targets", running.url);
    let last = format!("10.0.{}.{}:8080", (TARGETS - 1) / 250, (TARGETS - 1) % 250);
    until("100,000 targets", Duration::from_mins(2), || Ok(shows(&url, &last).then_some(())))?;
    let address = running.url.trim_start_matches("http://");
    let (cpu, began) = (running.process.cpu()?, Instant::now());
    let (mut first_byte, mut size) = (0.0_f64, 0);
    for _ in 0..ROUNDS {
        let asked = Instant::now();
        let mut stream = ask(address, encoding)?;
        stream.read_exact(&mut [0])?;
        first_byte = first_byte.max(asked.elapsed().as_secs_f64());
        size = std::io::copy(&mut stream, &mut std::io::sink())?;
    }
    Ok(Figures {
        first_byte,
        wall: began.elapsed().as_secs_f64() / f64::from(ROUNDS),
        cpu: (running.process.cpu()? - cpu) / f64::from(ROUNDS),
        size: size as f64,
        peak: running.process.peak_memory()?,
    })
}

/// Memory of readers that stop to read.
fn stalled(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("many.json"), targets(TARGETS))?;
    let running = Program::Swarmscout.start_frugal(folder.path(), CONFIG, &[])?;
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
