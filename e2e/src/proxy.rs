//! A recording proxy before an engine: every list is asked of the engine once, and everybody who
//! asks for it afterwards gets the same bytes. It also notes what was asked, so that a test can say
//! which requests Swarmscout makes.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A proxy on a port of its own, for as long as the process lives.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: String,
    /// Whether virtual IPs without `Addr` are taken out of `/services`: on one of them the old
    /// Prometheus rejects the whole list.
    without_bare_vips: bool,
    /// `METHOD path` of what is let through; everything where there is none.
    allowed: Option<Vec<String>>,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    requests: Mutex<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Answer {
    status_line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Proxy {
    /// A proxy before the engine at `host:port`.
    pub fn before(engine: &str) -> Result<Self> {
        Self::start(engine, false, None, Arc::default())
    }

    /// A proxy that answers 403 to everything but `allowed`: `METHOD path`, without versions.
    pub fn filter(engine: &str, allowed: Vec<String>) -> Result<Self> {
        Self::start(engine, false, Some(allowed), Arc::default())
    }

    /// Another view of the same recorded answers, with the virtual IPs that have no address left
    /// out of the services.
    pub fn without_bare_vips(&self) -> Result<Self> {
        Self::start(&self.shared.engine, true, None, Arc::clone(&self.shared.answers))
    }

    fn start(
        engine: &str,
        without_bare_vips: bool,
        allowed: Option<Vec<String>>,
        answers: Arc<Mutex<HashMap<String, Answer>>>,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let requests = Mutex::default();
        let engine = engine.to_owned();
        let shared = Arc::new(Shared { engine, without_bare_vips, allowed, answers, requests });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.converse(stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// What to write as `host`.
    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// `METHOD path` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().expect("no holder panics").clone()
    }
}

impl Shared {
    fn converse(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Ok(Some((method, path))) = read_request(&mut reader) {
            self.requests.lock().expect("no holder panics").push(format!("{method} {path}"));
            if without_version(&path).starts_with("/events") && self.lets_through(&method, &path) {
                // A stream has no end that could be waited for, and is not shared.
                let _ = self.relay(&method, &path, reader.get_mut());
                return;
            }
            let answer = self.answer(&method, &path).unwrap_or_else(|error| Answer {
                status_line: "HTTP/1.1 502 Bad Gateway".to_owned(),
                headers: Vec::new(),
                body: format!("{error:#}").into_bytes(),
            });
            if answer.send(&method, reader.get_mut()).is_err() {
                return;
            }
        }
    }

    fn lets_through(&self, method: &str, path: &str) -> bool {
        let path = without_version(path).split('?').next().unwrap_or_default();
        let asked = format!("{method} {path}");
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&asked))
    }

    /// Hands the answer over as it comes, until either side ends it.
    fn relay(&self, method: &str, path: &str, client: &mut TcpStream) -> Result<()> {
        let mut engine = TcpStream::connect(&self.engine)?;
        write!(engine, "{method} {path} HTTP/1.0\r\nHost: engine\r\n\r\n")?;
        std::io::copy(&mut engine, client)?;
        Ok(())
    }

    fn answer(&self, method: &str, path: &str) -> Result<Answer> {
        let key = format!("{method} {}", without_version(path));
        if !self.lets_through(method, path) {
            return Ok(Answer {
                status_line: "HTTP/1.1 403 Forbidden".to_owned(),
                headers: Vec::new(),
                body: b"forbidden".to_vec(),
            });
        }
        // The lock is held while the engine is asked: no request gets a second answer.
        let mut answers = self.answers.lock().expect("no holder panics");
        let mut answer = if let Some(answer) = answers.get(&key) {
            answer.clone()
        } else {
            let answer = ask(&self.engine, method, path)?;
            // A refusal is about this request: another version of the API may be taken.
            if answer.status_line.contains(" 200 ") {
                answers.insert(key, answer.clone());
            }
            answer
        };
        drop(answers);
        if self.without_bare_vips && without_version(path).starts_with("/services") {
            answer.body = strip_bare_vips(&answer.body)?;
        }
        Ok(answer)
    }
}

impl Answer {
    fn send(&self, method: &str, stream: &mut TcpStream) -> Result<()> {
        write!(stream, "{}\r\n", self.status_line)?;
        for header in &self.headers {
            write!(stream, "{header}\r\n")?;
        }
        write!(stream, "Content-Length: {}\r\n\r\n", self.body.len())?;
        if method != "HEAD" {
            stream.write_all(&self.body)?;
        }
        Ok(stream.flush()?)
    }
}

/// `/v1.41/nodes?x` and `/nodes?x` are the same question.
pub fn without_version(path: &str) -> &str {
    match path.strip_prefix("/v1.") {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => path,
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Result<Option<(String, String)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().context("no method")?.to_owned();
    let path = words.next().context("no path")?.to_owned();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            return Ok(Some((method, path)));
        }
    }
}

fn ask(engine: &str, method: &str, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(engine).with_context(|| engine.to_owned())?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // HTTP/1.0 and no keep-alive: the body ends with the connection and is never chunked.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: engine\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").context("no header")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default().replacen("HTTP/1.0", "HTTP/1.1", 1);
    let own = ["content-length:", "connection:", "transfer-encoding:"];
    let headers = lines
        .filter(|line| !own.iter().any(|name| line.to_ascii_lowercase().starts_with(name)))
        .map(str::to_owned)
        .collect();
    Ok(Answer { status_line, headers, body: answer[end + 4..].to_vec() })
}

fn strip_bare_vips(body: &[u8]) -> Result<Vec<u8>> {
    let mut services: Value = serde_json::from_slice(body)?;
    for service in services.as_array_mut().into_iter().flatten() {
        if let Some(vips) =
            service.pointer_mut("/Endpoint/VirtualIPs").and_then(Value::as_array_mut)
        {
            vips.retain(|vip| vip["Addr"].as_str().is_some_and(|address| !address.is_empty()));
        }
    }
    Ok(serde_json::to_vec(&services)?)
}
