//! Readers that wait for a change (`/sd/<job>?wait=`): how long it takes until 1,000 of them have a new
//! list of 100 targets, and until a second Swarmscout serves what the first one has found.
//!
//! A target file of the first program is replaced, so what is measured holds the time until that is
//! noticed. Readers ask again at once, as one that follows a list does.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::follow::{Eye, Times};
use crate::process::{pause_until, until};
use crate::programs::{Program, Running, get, replace};
use crate::report::{Report, mebibytes, milliseconds};

const READERS: usize = 1000;
const TARGETS: usize = 100;
/// Changes that all readers wait for, and changes of the chain.
const CHANGES: usize = 40;
const CHANGES_OF_CHAIN: usize = 200;
/// Between two changes.
const GAP: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_mins(1);

pub fn run(report: &mut Report) -> Result<()> {
    readers(report)?;
    chain(report)
}

/// A program whose job `list` has the targets of a file.
fn first(folder: &Path) -> Result<Running> {
    write(folder, 0)?;
    let config = "scrape_configs: [{job_name: list, file_sd_configs: [{files: [list.json]}]}]\n";
    Program::Swarmscout.start(folder, config)
}

/// The address that is there since the change of this number.
fn address(change: usize) -> String {
    format!("change-{change}:1")
}

fn write(folder: &Path, change: usize) -> Result<()> {
    let others = (1..TARGETS).map(|target| format!("10.0.0.{target}:8080"));
    let targets: Vec<_> = others.chain([address(change)]).collect();
    replace(&folder.join("list.json"), json!([{ "targets": targets }]).to_string())
}

fn readers(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = first(folder.path())?;
    let list = format!("{}/sd/list", program.url);
    until("the list", LONGEST, || Ok(get(&list)))?;
    let before = program.process.memory()?;
    let host: Arc<str> = program.url.trim_start_matches("http://").into();
    let (sender, mut seen) = mpsc::channel(2 * READERS);
    let tasks: Vec<_> = (0..READERS)
        .map(|_| Handle::current().spawn(read(Arc::clone(&host), sender.clone())))
        .collect();
    drop(sender);
    let (mut times, mut slowest) = (Vec::new(), Vec::new());
    let mut waiting = 0.0_f64;
    for change in 1..=CHANGES {
        all_wait(&program)?;
        waiting = waiting.max(program.process.memory()?);
        let started = Instant::now();
        write(folder.path(), change)?;
        let mut longest = Duration::ZERO;
        let mut left = READERS;
        while left > 0 {
            let (text, when): (String, Instant) =
                seen.blocking_recv().context("a reader has ended")?;
            if text.contains(&address(change)) {
                longest = when - started;
                times.push(longest.as_secs_f64());
                left -= 1;
            }
        }
        slowest.push(longest.as_secs_f64());
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let (times, slowest) = (Times::new(times), Times::new(slowest));
    let what = format!("change of a list of {TARGETS} until {READERS} waiting readers have it");
    report.row(&format!("{what}, p50 of readers"), times.at(50), None, "", milliseconds);
    report.row("the last reader, p50", slowest.at(50), None, "", milliseconds);
    report.row("the last reader, longest", slowest.at(100), None, "< 500 ms", milliseconds);
    report.row("memory for them", waiting - before, None, "", mebibytes);
    Ok(())
}

fn all_wait(program: &Running) -> Result<()> {
    let url = format!("{}/metrics", program.url);
    let wanted = format!("\nswarmscout_http_waiting {READERS}.0\n");
    until("all readers wait", LONGEST, || {
        let metrics = get(&url).and_then(|text| String::from_utf8(text).ok());
        Ok(metrics.filter(|text| text.contains(&wanted)).map(drop))
    })
}

/// Follows the list, and sends each version of it with the moment at which it was there.
async fn read(host: Arc<str>, seen: mpsc::Sender<(String, Instant)>) -> Result<()> {
    let mut version = String::from("\"none\"");
    let mut stream = None;
    loop {
        let mut connection = match stream.take() {
            Some(connection) => connection,
            None => TcpStream::connect(&*host).await?,
        };
        let request = format!(
            "GET /sd/list?wait=60s HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {version}\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let whole = loop {
            let read = connection.read_buf(&mut answer).await?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = header(head, "content-length").and_then(|length| length.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break text;
                }
            }
            ensure!(read > 0, "closed in the middle of an answer");
        };
        let (head, _) = whole.split_once("\r\n\r\n").context("no header")?;
        ensure!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 304"), "{head}");
        header(head, "etag").context("no ETag")?.clone_into(&mut version);
        if header(head, "connection") != Some("close") {
            stream = Some(connection);
        }
        if seen.send((whole, Instant::now())).await.is_err() {
            return Ok(());
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.split("\r\n").filter_map(|line| line.split_once(": "));
    headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn chain(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = first(folder.path())?;
    let second = folder.path().join("second");
    fs::create_dir(&second)?;
    let config = format!(
        "scrape_configs: [{{job_name: list, http_sd_configs: [{{url: '{}/sd/list'}}]}}]\n",
        first.url
    );
    let second = Program::Swarmscout.start(&second, &config)?;
    let mut eye = Eye::new(&format!("{}/sd/list", second.url));
    until("the second has the list", LONGEST, || {
        Ok(eye.sees(&address(0)).unwrap_or(false).then_some(()))
    })?;
    let mut times = Vec::new();
    for change in 1..=CHANGES_OF_CHAIN {
        let started = Instant::now();
        write(folder.path(), change)?;
        let address = format!("\"{}\"", address(change));
        until("the change", LONGEST, || Ok(eye.sees(&address)?.then_some(())))?;
        times.push(started.elapsed().as_secs_f64());
        pause_until(started + GAP);
    }
    let times = Times::new(times);
    let what = "change found by one program until the next one in the chain serves it";
    for (name, percent, wanted) in [("p50", 50, ""), ("p99", 99, "< 150 ms"), ("longest", 100, "")]
    {
        report.row(&format!("{what}, {name}"), times.at(percent), None, wanted, milliseconds);
    }
    Ok(())
}
