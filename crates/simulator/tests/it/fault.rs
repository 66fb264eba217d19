//! Faults, as they go over the wire.

use std::time::Duration;

use bytes::Bytes;
use swarmscout_simulator::testing::request;
use swarmscout_simulator::{Fault, Listen, Response, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BODY: &str = r#"[{"ID":"a"},{"ID":"b"}]"#;

fn server() -> Server {
    Server::start(Listen::Tcp, |_| Response::json(BODY)).unwrap()
}

async fn answer(server: &Server) -> String {
    request(server, "GET", "/x?y=1").await.unwrap()
}

#[tokio::test]
async fn answers_that_end() {
    let server = server();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let raw = |length: usize, body: &str| {
        format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    };
    for (fault, expected) in [
        (Fault::Close, String::new()),
        (Fault::Reset, String::new()),
        (Fault::Truncate, raw(23, &BODY[..11])),
        (Fault::WrongLength(7), raw(30, BODY)),
        (Fault::WrongLength(-3), raw(20, BODY)),
        (Fault::Drip { piece: 10, pause: Duration::from_millis(1) }, raw(23, BODY)),
        (Fault::Raw(Bytes::from_static(b"hello\n")), "hello\n".to_owned()),
        (Fault::Huge(3), raw(3, "   ")),
    ] {
        server.faults().set(fault.clone());
        assert_eq!(answer(&server).await, expected, "{fault:?}");
    }
    for (fault, status, body) in [
        (Fault::CutJson, "200 OK", &BODY[..11]),
        (
            Fault::Status(503, "a<b".into()),
            "503 Service Unavailable",
            "{\"message\":\"a\\u003cb\"}\n",
        ),
        (Fault::nested(3), "200 OK", "[[[]]]"),
        (Fault::Body(Bytes::from_static(b"{}")), "200 OK", "{}"),
        (Fault::Answer(Response::not_found()), "404 Not Found", "404 page not found\n"),
    ] {
        server.faults().set(fault.clone());
        let answer = answer(&server).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{fault:?}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{fault:?}: {answer}");
    }
    assert_eq!(server.faults().struck(), 13);
    assert_eq!(server.request_count(), 13);
}

/// Sends a request and reads what comes until `count` bytes are there.
async fn read(server: &Server, count: usize) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(server.addr().unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    (stream, bytes)
}

#[tokio::test]
async fn answers_that_do_not_end() {
    let server = server();
    for (fault, count) in [
        (Fault::HangInHeader, 40),
        (Fault::HangInBody, 99),
        (Fault::endless_array("{}"), 1 << 20),
        (Fault::GzipBomb, 1 << 20),
        (Fault::Huge(u64::MAX), 1 << 20),
    ] {
        server.faults().set(fault.clone());
        let (_stream, bytes) = read(&server, count).await;
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\nContent-Type: "), "{fault:?}");
    }
    assert!(server.faults().sent() > 3 << 20, "{}", server.faults().sent());
    server.faults().struck_times(5).await;
    // A hanging client does not know that the server ends; the connection does.
    server.faults().set(Fault::HangBeforeHeader);
    let (mut stream, _) = read(&server, 0).await;
    server.shutdown().await;
    let mut rest = Vec::new();
    // A reset as well as an end.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn faults_of_some_requests() {
    let server = server();
    server.faults().set_for("/nodes", Fault::Status(500, "no".to_owned()));
    server.faults().next(1, Fault::Status(503, "no".to_owned()));
    let mut statuses = Vec::new();
    for path in ["/tasks", "/tasks", "/v1.41/nodes", "/nodes"] {
        let answer = request(&server, "GET", path).await.unwrap();
        statuses.push(answer[9..12].to_owned());
    }
    assert_eq!(statuses, ["503", "200", "500", "500"]);
    server.faults().clear();
    assert!(request(&server, "GET", "/nodes").await.unwrap().starts_with("HTTP/1.1 200 OK"));
    assert_eq!(server.faults().struck(), 3);
}

#[tokio::test]
async fn refuses_and_accepts_at_the_same_address() {
    let server = server();
    let (mut open, _) = read(&server, 10).await;
    for _ in 0..3 {
        server.refuse();
        let error = request(&server, "GET", "/").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        server.accept().unwrap();
        assert!(answer(&server).await.ends_with(BODY));
    }
    // Connections that were open before have ended.
    let _ = open.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn unix_sockets_come_and_go_with_their_server() {
    let path = std::env::temp_dir().join(format!("swarmscout-fault-{}", std::process::id()));
    let server = Server::start(Listen::Unix(path.clone()), |request| {
        Response::new("text/plain", format!("{} {}", request.path, request.query))
    })
    .unwrap();
    assert_eq!(server.url(), format!("unix://{}", path.display()));
    assert!(answer(&server).await.ends_with("/x y=1"));
    server.refuse();
    assert!(request(&server, "GET", "/").await.is_err());
    server.accept().unwrap();
    assert!(answer(&server).await.ends_with("/x y=1"));
    let last = server.requests().pop().unwrap();
    assert_eq!((last.method.as_str(), last.path.as_str()), ("GET", "/x"));
    assert_eq!(last.parameter("y").as_deref(), Some("1"));
    server.shutdown().await;
    assert!(!path.exists());
}
