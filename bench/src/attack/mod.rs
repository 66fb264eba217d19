//! Clients that want to do harm, each for some seconds, and an honest reader beside them.
//!
//! The reader opens a connection for each request, as one does that has just been started: in turn
//! without TLS and with TLS and a password. It must have each answer within a second, and each must be
//! what it was before the attack. The process must stay within the memory that is given here.

mod http;
mod http2;
mod site;
mod tls;

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use self::site::{Door, Site};
use crate::process::pause_until;
use crate::report::{Report, count, mebibytes, milliseconds};

/// How long each attack lasts.
const LASTS: Duration = Duration::from_secs(10);
/// The time between two requests of the reader.
const GAP: Duration = Duration::from_millis(50);
/// The longest that the reader may wait for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most memory that the process may have: it has some 20 MiB at rest.
const MEMORY: f64 = (128 << 20) as f64;

type Attack = fn(&Site, &Running);

/// What each does, what is counted, and the attack.
const ATTACKS: &[(&str, &str, Attack)] = &[
    ("nothing", "", |_, running| running.wait()),
    ("1,000 connections that send a header, a byte a second", "connections", http::slow_headers),
    ("1,000 connections that send a body, a byte a second", "connections", http::slow_bodies),
    ("10,000 connections that send nothing", "connections", http::silence),
    ("1,000 connections that never read their answer", "connections", http::deafness),
    ("a header of a gigabyte, four at a time", "MiB", http::long_header),
    ("a gigabyte of short headers, four at a time", "MiB", http::many_headers),
    ("TLS handshakes, eight at a time", "handshakes", tls::handshakes),
    ("1,000 connections that stop within the handshake", "connections", tls::half_handshakes),
    ("wrong passwords of a known user, 16 at a time", "requests", tls::passwords),
    ("wrong passwords of unknown users, 16 at a time", "requests", tls::unknown_users),
    ("HTTP/2: streams that are reset at once (rapid reset)", "streams", http2::rapid_reset),
    ("HTTP/2: headers without an end (CONTINUATION)", "frames", http2::continuations),
    ("HTTP/2: SETTINGS frames", "frames", http2::settings),
    ("HTTP/2: PING frames", "frames", http2::pings),
    ("HTTP/2: empty DATA frames", "frames", http2::empty_data),
    ("HTTP/2: requests whose answers have no window", "streams", http2::no_window),
];

pub fn run(report: &mut Report) -> Result<()> {
    http::raise_descriptor_limit()?;
    let site = Site::start()?;
    let mut broken = Vec::new();
    for (what, unit, attack) in ATTACKS {
        site.process.reset_peak_memory()?;
        let running = Running::new(LASTS);
        let (longest, failed) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| read_on(&site, &running));
            attack(&site, &running);
            running.stop();
            reader.join().expect("the reader does not panic")
        })?;
        let peak = site.process.peak_memory()?;
        let longest = longest.as_secs_f64();
        report.row(
            &format!("{what}: the longest wait of a reader"),
            longest,
            None,
            "< 1 s",
            milliseconds,
        );
        report.row("most memory", peak, None, &format!("< {}", mebibytes(MEMORY)), mebibytes);
        if !unit.is_empty() {
            report.row(unit, running.done() as f64, None, "", count);
        }
        if failed > 0 {
            report.row(
                "requests of the reader that failed and were sent again",
                failed as f64,
                None,
                "",
                count,
            );
        }
        if longest > PATIENCE.as_secs_f64() {
            broken.push(format!("{what}: a reader waited {}", milliseconds(longest)));
        }
        if peak > MEMORY {
            broken.push(format!("{what}: {}", mebibytes(peak)));
        }
    }
    ensure!(broken.is_empty(), "not within the limits:\n{}", broken.join("\n"));
    Ok(())
}

/// Requests until the attack is over. Returns the longest wait, and how many requests failed.
fn read_on(site: &Site, running: &Running) -> Result<(Duration, u64)> {
    let (mut longest, mut failed) = (Duration::ZERO, 0);
    let mut doors = [Door::Plain, Door::Tls].into_iter().cycle();
    while !running.is_over() {
        let door = doors.next().expect("it is endless");
        let wanted = Instant::now();
        loop {
            match site.read(door) {
                Ok(body) => {
                    ensure!(body == site.body, "the answer is another one than before");
                    break;
                }
                Err(_) if wanted.elapsed() < Duration::from_secs(30) => failed += 1,
                Err(error) => return Err(error.context("no answer within 30 s")),
            }
        }
        longest = longest.max(wanted.elapsed());
        pause_until(Instant::now() + GAP);
    }
    Ok((longest, failed))
}

/// An attack that is going on.
#[derive(Debug)]
struct Running {
    end: Instant,
    stopped: AtomicBool,
    done: AtomicU64,
}

impl Running {
    fn new(lasts: Duration) -> Self {
        Self {
            end: Instant::now() + lasts,
            stopped: AtomicBool::new(false),
            done: AtomicU64::new(0),
        }
    }

    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || Instant::now() >= self.end
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Until the end.
    fn wait(&self) {
        pause_until(self.end);
    }

    /// Counts what the attack did.
    fn count(&self, number: u64) {
        self.done.fetch_add(number, Ordering::Relaxed);
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Keeps this many connections open. Once a second it tries each with `alive`, and opens another
    /// one for each that was closed.
    fn keep_open(
        &self,
        connections: usize,
        open: impl Fn() -> Result<TcpStream>,
        alive: impl Fn(&mut TcpStream) -> bool,
    ) {
        let mut all: Vec<TcpStream> = Vec::new();
        while !self.is_over() {
            let next = Instant::now() + Duration::from_secs(1);
            all.retain_mut(|stream| alive(stream));
            while all.len() < connections && Instant::now() < next && !self.is_over() {
                if let Ok(stream) = open() {
                    self.count(1);
                    all.push(stream);
                }
            }
            pause_until(next);
        }
    }

    /// Does it again and again on this many threads. What fails was refused, and is ignored.
    fn on_threads(&self, threads: usize, attempt: impl Fn(&Self) -> Result<()> + Sync) {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !self.is_over() {
                        if attempt(self).is_err() {
                            pause_until(Instant::now() + Duration::from_millis(1));
                        }
                    }
                });
            }
        });
    }
}
