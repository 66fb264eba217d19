//! What reach costs: 200 targets of 1,000 series, each scraped every ten seconds, directly and through
//! a node part over TLS.
//!
//! The node part is `crates/reach/examples/node.rs`, built by `cargo build --release -p swarmscout-reach
//! --example node`. Needs gzip: exporters compress what they send.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::doors::size_of_answer;
use crate::process::{Process, pause_until, until};
use crate::report::{Report, mebibytes, milliseconds, seconds};

const TARGETS: u32 = 200;
const SERIES: u32 = 1000;
const INTERVAL: Duration = Duration::from_secs(10);
/// Scrapes of each target that are measured, and before that one that opens connections.
const SCRAPES: u32 = 6;
const CONTAINER: &str = "78e37991ebe3ce50f640047980ca42628a8f017e859c52b4b592b755c7a73f58";

pub fn run(report: &mut Report) -> Result<()> {
    for (what, compressed) in [("gzip", true), ("not compressed", false)] {
        measure(report, what, compressed)?;
    }
    Ok(())
}

fn measure(report: &mut Report, what: &str, compressed: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let exporter = exporter(compressed)?;
    let node = Node::start(folder.path(), exporter)?;
    let began = Instant::now() + Duration::from_secs(1);
    // Directly and through the node part in turn, so that both meet the same machine.
    let (cpu, delays) = std::thread::scope(|scope| -> Result<_> {
        let targets = (0..TARGETS).map(|target| {
            let node = &node;
            scope.spawn(move || -> Result<_> {
                let mut direct = Scraper::direct(exporter)?;
                let mut through = Scraper::through(node, exporter, target)?;
                let (mut directly, mut by_reach) = (Vec::new(), Vec::new());
                let mut next = began + INTERVAL * target / TARGETS;
                for scrape in 0..=SCRAPES {
                    pause_until(next);
                    let delay = direct.scrape()?;
                    pause_until(next + INTERVAL / 2);
                    let more = through.scrape()?;
                    // The first opens connections.
                    if scrape > 0 {
                        directly.push(delay);
                        by_reach.push(more);
                    }
                    next += INTERVAL;
                }
                Ok((directly, by_reach))
            })
        });
        let targets: Vec<_> = targets.collect();
        pause_until(began + INTERVAL * 3 / 2);
        let before = node.process.cpu()?;
        let (mut directly, mut by_reach) = (Vec::new(), Vec::new());
        for target in targets {
            let (delays, more) = target.join().expect("a scraper does not panic")?;
            directly.extend(delays);
            by_reach.extend(more);
        }
        Ok((node.process.cpu()? - before, [directly, by_reach]))
    })?;
    let [direct, through] = delays.map(|mut delays| {
        delays.sort_by(f64::total_cmp);
        [delays[delays.len() / 2], delays[delays.len() * 99 / 100]]
    });
    let samples = f64::from(TARGETS * SERIES * SCRAPES);
    let what = format!("{TARGETS} targets of {SERIES} series every {INTERVAL:?}, {what}");
    let shown = |figure: f64| format!("{} ms", (figure * 1e5).round() / 100.0);
    report.row(&format!("{what}: a scrape, p50"), through[0], Some(direct[0]), "", shown);
    report.row("more than directly, p50", through[0] - direct[0], None, "< 2 ms", milliseconds);
    report.row("a scrape, p99", through[1], Some(direct[1]), "", shown);
    report.row("more than directly, p99", through[1] - direct[1], None, "< 10 ms", milliseconds);
    report.row("CPU of a million samples", cpu / samples * 1e6, None, "< 0.3 s", seconds);
    report.row("memory of the node part", node.process.peak_memory()?, None, "", mebibytes);
    Ok(())
}

/// The node part.
struct Node {
    process: Process,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Node {
    fn start(folder: &Path, exporter: SocketAddr) -> Result<Self> {
        let process = folder.join("proc/42");
        fs::create_dir_all(&process)?;
        fs::write(process.join("cgroup"), format!("0::/docker/{CONTAINER}\n"))?;
        let line =
            |target| format!("t{target} {CONTAINER} 42 host http {} /metrics\n", exporter.port());
        let list = folder.join("list");
        fs::write(&list, (0..TARGETS).map(line).collect::<String>())?;
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/examples/node");
        let mut command = Command::new(built);
        command.args(["127.0.0.1:0", &folder.join("proc").display().to_string()]);
        command.arg(&list).arg(folder);
        let log = folder.join("log");
        let process = Process::start(&mut command, &log)?;
        let address = until("the node part", Duration::from_secs(10), || {
            Ok(fs::read_to_string(&log)?.lines().next().and_then(|line| line.parse().ok()))
        })?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("server.pem"))?)?;
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { process, address, tls: Arc::new(tls) })
    }
}

/// A kept connection, as a Prometheus has one.
struct Scraper<'a> {
    stream: Box<dyn Stream + 'a>,
    request: String,
    answer: Vec<u8>,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Scraper<'_> {
    fn direct(exporter: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(exporter)?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream, "/metrics"))
    }

    fn through(node: &Node, exporter: SocketAddr, target: u32) -> Result<Self> {
        let stream = TcpStream::connect(node.address)?;
        stream.set_nodelay(true)?;
        let client = ClientConnection::new(Arc::clone(&node.tls), "localhost".try_into()?)?;
        let path = format!("/reach/t{target}/http/{}/metrics", exporter.port());
        Ok(Self::new(StreamOwned::new(client, stream), &path))
    }

    fn new(stream: impl Stream + 'static, path: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: node\r\nUser-Agent: Prometheus\r\n\
             Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3\r\n\
             Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
        );
        Self { stream: Box::new(stream), request, answer: vec![0; 1 << 20] }
    }

    /// The seconds that a scrape takes.
    fn scrape(&mut self) -> Result<f64> {
        let started = Instant::now();
        self.stream.write_all(self.request.as_bytes())?;
        self.stream.flush()?;
        let (mut read, mut size) = (0, None);
        while size.is_none_or(|size| read < size) {
            let more = self.stream.read(&mut self.answer[read..])?;
            ensure!(more > 0, "closed in the middle of an answer");
            read += more;
            if size.is_none() {
                size = size_of_answer(&self.answer[..read])?;
            }
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

/// An exporter whose answer is ready, on a thread for each connection.
fn exporter(compressed: bool) -> Result<SocketAddr> {
    let series = |i| {
        let (path, code) = (i / 5, 200 + i % 5);
        format!(
            "http_requests_total{{path=\"/api/v1/things/{path:04}\",code=\"{code}\"}} {i}1234\n"
        )
    };
    let mut body = (0..SERIES).map(series).collect::<String>().into_bytes();
    let mut encoding = "";
    if compressed {
        encoding = "Content-Encoding: gzip\r\n";
        body = gzip(&body)?;
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n{encoding}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = Arc::new([head.as_bytes(), &body].concat());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // Ends with the program.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(&stream, &answer));
        }
    });
    Ok(address)
}

fn serve(stream: &TcpStream, answer: &[u8]) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 0 {
        if line == "\r\n" {
            writer.write_all(answer).ok()?;
        }
        line.clear();
    }
    Some(())
}

fn gzip(text: &[u8]) -> Result<Vec<u8>> {
    let mut command = Command::new("gzip");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start gzip")?;
    let mut stdin = child.stdin.take().context("no input")?;
    // The page is smaller than what a pipe holds together with what gzip has read.
    stdin.write_all(text)?;
    drop(stdin);
    Ok(child.wait_with_output()?.stdout)
}
