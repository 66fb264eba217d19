//! Bodies: pieces, sizes, compression, and answers that are no HTTP.

use std::io::Write;

use expect_test::{Expect, expect};
use flate2::Compression;
use flate2::write::GzEncoder;
use swarmscout_net::{Error, HttpConfig};

use super::server::{Reply, Server};
use super::{client, get, request, text};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Reads the answer to its end with at most 1000 bytes of body; the size, or the error.
async fn check(reply: impl Fn() -> Reply + Send + Sync + 'static, expected: Expect) {
    let server = Server::start(move |_, _| reply()).await;
    let request = request(&server.url("/")).max_body(1000);
    let read = async { client(&HttpConfig::default()).get(request).await?.body.bytes().await };
    let shown = match read.await {
        Ok(body) => format!("{} bytes", body.len()),
        Err(error) => error.to_string().replace(&server.address(), "SERVER"),
    };
    expected.assert_eq(&shown);
}

#[tokio::test]
async fn status_headers_and_body_arrive() {
    let server =
        Server::start(|_, _| Reply::with("404 Not Found", "X-A: b\r\n", "no such page")).await;
    let response = get(&server.url("/a?b=c")).await.unwrap();
    assert_eq!(response.status, 404);
    assert_eq!(response.headers["x-a"], "b");
    assert_eq!(text(response).await, "no such page");
    assert_eq!(
        server.requests(),
        [format!(
            "GET /a?b=c HTTP/1.1\r\nuser-agent: Swarmscout/test\r\naccept-encoding: gzip\r\nhost: {}\r\n\r\n",
            server.address()
        )]
    );
}

#[tokio::test]
async fn head_has_no_body() {
    let server = Server::start(|_, _| {
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\nContent-Encoding: gzip\r\nApi-Version: 1.41\r\n\r\n")
    })
    .await;
    let response =
        client(&HttpConfig::default()).head(request(&server.url("/_ping"))).await.unwrap();
    assert_eq!(response.headers["api-version"], "1.41");
    assert_eq!(text(response).await, "");
    assert!(server.requests()[0].starts_with("HEAD /_ping HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_limit_counts_bytes() {
    let exactly = |size| move || Reply::ok(vec![b'x'; size]);
    check(exactly(0), expect!["0 bytes"]).await;
    check(exactly(1000), expect!["1000 bytes"]).await;
    check(exactly(1001), expect!["answer of SERVER is larger than 1000 bytes"]).await;
    let chunked = || {
        Reply::raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n".to_owned()
                + &"x".repeat(1000)
                + "\r\n1\r\nx\r\n0\r\n\r\n",
        )
    };
    check(chunked, expect!["answer of SERVER is larger than 1000 bytes"]).await;
    let endless = || Reply::raw("HTTP/1.1 200 OK\r\n\r\nabc").then_repeat(b"abc");
    check(endless, expect!["answer of SERVER is larger than 1000 bytes"]).await;
    let until_closed = || Reply::raw("HTTP/1.1 200 OK\r\n\r\nabc").then_close();
    check(until_closed, expect!["3 bytes"]).await;
}

#[tokio::test]
async fn gzip_is_inflated_within_the_limit() {
    let zipped = |size| {
        let body = gzip(&vec![b'x'; size]);
        move || Reply::with("200 OK", "Content-Encoding: gzip\r\n", &body)
    };
    check(zipped(1000), expect!["1000 bytes"]).await;
    check(zipped(1001), expect!["answer of SERVER is larger than 1000 bytes"]).await;
    // A bomb costs one piece of memory, then the limit.
    check(zipped(4 << 20), expect!["answer of SERVER is larger than 1000 bytes"]).await;
    let members = || {
        let body = [gzip(b"a"), gzip(b"b")].concat();
        Reply::with("200 OK", "Content-Encoding: gzip\r\n", body)
    };
    check(members, expect!["2 bytes"]).await;
    let cut = || {
        let body = gzip(b"some text");
        Reply::with("200 OK", "Content-Encoding: gzip\r\n", &body[..body.len() - 3])
    };
    check(cut, expect!["request to SERVER failed: gzip data ends too early"]).await;
    let broken = || Reply::with("200 OK", "Content-Encoding: gzip\r\n", "not gzip");
    check(broken, expect!["request to SERVER failed: broken gzip data"]).await;
    let other = || Reply::with("200 OK", "Content-Encoding: br\r\n", "brotli");
    check(
        other,
        expect![[
            r#"request to SERVER failed: the answer has content encoding "br", which is not known"#
        ]],
    )
    .await;
}

#[tokio::test]
async fn inflated_answers_lose_the_headers_that_are_no_longer_true() {
    let body = gzip(b"text");
    let server =
        Server::start(move |_, _| Reply::with("200 OK", "Content-Encoding: gzip\r\n", &body)).await;
    let response = get(&server.url("/")).await.unwrap();
    assert!(!response.headers.contains_key("content-encoding"));
    assert!(!response.headers.contains_key("content-length"));
    assert_eq!(text(response).await, "text");
}

#[tokio::test]
async fn compression_is_asked_for_unless_declined() {
    let server = Server::start(|_, _| Reply::ok("")).await;
    let client = client(&HttpConfig::default());
    client.get(request(&server.url("/"))).await.unwrap();
    assert_eq!(server.last_header("accept-encoding").as_deref(), Some("gzip"));
    client.get(request(&server.url("/")).compressed(false)).await.unwrap();
    assert_eq!(server.last_header("accept-encoding"), None);
}

#[tokio::test]
async fn a_body_arrives_in_pieces() {
    let server = Server::start(|_, _| {
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").then_hang()
    })
    .await;
    let mut body = get(&server.url("/")).await.unwrap().body;
    assert_eq!(body.chunk().await.unwrap().unwrap(), "abc");
    drop(body);
    server.saw_closed(1).await;
}

#[tokio::test]
async fn broken_answers_are_reported() {
    check(
        || Reply::raw("SSH-2.0-OpenSSH\r\n").then_close(),
        expect!["request to SERVER failed: the answer is not HTTP: invalid HTTP version parsed"],
    )
    .await;
    check(
        || Reply::raw("").then_close(),
        expect!["request to SERVER failed: the server closed the connection before the answer was complete"],
    )
    .await;
    check(
        || Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").then_close(),
        expect!["request to SERVER failed: the server closed the connection before the answer was complete"],
    )
    .await;
    check(
        || Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc").then_close(),
        expect!["request to SERVER failed: the server closed the connection before the answer was complete"],
    )
    .await;
    check(
        || Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        expect!["request to SERVER failed: the answer is not HTTP: Invalid chunk size line: missing size digit"],
    )
    .await;
    let endless_header = || {
        Reply::raw(format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(8000))).then_repeat(&[b'a'; 8000])
    };
    check(
        endless_header,
        expect!["request to SERVER failed: the header of the answer is too large (limit 256 KiB)"],
    )
    .await;
}

#[tokio::test]
async fn errors_can_be_distinguished() {
    let server = Server::start(|_, _| Reply::ok("0123456789")).await;
    let error =
        client(&HttpConfig::default()).get(request(&server.url("/")).max_body(9)).await.err();
    assert_eq!(error, Some(Error::TooLarge { to: server.address(), limit: 9 }));
}
