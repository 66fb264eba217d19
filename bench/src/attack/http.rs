//! Attacks on HTTP/1.1.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Running;
use super::site::{Door, Site};

/// What one connection sends at most.
const GIGABYTE: u64 = 1 << 30;
const PIECE: usize = 64 << 10;
/// Threads that keep connections open.
const THREADS: usize = 8;

/// As many as 10,000 connections need.
pub(super) fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    ensure!(limit.maximum.is_none_or(|most| most > 12_000), "raise the limit: ulimit -Hn 20000");
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

pub(super) fn slow_headers(site: &Site, running: &Running) {
    trickle(site, running, 1_000, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
}

pub(super) fn slow_bodies(site: &Site, running: &Running) {
    let head =
        b"POST /api/v1/doctor HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
    trickle(site, running, 1_000, head);
}

pub(super) fn silence(site: &Site, running: &Running) {
    trickle(site, running, 10_000, b"");
}

/// The answer is larger than what the kernel keeps for a client.
pub(super) fn deafness(site: &Site, running: &Running) {
    let request = b"GET /sd/many HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64);
    trickle(site, running, 1_000, &request);
}

/// Keeps this many connections open, all with `head` sent, and sends a byte by each once a
/// second. Opens another one for each that was closed.
fn trickle(site: &Site, running: &Running, connections: usize, head: &[u8]) {
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let socket = || -> Result<TcpStream> {
                    let mut stream = site.socket(Door::Plain)?;
                    stream.set_write_timeout(Some(Duration::from_millis(10)))?;
                    stream.write_all(head)?;
                    Ok(stream)
                };
                running.keep_open(connections / THREADS, socket, |stream| {
                    // A client that sends nothing sees the end only if it reads.
                    head.is_empty() || stream.write_all(b"x").is_ok()
                });
            });
        }
    });
}

pub(super) fn long_header(site: &Site, running: &Running) {
    endless(site, running, &vec![b'x'; PIECE]);
}

pub(super) fn many_headers(site: &Site, running: &Running) {
    let mut piece = b"y: 1\r\n".repeat(PIECE / 6);
    piece.extend(b"x");
    endless(site, running, &piece);
}

/// Sends these pieces of a header, up to a gigabyte by each connection.
fn endless(site: &Site, running: &Running, piece: &[u8]) {
    running.on_threads(4, |running| {
        let mut stream = site.socket(Door::Plain)?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nx: ")?;
        let mut sent = 0;
        while sent < GIGABYTE && !running.is_over() {
            if stream.write_all(piece).is_err() {
                break;
            }
            sent += piece.len() as u64;
            // In two steps, since less than a MiB is refused each time.
            running.count(u64::from(sent % (1 << 20) < piece.len() as u64));
        }
        let _ = stream.read(&mut [0; 1024]);
        Ok(())
    });
}
