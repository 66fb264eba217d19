//! Connections: why they cannot be made, how they are kept, and what happens when a kept one dies.

use std::net::TcpListener;
use std::time::Duration;

use expect_test::expect;
use swarmscout_net::{
    Client, ClientOptions, ConnectCause, Error, Host, HttpConfig, Request, Scheme, connect_tcp,
};

use super::server::{Reply, Server};
use super::{client, get, request, return_to_pool, text};

#[tokio::test]
async fn a_port_without_a_listener() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = get(&format!("http://{address}/")).await.unwrap_err().to_string();
    expect!["cannot connect to SERVER: connection refused"]
        .assert_eq(&error.replace(&address, "SERVER"));
}

#[tokio::test]
async fn a_name_that_is_not_valid() {
    let error = get("http://does-not-exist.invalid:9090/").await.unwrap_err().to_string();
    // The rest is the resolver's, and differs between systems.
    let expected = "cannot connect to does-not-exist.invalid:9090: cannot resolve the host name: ";
    assert!(error.starts_with(expected), "{error}");
    assert!(!error.contains("os error"), "{error}");
}

#[tokio::test]
async fn a_connection_has_a_deadline_of_its_own() {
    // A TLS handshake without an answer, with ample time for the request.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let options = ClientOptions::new("", Duration::from_millis(50));
    let client = Client::new(&HttpConfig::default(), options).unwrap();
    let error = client.get(request(&format!("https://{address}/"))).await.unwrap_err().to_string();
    expect!["cannot connect to SERVER: no connection within 50ms"]
        .assert_eq(&error.replace(&address, "SERVER"));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start(|_, _| Reply::ok("a")).await;
    let client = client(&HttpConfig::default());
    for _ in 0..3 {
        assert_eq!(text(client.get(request(&server.url("/"))).await.unwrap()).await, "a");
        return_to_pool().await;
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced() {
    // The second request on each connection is read, and then the connection closed.
    let server = Server::start(|_, number| match number {
        0 => Reply::ok("a"),
        _ => Reply::raw("").then_close(),
    })
    .await;
    let client = client(&HttpConfig::default());
    for _ in 0..3 {
        assert_eq!(text(client.get(request(&server.url("/"))).await.unwrap()).await, "a");
        return_to_pool().await;
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 3));
}

#[tokio::test]
async fn an_answer_that_began_is_not_asked_for_again() {
    let server = Server::start(|_, number| match number {
        0 => Reply::ok("a"),
        _ => Reply::raw("HTTP/1.1 200").then_close(),
    })
    .await;
    let client = client(&HttpConfig::default());
    client.get(request(&server.url("/"))).await.unwrap().body.bytes().await.unwrap();
    return_to_pool().await;
    assert!(client.get(request(&server.url("/"))).await.is_err());
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_fresh_connection_that_is_closed_is_an_error() {
    let server = Server::start(|_, _| Reply::raw("").then_close()).await;
    assert!(get(&server.url("/")).await.is_err());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn docker_hosts_over_tcp() {
    let server = Server::start(|_, _| Reply::ok("pong")).await;
    for (host, path, line) in [
        (format!("tcp://{}", server.address()), "/_ping", "GET /_ping HTTP/1.1"),
        (format!("tcp://{}/", server.address()), "/_ping", "GET /_ping HTTP/1.1"),
        (format!("http://{}/engine/", server.address()), "/info", "GET /engine/info HTTP/1.1"),
        (
            format!("http://{}", server.address()),
            r#"/tasks?filters={"desired-state":{"running":true}}"#,
            "GET /tasks?filters=%7B%22desired-state%22:%7B%22running%22:true%7D%7D HTTP/1.1",
        ),
    ] {
        let host = Host::parse(&host).unwrap();
        let response =
            client(&HttpConfig::default()).get(Request::to(&host, path).unwrap()).await.unwrap();
        assert_eq!(text(response).await, "pong");
        assert_eq!(server.requests().last().unwrap().lines().next(), Some(line));
    }
    assert_eq!(Host::parse("tcp://h").unwrap().scheme(), Scheme::Tcp);
}

#[tokio::test]
async fn both_families_of_localhost_are_tried() {
    // The name may resolve to ::1 first; the server listens on 127.0.0.1 alone.
    let server = Server::start(|_, _| Reply::ok("a")).await;
    let response = get(&format!("http://localhost:{}/", server.port())).await.unwrap();
    assert_eq!(text(response).await, "a");
}

#[tokio::test]
async fn the_cause_of_a_failed_connection_is_typed() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (to, cause) in [
        (refused.to_string(), ConnectCause::Refused),
        ("gone.invalid:80".to_owned(), ConnectCause::Unresolved),
        ("no port".to_owned(), ConnectCause::Other),
    ] {
        let error = connect_tcp(&to, Duration::from_secs(10)).await.unwrap_err();
        assert!(
            matches!(&error, Error::Connect { cause: found, .. } if *found == cause),
            "{to}: {error:?}"
        );
    }
}
