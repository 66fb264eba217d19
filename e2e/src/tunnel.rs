//! A proxy that opens tunnels to those who know its password, and is the way to a server of tokens.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The password of `user` is `pa55word`.
const AUTHORIZATION: &str = "proxy-authorization: Basic dXNlcjpwYTU1d29yZA==";

/// What may be asked for a token through it; it answers itself.
pub const TOKEN_URL: &str = "http://tokens.invalid/token";

/// What it gives out.
pub const TOKEN: &str = "t0ken";

/// A proxy on a port of its own, for as long as the process lives.
#[derive(Debug)]
pub struct TunnelProxy {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || converse(client, &seen));
            }
        });
        Ok(Self { address, requests })
    }

    /// What to write as `proxy_url`, with this password of its `user`.
    pub fn url(&self, password: &str) -> String {
        format!("http://user:{password}@{}", self.address)
    }

    /// All requests so far, with the bodies of those that are not for a tunnel. Names of headers
    /// are in small letters.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request; what follows a good CONNECT is the other server's.
fn converse(mut client: TcpStream, seen: &Mutex<Vec<String>>) -> Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = read(&client)?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let line = request.lines().next().context("no request")?;
    if !request.lines().any(|line| line == AUTHORIZATION) {
        return answer(&mut client, "407 Proxy Authentication Required", "");
    }
    if line == format!("POST {TOKEN_URL} HTTP/1.1") {
        let body = format!(r#"{{"access_token":"{TOKEN}","token_type":"bearer"}}"#);
        return answer(&mut client, "200 OK", &body);
    }
    let to = line.strip_prefix("CONNECT ").and_then(|line| line.strip_suffix(" HTTP/1.1"));
    let Some(to) = to else { return answer(&mut client, "404 Not Found", "") };
    let server = TcpStream::connect(to)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    client.set_read_timeout(None)?;
    std::thread::scope(|scope| {
        scope.spawn(|| relay(&client, &server));
        relay(&server, &client);
    });
    Ok(())
}

/// Until one of them ends; then the other is closed.
fn relay(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// The client sends nothing more before it is answered.
fn read(client: &TcpStream) -> Result<String> {
    let mut reader = BufReader::new(client);
    let (mut lines, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(match line.split_once(": ") {
            Some((name, value)) => {
                let name = name.to_ascii_lowercase();
                if name == "content-length" {
                    length = value.parse()?;
                }
                format!("{name}: {value}")
            }
            None => line.to_owned(),
        });
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    lines.push(body);
    Ok(lines.join("\n"))
}

fn answer(client: &mut TcpStream, status: &str, body: &str) -> Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    Ok(write!(client, "{head}Content-Type: application/json\r\n\r\n{body}")?)
}
