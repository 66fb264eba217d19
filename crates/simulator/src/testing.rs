//! A client that shows every byte, for the tests of the simulators.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::Server;

/// The whole answer, header included, until the server ends the connection or resets it.
pub async fn request(server: &Server, method: &str, path: &str) -> io::Result<String> {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    match (server.addr(), server.socket()) {
        (Some(addr), _) => exchange(TcpStream::connect(addr).await?, &request).await,
        (None, Some(path)) => exchange(UnixStream::connect(path).await?, &request).await,
        (None, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// Status line and headers without `Date`, sorted; and the body.
pub async fn get(server: &Server, path: &str) -> io::Result<(Vec<String>, String)> {
    let answer = request(server, "GET", path).await?;
    Ok(split(&answer))
}

/// Splits an answer, recorded or new; joins its chunks.
pub fn split(answer: &str) -> (Vec<String>, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    // Which framing the server chose is between it and the connection.
    let own = ["date:", "connection:", "transfer-encoding:"];
    let ours = |line: &&str| !own.iter().any(|name| line.to_lowercase().starts_with(name));
    let mut head: Vec<_> = head.lines().filter(ours).map(str::to_owned).collect();
    head.sort();
    (head, if chunked { unchunk(body) } else { body.to_owned() })
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let Ok(length @ 1..) = usize::from_str_radix(length, 16) else { break };
        let (chunk, rest) = rest.split_at(length);
        whole.push_str(chunk);
        body = rest.trim_start_matches("\r\n");
    }
    whole
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}
