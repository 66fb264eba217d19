//! What TLS and passwords cost (`--web.config.file`): three addresses of one program, one without a
//! web configuration, one with TLS and one with users.
//!
//! Needs curl, which reads faster than the program writes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::process::{pause_until, until};
use crate::programs::{HASH, Program, Running, USER, certificates, free_address, get};
use crate::report::{Report, mebibytes, milliseconds, seconds};
use crate::serve::targets;

/// The targets of the large list, and of the small one.
const LARGE: usize = 100_000;
const SMALL: usize = 100;
/// Times that each kind of connection is measured, in turn.
const ROUNDS: usize = 5;
/// Large lists on one connection.
const LISTS: usize = 20;
/// Connections with and without a password, each with a request every `GAP`.
const CONNECTIONS: u32 = 20;
const GAP: Duration = Duration::from_millis(20);
const LASTS: Duration = Duration::from_secs(6);

pub fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    certificates(path)?;
    let tls = "tls_server_config: {cert_file: tls/server.pem, key_file: tls/server-key.pem}\n";
    fs::write(path.join("tls.yml"), tls)?;
    fs::write(path.join("users.yml"), format!("basic_auth_users:\n  reader: {HASH}\n"))?;
    fs::write(path.join("large.json"), targets(LARGE))?;
    fs::write(path.join("small.json"), targets(SMALL))?;
    let config = "scrape_configs:\n\
                  - job_name: large\n  file_sd_configs: [{files: [large.json]}]\n\
                  - job_name: small\n  file_sd_configs: [{files: [small.json]}]\n";
    let (with_tls, with_users) = (free_address()?, free_address()?);
    let listen = |address: SocketAddr, file: &str| {
        format!("--web.listen-address={address},config={}", path.join(file).display())
    };
    let flags = [listen(with_tls, "tls.yml"), listen(with_users, "users.yml")];
    let flags = flags.each_ref().map(String::as_str);
    let running = Program::Swarmscout.start_with(path, config, &flags)?;
    let plain = running.url.trim_start_matches("http://").parse()?;
    let size = until("the lists", Duration::from_mins(1), || {
        let are_there = |job| get(&format!("{}/sd/{job}", running.url)).filter(|it| it.len() > 2);
        Ok(are_there("small").and(are_there("large")).map(|body| body.len()))
    })?;
    throughput(report, &running, plain, with_tls, size, &path.join("tls/ca.pem"))?;
    passwords(report, &running, plain, with_users)
}

/// Of one kind of connection.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    wall: f64,
    cpu: f64,
}

impl Cost {
    /// What `work` takes, for each of `times`.
    fn of(running: &Running, times: f64, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let (cpu, started) = (running.process.cpu()?, Instant::now());
        work()?;
        let wall = started.elapsed().as_secs_f64() / times;
        Ok(Self { wall, cpu: (running.process.cpu()? - cpu) / times })
    }
}

/// The median of each.
fn median(costs: &[Cost]) -> Cost {
    let median = |of: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Cost { wall: median(|it| it.wall), cpu: median(|it| it.cpu) }
}

fn throughput(
    report: &mut Report,
    running: &Running,
    plain: SocketAddr,
    with_tls: SocketAddr,
    size: usize,
    authority: &Path,
) -> Result<()> {
    let kinds = [
        ("plain", format!("http://{plain}/sd/large"), "--http1.1"),
        ("TLS, HTTP/1.1", format!("https://{with_tls}/sd/large"), "--http1.1"),
        ("TLS, HTTP/2", format!("https://{with_tls}/sd/large"), "--http2"),
    ];
    let mut costs = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for ((_, url, version), costs) in kinds.iter().zip(&mut costs) {
            let cost = Cost::of(running, LISTS as f64, || curl(url, version, authority, size))?;
            costs.push(cost);
        }
    }
    let [first, others @ ..] = costs.map(|costs| median(&costs));
    let size = mebibytes(size as f64);
    let what = format!("a list of {LARGE} targets, {size}, one reader, plain");
    report.row(&format!("{what}, wall time"), first.wall, None, "", seconds);
    report.row("CPU of it", first.cpu, None, "", seconds);
    for ((kind, ..), cost) in kinds[1..].iter().zip(others) {
        let wanted = "< 2 times plain";
        report.row(&format!("{kind}, wall time"), cost.wall, Some(first.wall), wanted, seconds);
        report.row("CPU of it", cost.cpu, Some(first.cpu), wanted, seconds);
    }
    Ok(())
}

/// Reads the list some times on one connection.
fn curl(url: &str, version: &str, authority: &Path, size: usize) -> Result<()> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", version, "--cacert"]).arg(authority);
    command.args(["--write-out", "%{size_download} %{http_version}\n"]);
    for _ in 0..LISTS {
        command.args(["--output", "/dev/null", url]);
    }
    let output = command.output().context("cannot start curl")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let version = version.trim_start_matches("--http");
    let expected = format!("{size} {version}\n").repeat(LISTS);
    let answers = String::from_utf8(output.stdout)?;
    ensure!(answers == expected, "curl got other answers: {answers}");
    Ok(())
}

fn passwords(
    report: &mut Report,
    running: &Running,
    plain: SocketAddr,
    with_users: SocketAddr,
) -> Result<()> {
    // The program knows the password after the first request.
    Requests::new(with_users)?.next()?;
    let mut costs = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (address, costs) in [plain, with_users].into_iter().zip(&mut costs) {
            costs.push(Cost::of(running, LASTS.as_secs_f64(), || paced(address))?);
        }
    }
    let [without, with] = costs.map(|costs| median(&costs).cpu);
    let rate = f64::from(CONNECTIONS) / GAP.as_secs_f64();
    let what = format!("{rate:.0} requests a second for a list of {SMALL}");
    report.row(&format!("CPU of a second of {what}, no users"), without, None, "", milliseconds);
    report.row("with a known password", with, Some(without), "", milliseconds);
    report.row("the difference", with - without, None, "< 100 ms", milliseconds);
    Ok(())
}

/// Sends requests by all connections, at their pace.
fn paced(address: SocketAddr) -> Result<()> {
    std::thread::scope(|scope| {
        let started = Instant::now();
        let connections = (0..CONNECTIONS).map(|connection| {
            scope.spawn(move || -> Result<()> {
                let mut requests = Requests::new(address)?;
                let mut next = started + GAP * connection / CONNECTIONS;
                while next < started + LASTS {
                    pause_until(next);
                    requests.next()?;
                    next += GAP;
                }
                let late = next.elapsed();
                ensure!(late < LASTS / 10, "this machine is too slow: {late:?} late");
                Ok(())
            })
        });
        let connections: Vec<_> = connections.collect();
        connections
            .into_iter()
            .try_for_each(|connection| connection.join().expect("a connection does not panic"))
    })
}

/// Requests with a password on one connection.
struct Requests {
    stream: TcpStream,
    request: String,
    answer: Vec<u8>,
}

impl Requests {
    fn new(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let credentials = BASE64_STANDARD.encode(USER);
        let request = format!(
            "GET /sd/small HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {credentials}\r\n\r\n"
        );
        Ok(Self { stream, request, answer: vec![0; 1 << 20] })
    }

    /// Sends the next one, and reads the whole answer.
    fn next(&mut self) -> Result<()> {
        self.stream.write_all(self.request.as_bytes())?;
        let (mut read, mut size) = (0, None);
        while size.is_none_or(|size| read < size) {
            let more = self.stream.read(&mut self.answer[read..])?;
            ensure!(more > 0, "closed in the middle of an answer");
            read += more;
            if size.is_none() {
                size = size_of_answer(&self.answer[..read])?;
            }
        }
        Ok(())
    }
}

/// The size of an answer of status 200, once its header is there.
pub fn size_of_answer(answer: &[u8]) -> Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = str::from_utf8(&answer[..end])?.to_ascii_lowercase();
    ensure!(head.starts_with("http/1.1 200 "), "another status: {head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Ok(Some(end + 4 + length.context("no Content-Length")?.parse::<usize>()?))
}
