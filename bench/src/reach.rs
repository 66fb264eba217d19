//! What reach costs: 200 targets of 1,000 series, each scraped every ten seconds, directly, through
//! `swarmscout node` over TLS with client certificates, and, where it is installed, through nginx with
//! the same certificates.
//!
//! A small manager lists the targets as tasks in the network of the host. Their process is a folder in the
//! place of `/proc`. Needs gzip: exporters compress what they send.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::doors::size_of_answer;
use crate::process::{Process, pause_until, until};
use crate::programs::{Program, certificates, free_address};
use crate::report::{Report, mebibytes, milliseconds, seconds};

const TARGETS: u32 = 200;
const SERIES: u32 = 1000;
const INTERVAL: Duration = Duration::from_secs(10);
/// Scrapes of each target that are measured, and before that one that opens connections.
const SCRAPES: u32 = 6;
const NODE: &str = "w1vn38k2v7r5yzn0q8t3fj6xa";
/// What the certificates of all node parts name.
const NODE_NAME: &str = "swarmscout-node";
/// How long the manager lets a node wait for a change.
const WAIT: Duration = Duration::from_secs(50);
const CONTAINER: &str = "78e37991ebe3ce50f640047980ca42628a8f017e859c52b4b592b755c7a73f58";

pub fn run(report: &mut Report) -> Result<()> {
    for (what, compressed) in [("gzip", true), ("not compressed", false)] {
        measure(report, what, compressed)?;
    }
    Ok(())
}

fn measure(report: &mut Report, what: &str, compressed: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    certificates(folder.path())?;
    let exporter = exporter(compressed)?;
    let tls = Arc::new(client(folder.path())?);
    let mut proxies = vec![node_part(folder.path(), exporter)?];
    proxies.extend(nginx(folder.path(), exporter)?);
    for proxy in &proxies {
        until("a proxy and its list", Duration::from_secs(20), || {
            Ok(proxy.scraper(&tls, exporter, 0).and_then(|mut one| one.scrape()).ok())
        })?;
    }
    let began = Instant::now() + Duration::from_secs(1);
    // Each way in turn, so that all meet the same machine.
    let ways = 1 + proxies.len();
    let turn = INTERVAL / u32::try_from(ways)?;
    let (cpu, mut delays) = std::thread::scope(|scope| -> Result<_> {
        let targets = (0..TARGETS).map(|target| {
            let (proxies, tls) = (&proxies, &tls);
            scope.spawn(move || -> Result<_> {
                let mut scrapers = vec![Scraper::direct(exporter)?];
                for proxy in proxies {
                    scrapers.push(proxy.scraper(tls, exporter, target)?);
                }
                let mut delays = vec![Vec::new(); scrapers.len()];
                let mut next = began + INTERVAL * target / TARGETS;
                for scrape in 0..=SCRAPES {
                    for (way, scraper) in scrapers.iter_mut().enumerate() {
                        pause_until(next + turn * u32::try_from(way)?);
                        let delay = scraper.scrape()?;
                        // The first opens connections.
                        if scrape > 0 {
                            delays[way].push(delay);
                        }
                    }
                    next += INTERVAL;
                }
                Ok(delays)
            })
        });
        let targets: Vec<_> = targets.collect();
        pause_until(began + INTERVAL);
        let cpu = || proxies.iter().map(|proxy| proxy.process.cpu()).collect::<Result<Vec<_>>>();
        let before = cpu()?;
        let mut delays = vec![Vec::new(); ways];
        for target in targets {
            let more = target.join().expect("a scraper does not panic")?;
            delays.iter_mut().zip(more).for_each(|(delays, more)| delays.extend(more));
        }
        let cpu: Vec<_> = cpu()?.iter().zip(before).map(|(after, before)| after - before).collect();
        Ok((cpu, delays))
    })?;
    for delays in &mut delays {
        delays.sort_by(f64::total_cmp);
    }
    let p50 = |way: usize| delays[way][delays[way].len() / 2];
    let p99 = |way: usize| delays[way][delays[way].len() * 99 / 100];
    let per_million = 1e6 / f64::from(TARGETS * SERIES * SCRAPES);
    let peer = (ways > 2).then_some(2);
    let what = format!("{TARGETS} targets of {SERIES} series every {INTERVAL:?}, {what}");
    let shown = |figure: f64| format!("{} ms", (figure * 1e5).round() / 100.0);
    report.row(&format!("{what}: a scrape, p50"), p50(1), peer.map(p50), "", shown);
    report.row("directly, p50", p50(0), None, "", shown);
    report.row("more than directly, p50", p50(1) - p50(0), None, "< 2 ms", milliseconds);
    report.row("a scrape, p99", p99(1), peer.map(p99), "", shown);
    report.row("more than directly, p99", p99(1) - p99(0), None, "< 10 ms", milliseconds);
    // The first way is direct, by no proxy.
    let cpu = |way: usize| cpu[way - 1] * per_million;
    report.row("CPU of a million samples", cpu(1), peer.map(cpu), "< 0.3 s", seconds);
    report.row("memory", proxies[0].process.peak_memory()?, None, "", mebibytes);
    Ok(())
}

/// A program between scraper and targets.
struct Proxy {
    process: Process,
    address: SocketAddr,
}

impl Proxy {
    /// A scraper of this target, whose connection stands.
    fn scraper(
        &self,
        tls: &Arc<ClientConfig>,
        exporter: SocketAddr,
        target: u32,
    ) -> Result<Scraper> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        let mut client = ClientConnection::new(Arc::clone(tls), NODE_NAME.try_into()?)?;
        // Now: the node part does not wait long for it.
        client.complete_io(&mut stream)?;
        let path = format!("/reach/{}/http/{}/metrics", task(target), exporter.port());
        Ok(Scraper::new(StreamOwned::new(client, stream), &path))
    }
}

fn node_part(folder: &Path, exporter: SocketAddr) -> Result<Proxy> {
    let process = folder.join("proc/42");
    fs::create_dir_all(&process)?;
    fs::write(process.join("cgroup"), format!("0::/docker/{CONTAINER}\n"))?;
    let (address, manager) = (free_address()?, manager(&list(exporter))?);
    let mut command = Program::Swarmscout.command();
    // As image and unit set it.
    command.env("MIMALLOC_PURGE_DELAY", "0").env("SWARMSCOUT_NODE_ID", NODE);
    command.current_dir(folder).args(["node", "--docker.host=", "--path.procfs=proc"]);
    command.args(["--web.config.file=tls/node-web.yml", "--no-peers"]);
    command.arg(format!("--web.listen-address={address}"));
    command.arg(format!("--manager=http://{manager}"));
    Ok(Proxy { process: Process::start(&mut command, &folder.join("log"))?, address })
}

/// The peer: it checks certificates alike, and knows one address that any path leads to.
fn nginx(folder: &Path, exporter: SocketAddr) -> Result<Option<Proxy>> {
    if Command::new("nginx").arg("-v").output().is_err() {
        return Ok(None);
    }
    let address = free_address()?;
    let (file, tls) = (folder.join("nginx.conf"), folder.join("tls"));
    let tls = tls.display();
    // One process, as this measures one. A connection is kept for each target.
    let config = format!(
        "daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  keepalive_timeout 600s;
  upstream exporter {{ server {exporter}; keepalive {TARGETS}; keepalive_timeout 600s; }}
  server {{
    listen {address} ssl;
    ssl_certificate {tls}/node.pem;
    ssl_certificate_key {tls}/node-key.pem;
    ssl_client_certificate {tls}/ca.pem;
    ssl_verify_client on;
    location /reach/ {{
      proxy_pass http://exporter;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
",
        folder = folder.display()
    );
    fs::write(&file, config)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file).arg("-p").arg(folder).args(["-e", "stderr"]);
    Ok(Some(Proxy { process: Process::start(&mut command, &folder.join("nginx.log"))?, address }))
}

/// What the certificates of the folder `tls` let a scraper do.
fn client(folder: &Path) -> Result<ClientConfig> {
    let tls = |file: &str| folder.join("tls").join(file);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls("ca.pem"))?)?;
    let certificate = CertificateDer::from_pem_file(tls("client.pem"))?;
    let key = PrivateKeyDer::from_pem_file(tls("client-key.pem"))?;
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(config.with_client_auth_cert(vec![certificate], key)?)
}

/// What the manager says: each target is a task.
fn list(exporter: SocketAddr) -> Value {
    let task = |target| {
        let reach = json!([{"scheme": "http", "port": exporter.port(), "path": "/metrics"}]);
        json!({"id": task(target), "container": CONTAINER, "pid": 42, "state": "running",
               "host_network": true, "reach": reach})
    };
    let tasks: Vec<_> = (0..TARGETS).map(task).collect();
    json!({"status": "success", "data": {"node": {"id": NODE}, "tasks": tasks}})
}

/// The ID of a task.
fn task(target: u32) -> String {
    format!("task{target:03}")
}

/// A manager that knows this list and never another one.
fn manager(list: &Value) -> Result<SocketAddr> {
    let list = list.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"1\"\r\n\
         Content-Length: {}\r\n\r\n{list}",
        list.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // Ends with the program.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || wait_for_no_change(&stream, &answer));
        }
    });
    Ok(address)
}

/// Answers the first request of a connection. The next one waits for a change.
fn wait_for_no_change(stream: &TcpStream, answer: &str) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let mut line = String::new();
    let mut knows_it = false;
    while reader.read_line(&mut line).ok()? > 0 {
        knows_it |= line.to_ascii_lowercase().starts_with("if-none-match");
        if line == "\r\n" {
            if knows_it {
                pause_until(Instant::now() + WAIT);
                writer.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n").ok()?;
            } else {
                writer.write_all(answer.as_bytes()).ok()?;
            }
            knows_it = false;
        }
        line.clear();
    }
    Some(())
}

/// A kept connection, as a Prometheus has one.
struct Scraper {
    stream: Box<dyn Stream>,
    request: String,
    answer: Vec<u8>,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Scraper {
    fn direct(exporter: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(exporter)?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream, "/metrics"))
    }

    fn new(stream: impl Stream + 'static, path: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Prometheus\r\n\
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
