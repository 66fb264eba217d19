//! 200 readers of 100,000 targets at one time, some of them slow and some that stop reading: memory
//! stays bounded, and discovery is not held up. And what one answer about as many targets costs,
//! without Prometheus: 200 readers would cost it more memory than there is.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::process::{pause_until, until};
use crate::programs::{Program, Running, both, get, replace, shows};
use crate::refresh::Swarm;
use crate::report::{Report, count, mebibytes, milliseconds, seconds};
use crate::serve::targets;

const TARGETS: usize = 100_000;
const READERS: usize = 200;
/// Of ten readers one takes its answer in drops, and one stops to take it.
const KINDS: usize = 10;
/// A drop, and the time between two.
const DROP: (usize, Duration) = (16 << 10, Duration::from_millis(20));
/// Files change and are awaited for so long, without readers and with them.
const QUIET: Duration = Duration::from_secs(20);
const BUSY: Duration = Duration::from_mins(1);
/// Time between two changes.
const GAP: Duration = Duration::from_millis(300);
/// Memory that a reader may cost.
const A_READER: f64 = (1 << 20) as f64;

/// Answers beside Prometheus, and how many at one time.
const ANSWERS: usize = 12;
const AT_ONE_TIME: usize = 4;

pub fn run(report: &mut Report) -> Result<()> {
    beside_peer(report)?;
    let swarm = Swarm::start(3, 300)?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("many.json"), targets(TARGETS))?;
    let mut ticks = Ticks { folder: folder.path(), last: 0 };
    ticks.next()?;
    let config = format!(
        "scrape_configs:\n\
         - job_name: many\n  file_sd_configs: [{{files: [many.json]}}]\n\
         - job_name: tick\n  file_sd_configs: [{{files: [tick.json]}}]\n\
         - job_name: tasks\n  dockerswarm_sd_configs: [{{host: '{}', role: tasks, refresh_interval: 1s}}]\n",
        swarm.url()
    );
    let scout = Program::Swarmscout.start(folder.path(), &config)?;
    let size = until("100,000 targets", Duration::from_mins(1), || {
        Ok(get(&format!("{}/sd/many", scout.url)).map(|body| body.len()))
    })?;
    get(&format!("{}/api/v1/targets", scout.url)).context("no targets")?;

    let quiet = measure(&scout, &mut ticks, QUIET)?;
    let memory = scout.process.memory()?;
    let (stop, whole, bytes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let busy = std::thread::scope(|scope| {
        let address = scout.url.trim_start_matches("http://");
        let (stop, whole, bytes) = (&stop, &whole, &bytes);
        for i in 0..READERS {
            scope.spawn(move || read_on(address, i, stop, whole, bytes));
        }
        let measured = measure(&scout, &mut ticks, BUSY);
        stop.store(true, Ordering::Relaxed);
        measured
    })?;
    let peak = scout.process.peak_memory()?;

    let answers = whole.load(Ordering::Relaxed) as f64;
    let list = mebibytes(size as f64);
    report.row(
        &format!(
            "{READERS} readers of /sd ({list}) and /api/v1/targets, for a minute: whole answers"
        ),
        answers,
        None,
        "",
        count,
    );
    report.row("read by them", bytes.load(Ordering::Relaxed) as f64, None, "", mebibytes);
    report.row("CPU meanwhile", busy.cpu, None, "", seconds);
    report.row("memory before", memory, None, "", mebibytes);
    let most = memory + READERS as f64 * A_READER;
    let wanted = format!("< {} (1 MiB a reader)", mebibytes(most));
    report.row("most memory", peak, None, &wanted, mebibytes);
    for (what, of, wanted) in [
        (
            "a file's change until it is served, p50",
            (|delays| delays.median) as fn(&Delays) -> f64,
            "",
        ),
        ("the longest", |delays| delays.longest, ""),
        ("a refresh from an Engine, on average", |delays| delays.refresh, ""),
        (
            "from one refresh of it to the next, with an interval of 1 s",
            |delays| delays.interval,
            "1 s",
        ),
    ] {
        report.row(&format!("{what}; without readers"), of(&quiet), None, wanted, milliseconds);
        report.row(&format!("{what}; with {READERS}"), of(&busy), None, wanted, milliseconds);
    }
    ensure!(peak < most, "{READERS} readers cost more than 1 MiB each");
    // Half a refresh later than it should, on average, is late.
    ensure!(busy.interval < 1.5, "readers delay refreshes");
    Ok(())
}

/// The whole list of `/api/v1/targets`.
fn beside_peer(report: &mut Report) -> Result<()> {
    let (ours, peer) = both(|program| {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("many.json"), targets(TARGETS))?;
        // Found, not scraped: what is dropped is listed too.
        let config = "scrape_configs:\n- job_name: many\n  file_sd_configs: [{files: [many.json]}]\n  \
                      relabel_configs: [{action: drop, regex: .*}]\n";
        let running = program.start(folder.path(), config)?;
        let url = format!("{}/api/v1/targets", running.url);
        let last = format!("10.0.{}.{}:8080", (TARGETS - 1) / 250, (TARGETS - 1) % 250);
        until("100,000 targets", Duration::from_mins(2), || Ok(shows(&url, &last).then_some(())))?;
        let (before, began) = (running.process.cpu()?, Instant::now());
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..AT_ONE_TIME)
                .map(|_| scope.spawn(|| (0..ANSWERS / AT_ONE_TIME).all(|_| get(&url).is_some())))
                .collect();
            readers.into_iter().all(|reader| reader.join().unwrap_or(false))
        })
        .then_some(())
        .context("an answer is missing")?;
        let wall = began.elapsed().as_secs_f64() / ANSWERS as f64;
        let cpu = (running.process.cpu()? - before) / ANSWERS as f64;
        Ok((cpu, wall, running.process.peak_memory()?))
    })?;
    let what = format!("/api/v1/targets of 100,000 targets, {AT_ONE_TIME} readers");
    let peer = peer.as_ref();
    report.row(
        &format!("CPU of an answer of {what}"),
        ours.0,
        peer.map(|peer| peer.0),
        "",
        seconds,
    );
    report.row("wall time for each", ours.1, peer.map(|peer| peer.1), "", seconds);
    report.row("peak memory", ours.2, peer.map(|peer| peer.2), "", mebibytes);
    Ok(())
}

/// The one target of the job `tick`, another one each time.
struct Ticks<'a> {
    folder: &'a Path,
    last: u32,
}

impl Ticks<'_> {
    /// The address that is there from now on.
    fn next(&mut self) -> Result<String> {
        self.last += 1;
        let address = format!("tick:{}", self.last);
        replace(&self.folder.join("tick.json"), json!([{ "targets": [address] }]).to_string())?;
        Ok(address)
    }
}

/// Seconds.
struct Delays {
    median: f64,
    longest: f64,
    /// How long a refresh takes.
    refresh: f64,
    /// From one to the next.
    interval: f64,
    cpu: f64,
}

/// How long changes take to be seen, and refreshes to be done.
fn measure(scout: &Running, ticks: &mut Ticks<'_>, time: Duration) -> Result<Delays> {
    let url = format!("{}/sd/tick", scout.url);
    let (before, cpu, began) = (refreshes(scout)?, scout.process.cpu()?, Instant::now());
    let mut next = began;
    let mut delays = Vec::new();
    while began.elapsed() < time {
        let changed = Instant::now();
        let address = ticks.next()?;
        until("the change", Duration::from_mins(1), || {
            Ok(shows(&url, &format!("\"{address}\"")).then_some(()))
        })?;
        delays.push(changed.elapsed().as_secs_f64());
        next += GAP;
        pause_until(next);
    }
    let after = refreshes(scout)?;
    let took = began.elapsed().as_secs_f64();
    ensure!(after.1 > before.1, "the Engine was not refreshed");
    delays.sort_by(f64::total_cmp);
    Ok(Delays {
        median: delays[delays.len() / 2],
        longest: delays[delays.len() - 1],
        refresh: (after.0 - before.0) / (after.1 - before.1),
        interval: took / (after.1 - before.1),
        cpu: scout.process.cpu()? - cpu,
    })
}

/// Seconds that refreshes of the Engine took, and how many there were.
fn refreshes(scout: &Running) -> Result<(f64, f64)> {
    let metrics = get(&format!("{}/metrics", scout.url)).context("no metrics")?;
    let metrics = String::from_utf8(metrics)?;
    let value = |suffix: &str| -> Result<f64> {
        let name =
            format!("prometheus_sd_refresh_duration_seconds_{suffix}{{mechanism=\"dockerswarm\"");
        let line =
            metrics.lines().find(|line| line.starts_with(&name)).context("no such series")?;
        Ok(line.rsplit_once(' ').context("no value")?.1.parse()?)
    };
    Ok((value("sum")?, value("count")?))
}

/// Reads one answer after the other, each on a connection of its own, until it is asked to stop.
fn read_on(address: &str, reader: usize, stop: &AtomicBool, whole: &AtomicU64, bytes: &AtomicU64) {
    let path =
        if reader.is_multiple_of(2) { "/sd/many" } else { "/api/v1/targets?scrapePool=many" };
    let mut buffer = vec![0; 256 << 10];
    // One that is refused or cut off comes again, as a Prometheus does.
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let timeout = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        if timeout.is_err() || stream.write_all(request.as_bytes()).is_err() {
            continue;
        }
        while !stop.load(Ordering::Relaxed) {
            let size = match reader % KINDS {
                0 | 1 => DROP.0,
                _ => buffer.len(),
            };
            match stream.read(&mut buffer[..size]) {
                Ok(0) => {
                    whole.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(read) => {
                    bytes.fetch_add(read as u64, Ordering::Relaxed);
                }
                Err(error) if is_timeout(&error) => {}
                Err(_) => break,
            }
            match reader % KINDS {
                0 => pause_until(Instant::now() + DROP.1),
                // Takes nothing any more, until it is cut off or all are asked to stop.
                1 => {
                    while !stop.load(Ordering::Relaxed) && !is_cut_off(&stream) {
                        pause_until(Instant::now() + GAP);
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Whether the other side has reset the connection.
fn is_cut_off(stream: &TcpStream) -> bool {
    !matches!(stream.take_error(), Ok(None))
}
