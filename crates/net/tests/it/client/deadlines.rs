//! A server that falls silent, at any point, costs no more than the deadline.

use std::time::{Duration, Instant};

use swarmscout_net::{Error, HttpConfig};

use super::server::{Reply, Server};
use super::{AMPLE, client, request};

const SHORT: Duration = Duration::from_millis(60);

/// The error of an exchange with a deadline of [`SHORT`].
async fn check(script: impl Fn(&str) -> Reply + Send + Sync + 'static) {
    let server = Server::start(move |head, _| script(head)).await;
    let started = Instant::now();
    let request = request(&server.url("/")).timeout(SHORT);
    let read = async { client(&HttpConfig::default()).get(request).await?.body.bytes().await };
    assert_eq!(read.await, Err(Error::Deadline { to: server.address(), within: SHORT }));
    assert!(started.elapsed() >= SHORT);
    assert!(started.elapsed() < AMPLE);
    server.saw_closed(1).await;
}

#[tokio::test]
async fn silence_before_the_header() {
    check(|_| Reply::raw("").then_hang()).await;
}

#[tokio::test]
async fn silence_in_the_header() {
    check(|_| Reply::raw("HTTP/1.1 200 OK\r\nContent-").then_hang()).await;
}

#[tokio::test]
async fn silence_in_the_body() {
    check(|_| Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").then_hang()).await;
}

#[tokio::test]
async fn a_body_that_never_ends() {
    // Without a pause, and far from the limit for a body when the deadline passes.
    check(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .then_repeat(b"1\r\na\r\n")
    })
    .await;
}

#[tokio::test]
async fn silence_after_a_redirect() {
    check(|head| {
        let redirect = Reply::redirect("302 Found", "/next");
        if head.starts_with("GET / ") { redirect } else { Reply::raw("").then_hang() }
    })
    .await;
}

#[tokio::test]
async fn an_open_ended_answer_may_outlive_the_timeout_but_not_fall_silent() {
    let server = Server::start(|_, _| {
        Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").then_hang()
    })
    .await;
    let idle = 2 * AMPLE;
    let request = request(&server.url("/events")).open_ended(idle);
    let mut body = client(&HttpConfig::default()).get(request).await.unwrap().body;
    assert_eq!(body.chunk().await.unwrap().unwrap(), "abc");
    // From here on only time passes, and at once.
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    assert_eq!(body.chunk().await, Err(Error::Silent { to: server.address(), idle }));
    assert!(started.elapsed() >= idle);
}

#[tokio::test]
async fn an_open_ended_answer_must_start_within_the_timeout() {
    let server = Server::start(|_, _| Reply::raw("").then_hang()).await;
    let request = request(&server.url("/events")).timeout(SHORT).open_ended(AMPLE);
    let error = client(&HttpConfig::default()).get(request).await.err();
    assert_eq!(error, Some(Error::Deadline { to: server.address(), within: SHORT }));
}

#[tokio::test]
async fn a_deadline_beyond_any_clock_has_no_effect() {
    let server = Server::start(|_, _| Reply::ok("a")).await;
    let request = request(&server.url("/")).timeout(Duration::MAX).open_ended(Duration::MAX);
    let response = client(&HttpConfig::default()).get(request).await.unwrap();
    assert_eq!(response.body.bytes().await.unwrap(), "a");
}

#[tokio::test]
async fn dropping_a_request_ends_it() {
    let server = Server::start(|_, _| Reply::raw("").then_hang()).await;
    let client = client(&HttpConfig::default());
    tokio::select! {
        _ = client.get(request(&server.url("/"))) => panic!("the server does not answer"),
        () = server.saw_requests(1) => {}
    }
    server.saw_closed(1).await;
}
