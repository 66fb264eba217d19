use std::sync::Arc;
use std::time::{Duration, Instant};

use swarmscout_server::ExternalUrl;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Server, job, set, with};

#[tokio::test]
async fn lives_below_its_prefix() {
    let options = with(|options| {
        options.route_prefix = String::from("/swarm/scout");
        options.external_url = Some(ExternalUrl {
            scheme: String::from("https"),
            authority: String::from("proxy.example"),
            path: String::from("/x"),
        });
    });
    let sets = vec![set(&Arc::new(job("web")), &[], Vec::new())];
    let server = Server::with_options(Instant::now(), sets, options).await;
    for (path, status) in [
        ("/swarm/scout/-/healthy", 200),
        ("/swarm/scout/sd/web?raw=1", 200),
        ("/swarm/scouts/-/healthy", 404),
        ("/-/healthy", 404),
        ("/", 302),
    ] {
        let reply = server.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(reply.header(header), Some(value), "{path}");
        }
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}: {policy}");
    }
    assert_eq!(server.get("/").await.header("location"), Some("/swarm/scout/"));
    let index = server.get("/swarm/scout/sd").await.text();
    assert!(index.contains(r#""url":"https://proxy.example/x/sd/web""#), "{index}");
}

/// The authority of an absolute URI counts as a `Host`, with a prefix, too.
#[tokio::test]
async fn the_prefix_hides_no_foreign_host() {
    let options = with(|options| options.route_prefix = String::from("/p"));
    let server = Server::with_options(Instant::now(), Vec::new(), options).await;
    assert_eq!(server.get("http://swarm.example/p/-/healthy").await.status, 200);
    assert_eq!(server.get("http://evil.example/p/-/healthy").await.status, 403);
}

#[tokio::test]
async fn answers_404_for_unknown_paths() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    assert_eq!(server.get("/nothing").await.status, 404);
    let reply = server.request("POST", "/sd", &[]).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET,HEAD")));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn a_slow_client_is_cut_off() {
    let options = with(|options| options.read_timeout = Duration::from_millis(50));
    let server = Server::with_options(Instant::now(), Vec::new(), options).await;
    for sent in ["", "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Ends only because the server ends it.
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{sent:?}");
    }
}

#[tokio::test]
async fn ends_when_asked_while_clients_are_connected() {
    let options = with(|options| options.shutdown_timeout = Duration::from_millis(20));
    let mut server = Server::with_options(Instant::now(), Vec::new(), options).await;
    // Idle after a request, and in the middle of one.
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut byte = [0];
    assert_eq!(idle.read(&mut byte).await.unwrap(), 1);
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    server.tasks.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
