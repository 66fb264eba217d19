//! What reaches a target, and what comes back.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use http_body_util::BodyExt as _;
use swarmscout_reach::CutOff;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs};

use crate::support::{Node, Target, read, reason, task};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nup 1\n";

#[tokio::test]
async fn a_target_gets_what_its_scraper_asked_for_and_no_credential() {
    let mut target = Target::kept(OK).await;
    let node = target.node(|_| {});
    let path = format!("/reach/t1/http/{}/metrics?name[]=up&x=%2e", target.port());
    let answer = node
        .get_with(
            &path,
            &[
                ("Host", "node:9466"),
                ("Accept", "application/openmetrics-text"),
                ("Accept-Encoding", "gzip"),
                ("X-Prometheus-Scrape-Timeout-Seconds", "10"),
                ("User-Agent", "Prometheus/3"),
                ("Authorization", "Bearer secret"),
                ("Cookie", "a=secret"),
                ("Proxy-Authorization", "Basic secret"),
                ("X-Forwarded-For", "10.0.0.1"),
            ],
        )
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.headers()["content-length"], "5");
    assert_eq!(read(answer).await.unwrap(), "up 1\n");
    assert_eq!(
        target.requests.recv().await.unwrap(),
        format!(
            "GET /metrics?name[]=up&x=%2e HTTP/1.1\r\naccept: application/openmetrics-text\r\n\
             accept-encoding: gzip\r\nx-prometheus-scrape-timeout-seconds: 10\r\n\
             host: {}\r\nuser-agent: swarmscout/test\r\n\r\n",
            target.address
        )
    );
    let stats = node.reach.stats();
    assert_eq!((stats.complete(), stats.bytes(), stats.connections()), (1, 5, 1));
}

#[tokio::test]
async fn connections_are_kept_and_opened_again_when_they_were_closed() {
    let mut target = Target::new(|mut connection, number| async move {
        // The first one is closed after two answers, while its client takes it for open.
        for _ in 0..if number == 0 { 2 } else { 100 } {
            if connection.request().await.is_some() {
                connection.send(OK.as_bytes()).await;
            }
        }
    })
    .await;
    let node = target.node(|_| {});
    for _ in 0..5 {
        assert_eq!(read(node.get(target.port()).await).await.unwrap(), "up 1\n");
        target.requests.recv().await.unwrap();
    }
    assert!(node.reach.stats().connections() <= 3, "{:?}", node.reach.stats());
    assert_eq!(node.reach.stats().complete(), 5);
    assert_eq!(node.reach.stats().in_flight(), 0);
}

/// What a target sends, and the status, the body and the type that come back.
type Case<'a> = (&'a str, &'a [u8], u16, &'a [u8], Option<&'a str>);

#[tokio::test]
async fn answers_come_back_as_they_are() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 4 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let gzip = [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        )
        .into_bytes(),
        bomb.clone(),
    ]
    .concat();
    let cases: &[Case<'_>] = &[
        ("a gzip bomb", &gzip, 200, &bomb, None),
        (
            "HTML",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\n\
              X-Swarmscout-Reach-Error: x\r\nLocation: /x\r\nContent-Length: 4\r\n\r\n<b/>",
            200,
            b"<b/>",
            Some("text/html"),
        ),
        (
            "an error of the target",
            b"HTTP/1.1 503 No\r\nContent-Length: 3\r\nContent-Type: a/b\r\n\r\nno\n",
            503,
            b"no\n",
            Some("a/b"),
        ),
        ("a status without a name", b"HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n", 599, b"", None),
        ("no content", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", None),
        (
            "chunks, with a trailer",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n\
              2;a=b\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n",
            200,
            b"abc",
            None,
        ),
        (
            "HTTP/1.0, to its end",
            b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nabc",
            200,
            b"abc",
            Some("a/b"),
        ),
        ("no length", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", 200, b"abc", None),
        (
            "preliminary answers",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
              HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            200,
            b"abc",
            None,
        ),
    ];
    for (what, sent, status, body, content_type) in cases {
        let target = Target::once(*sent).await;
        let node = target.node(|_| {});
        let answer = node.get(target.port()).await;
        assert_eq!((answer.status().as_u16(), reason(&answer)), (*status, ""), "{what}");
        let headers = answer.headers();
        let found = headers.get("content-type").map(|it| it.to_str().unwrap());
        assert_eq!(found, *content_type, "{what}");
        assert_eq!(headers.contains_key("content-encoding"), what.contains("gzip"), "{what}");
        for name in headers.keys() {
            let known = name.as_str().starts_with("content-") || name == "x-content-type-options";
            assert!(known, "{what}: {name}");
        }
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(bytes == body, "{what}: {} bytes", bytes.len());
    }
}

#[tokio::test]
async fn a_target_over_https_needs_no_name() {
    let made = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let target = Target::new(move |connection, _| {
        let acceptor = acceptor.clone();
        async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut stream = acceptor.accept(connection.stream).await.unwrap();
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                stream.write_all(OK.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    })
    .await;
    let node = Node::new(task(target.port(), "https"), |_| {});
    let path = format!("/reach/t1/https/{}/metrics", target.port());
    for _ in 0..2 {
        assert_eq!(read(node.get_with(&path, &[]).await).await.unwrap(), "up 1\n");
    }
    // The same port without TLS is not listed.
    assert_eq!(reason(&node.get(target.port()).await), "target");
}

#[tokio::test]
async fn refusals_say_why_and_are_counted() {
    let target = Target::kept(OK).await;
    let node = target.node(|_| {});
    let answer = node.get_with("/reach/t9/http/1/metrics", &[]).await;
    assert_eq!((answer.status().as_u16(), reason(&answer)), (403, "task"));
    assert_eq!(read(answer).await.unwrap(), "no task of this ID is listed for this node\n");
    let post = Request::post("/reach/t1/http/1/metrics").body(()).unwrap().into_parts().0;
    let answer = node.reach.answer(&post, true).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"GET".parse().unwrap())
    );
    let answer = node.reach.answer(&post, false).await;
    assert_eq!((answer.status().as_u16(), reason(&answer)), (403, "closed"));
    let stats = node.reach.stats();
    for reason in ["task", "method", "closed"] {
        assert_eq!(Node::count(stats.refused(), reason), 1, "{reason}");
    }
    assert_eq!((stats.connections(), stats.in_flight()), (0, 0));
}

#[tokio::test]
async fn a_list_that_changes_counts_from_the_next_request_on() {
    let target = Target::kept(OK).await;
    let node = target.node(|_| {});
    let path = format!("/reach/t1/http/{}/other", target.port());
    assert_eq!(read(node.get_with(&path, &[]).await).await, Ok::<_, CutOff>("up 1\n".to_owned()));
    let mut less = task(target.port(), "http");
    less.targets.truncate(1);
    node.publish(less);
    assert_eq!(reason(&node.get_with(&path, &[]).await), "target");
}
