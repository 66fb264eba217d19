//! POST: what is sent, and when it is sent again.

use swarmscout_net::{HttpConfig, Response};

use super::server::{Reply, Server, header};
use super::{client, request, return_to_pool, text};

async fn post(server: &Server, path: &str) -> Response {
    let request = request(&server.url(path));
    client(&HttpConfig::default()).post(request, "application/json", r#"{"a":1}"#).await.unwrap()
}

/// Request line, type and body of each request that `server` got.
fn seen(server: &Server) -> Vec<String> {
    let requests = server.requests().into_iter().map(|request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let line = head.lines().next().unwrap();
        format!("{line}|{}|{body}", header(head, "content-type").unwrap_or_default())
    });
    requests.collect()
}

#[tokio::test]
async fn the_body_is_sent_with_its_type() {
    let server = Server::start(|_, _| Reply::ok("answer")).await;
    assert_eq!(text(post(&server, "/v3/kv/range").await).await, "answer");
    assert_eq!(seen(&server), [r#"POST /v3/kv/range HTTP/1.1|application/json|{"a":1}"#]);
}

#[tokio::test]
async fn redirects_repeat_it_or_are_the_answer() {
    for (status, repeated) in [
        ("301 Moved Permanently", false),
        ("302 Found", false),
        ("303 See Other", false),
        ("307 Temporary Redirect", true),
        ("308 Permanent Redirect", true),
    ] {
        let server = Server::start(move |request, _| {
            if request.starts_with("POST / ") {
                Reply::redirect(status, "/next")
            } else {
                Reply::ok("here")
            }
        })
        .await;
        let response = post(&server, "/").await;
        let first = r#"POST / HTTP/1.1|application/json|{"a":1}"#;
        if repeated {
            assert_eq!(text(response).await, "here", "{status}");
            let next = r#"POST /next HTTP/1.1|application/json|{"a":1}"#;
            assert_eq!(seen(&server), [first, next], "{status}");
        } else {
            assert_eq!(response.status.as_str(), &status[..3]);
            assert_eq!(seen(&server), [first], "{status}");
        }
    }
}

#[tokio::test]
async fn the_body_does_not_go_to_another_host() {
    let other = Server::start(|_, _| Reply::ok("")).await;
    let elsewhere = format!("http://localhost:{}/", other.port());
    let server =
        Server::start(move |_, _| Reply::redirect("307 Temporary Redirect", &elsewhere)).await;
    assert_eq!(post(&server, "/").await.status, 307);
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_nothing() {
    let server = Server::start(|_, number| match number {
        0 => Reply::ok("a"),
        _ => Reply::raw("").then_close(),
    })
    .await;
    let client = client(&HttpConfig::default());
    for _ in 0..2 {
        let request = request(&server.url("/"));
        assert_eq!(text(client.post(request, "text/plain", "body").await.unwrap()).await, "a");
        return_to_pool().await;
    }
    assert_eq!(seen(&server), ["POST / HTTP/1.1|text/plain|body"; 3]);
}

#[tokio::test]
async fn a_get_has_neither_type_nor_length() {
    let server = Server::start(|_, _| Reply::ok("")).await;
    client(&HttpConfig::default()).get(request(&server.url("/"))).await.unwrap();
    assert_eq!(server.last_header("content-length"), None);
    assert_eq!(server.last_header("transfer-encoding"), None);
}
