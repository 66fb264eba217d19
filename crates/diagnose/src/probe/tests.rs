use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use expect_test::{Expect, expect};
use swarmscout_net::{ClientOptions, HttpConfig};

use super::*;

/// Answers one connection with these bytes, then waits for its end.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(connection.read(&mut request).unwrap() > 0);
        connection.write_all(answer).unwrap();
        while connection.read(&mut request).is_ok_and(|length| length > 0) {}
    });
    address.to_string()
}

fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_mins(1);

async fn probed(url: &str, timeout: Duration) -> Probed {
    let options = ClientOptions::new("test", PATIENCE);
    let client = Client::new(&HttpConfig::default(), options).unwrap();
    probe(&client, url, Limits { timeout, max_body: 1000 }).await
}

async fn check(url: &str, expected: Expect) {
    check_within(PATIENCE, url, expected).await;
}

async fn check_within(timeout: Duration, url: &str, expected: Expect) {
    let probed = probed(url, timeout).await;
    let host = url.split('/').nth(2).unwrap_or_default();
    let detail = probed.detail.replace(host, "HOST");
    expected.assert_eq(&format!("{} {detail}", probed.outcome.as_str()));
}

#[tokio::test]
async fn metrics_are_up() {
    let up = server(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup 1\n");
    check(&format!("http://{up}/metrics"), expect!["up "]).await;
}

#[tokio::test]
async fn what_fails_is_named() {
    for (answer, expected) in [
        (
            &b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..],
            expect!["status HTTP status 404 Not Found"],
        ),
        (
            b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            expect!["unauthorized HTTP status 401 Unauthorized"],
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
            expect!["not_metrics line 1 is not a sample: an HTML page"],
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n",
            expect!["too_large answer of HOST is larger than 1000 bytes"],
        ),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            expect![
                "not_http request to HOST failed: the answer is not HTTP: invalid HTTP version parsed"
            ],
        ),
    ] {
        let host = server(answer);
        check(&format!("http://{host}/"), expected).await;
    }
    check(
        &format!("http://{}/", closed_port()),
        expect!["port_closed cannot connect to HOST: connection refused"],
    )
    .await;
    let plain = server(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    check(
        &format!("https://{plain}/"),
        expect![
            "no_tls cannot connect to HOST: the server does not speak TLS here: is http:// meant?"
        ],
    )
    .await;
    // Connections to it stand, and it accepts none.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    check_within(
        Duration::from_millis(50),
        &format!("http://{}/", silent.local_addr().unwrap()),
        expect!["answer_timeout no complete answer from HOST within 50ms"],
    )
    .await;
    assert_eq!(probed("ftp://a/", PATIENCE).await.outcome, Outcome::BadUrl);
    // The rest is the resolver's, which refuses such a name without a query.
    let name = "a".repeat(64);
    assert_eq!(probed(&format!("http://{name}/"), PATIENCE).await.outcome, Outcome::NoSuchName);
}

#[tokio::test]
async fn a_node_part_says_why_it_does_not_fetch() {
    for (answer, expected) in [
        (
            &b"HTTP/1.1 502 Bad Gateway\r\nX-Swarmscout-Reach-Error: connect\r\ncontent-length: 19\r\n\r\nconnection refused\n"[..],
            expect![[r#"port_closed "connect" its node part answers 502 (connect): connection refused"#]],
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\nX-Swarmscout-Reach-Error: task\r\ncontent-length: 8\r\n\r\nno task\n",
            expect![[r#"node_part "task" its node part answers 403 (task): no task"#]],
        ),
        // A reason has letters alone.
        (
            b"HTTP/1.1 404 Not Found\r\nX-Swarmscout-Reach-Error: <b>\r\ncontent-length: 0\r\n\r\n",
            expect![[r#"status "" HTTP status 404 Not Found"#]],
        ),
    ] {
        let probed = probed(&format!("http://{}/", server(answer)), PATIENCE).await;
        expected.assert_eq(&format!(
            "{} {:?} {}",
            probed.outcome.as_str(),
            probed.node_part,
            probed.detail
        ));
    }
}
