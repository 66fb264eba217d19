//! Requests that two servers in a row could read differently, and paths that lead elsewhere.

use std::time::Instant;

use expect_test::expect;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Server;

/// What a proxy takes for a body, and this server must not take for a request.
const SMUGGLED: &str = "GET /version HTTP/1.1\r\nHost: swarm.example\r\n\r\n";

/// The statuses of all answers to these bytes, at one connection.
async fn statuses(server: &Server, sent: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end, too.
    while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
    let answer = String::from_utf8_lossy(&answer);
    let heads = answer.split("HTTP/1.1 ").skip(1);
    heads.map(|head| head[..3].parse().unwrap()).collect()
}

#[tokio::test]
async fn a_body_is_never_taken_for_a_request() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    let length = SMUGGLED.len();
    let mut seen = Vec::new();
    for (what, head) in [
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: {length}")),
        ("two lengths in one", format!("Content-Length: 0, {length}")),
        ("a length with a sign", format!("Content-Length: +{length}")),
        ("a negative length", String::from("Content-Length: -1")),
        ("a length in hexadecimal", format!("Content-Length: 0x{length:x}")),
        ("a length of 2^64", String::from("Content-Length: 18446744073709551616")),
        ("a space before the colon", format!("Content-Length : {length}")),
        ("a header on two lines", format!("X: 1\r\n Content-Length: {length}")),
        ("a line feed alone", format!("X: 1\nContent-Length: {length}")),
        ("a carriage return alone", format!("X: 1\rContent-Length: {length}")),
        ("a zero byte in a header", format!("X: \0\r\nContent-Length: {length}")),
        ("chunks and a length", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}")),
        ("a length and chunks", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked")),
        ("chunks twice", String::from("Transfer-Encoding: chunked, chunked")),
        ("chunks before the end", String::from("Transfer-Encoding: chunked, identity")),
        ("an unknown coding", String::from("Transfer-Encoding: xchunked")),
        ("chunks in capitals", String::from("Transfer-Encoding: CHUNKED")),
        ("chunks after a tab", String::from("Transfer-Encoding:\tchunked")),
    ] {
        let request =
            format!("GET /-/healthy HTTP/1.1\r\nHost: swarm.example\r\n{head}\r\n\r\n{SMUGGLED}");
        let answers = statuses(&server, request.as_bytes()).await;
        seen.push(format!("{what}: {answers:?}"));
    }
    expect![[r#"
        two lengths: [400]
        two lengths in one: [400]
        a length with a sign: [400]
        a negative length: [400]
        a length in hexadecimal: [400]
        a length of 2^64: [400]
        a space before the colon: [400]
        a header on two lines: [400]
        a line feed alone: [200]
        a carriage return alone: [400]
        a zero byte in a header: [400]
        chunks and a length: [200]
        a length and chunks: [200]
        chunks twice: [200]
        chunks before the end: [400]
        an unknown coding: [400]
        chunks in capitals: [200]
        chunks after a tab: [200]"#]]
    .assert_eq(&seen.join("\n"));
}

#[tokio::test]
async fn a_request_that_names_two_hosts_is_refused() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    for (second, expected) in
        [("", 200), ("Host: localhost\r\n", 400), ("hOST: swarm.example\r\n", 400)]
    {
        for path in ["/sd", "/-/healthy"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: swarm.example\r\n{second}\r\n");
            assert_eq!(statuses(&server, request.as_bytes()).await, [expected], "{path} {second}");
        }
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_routes() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    let mut seen = Vec::new();
    for path in [
        "/../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/sd/../../../etc/passwd",
        "/sd/..%2f..%2f..%2fetc%2fpasswd",
        "/sd/%2e%2e/%2e%2e/etc/passwd",
        "/sd/%00",
        "/sd/%ff",
        "//etc/passwd",
        "/style.css/../../etc/passwd",
        "/api/v1/../../-/quit",
        "/\\..\\..\\etc\\passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "*",
    ] {
        let reply = server.get(path).await;
        assert!(!reply.text().contains("root:"), "{path}");
        seen.push(format!("{path}: {}", reply.status));
    }
    expect![[r#"
        /../../../etc/passwd: 404
        /..%2f..%2f..%2fetc%2fpasswd: 404
        /sd/../../../etc/passwd: 404
        /sd/..%2f..%2f..%2fetc%2fpasswd: 404
        /sd/%2e%2e/%2e%2e/etc/passwd: 404
        /sd/%00: 404
        /sd/%ff: 400
        //etc/passwd: 404
        /style.css/../../etc/passwd: 404
        /api/v1/../../-/quit: 404
        /\..\..\etc\passwd: 404
        file:///etc/passwd: 400
        http://169.254.169.254/latest/meta-data/: 404
        *: 404"#]]
    .assert_eq(&seen.join("\n"));
}
