//! A client that shows every byte.

use swarmscout_simulator::Server;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// The whole answer to a GET, header included, until the server ends the connection.
pub(crate) async fn get(server: &Server, path: &str) -> String {
    request(server, "GET", path).await
}

/// The whole answer, header included, until the server ends the connection.
pub(crate) async fn request(server: &Server, method: &str, path: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = match (server.addr(), server.socket()) {
        (Some(addr), _) => exchange(TcpStream::connect(addr).await.unwrap(), &request).await,
        (None, path) => exchange(UnixStream::connect(path.unwrap()).await.unwrap(), &request).await,
    };
    String::from_utf8_lossy(&answer).into_owned()
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Vec<u8> {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset ends the answer as well as an orderly end does.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}
