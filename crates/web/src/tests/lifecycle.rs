use std::time::Instant;

use expect_test::expect;

use super::{Server, request};
use crate::{LifecycleCommand, Options, Readiness};

fn enabled() -> Options {
    Options { enable_lifecycle: true, ..Options::default() }
}

#[tokio::test]
async fn reports_whether_it_lives_and_is_ready() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    for (stage, ready, stopping) in [
        (Readiness::Starting, (503, "Service Unavailable\n"), Some("false")),
        (Readiness::Ready, (200, "Swarmscout is Ready.\n"), None),
        (Readiness::Stopping, (503, "Service Unavailable\n"), Some("true")),
    ] {
        server.ready.send_replace(stage);
        let healthy = server.get("/-/healthy").await;
        assert_eq!((healthy.status, &*healthy.text()), (200, "Swarmscout is Healthy.\n"));
        let reply = server.get("/-/ready").await;
        assert_eq!((reply.status, &*reply.text()), ready);
        assert_eq!(reply.header("x-prometheus-stopping"), stopping);
        let head = server.request("HEAD", "/-/ready", &[]).await;
        assert_eq!((head.status, head.body.len()), (ready.0, 0));
        // An empty list now would make a Prometheus drop all targets.
        assert_eq!(server.get("/sd").await.status, ready.0);
    }
    assert_eq!(server.request("HEAD", "/-/healthy", &[]).await.status, 200);
}

#[tokio::test]
async fn changes_nothing_unless_allowed() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    for path in ["/-/reload", "/-/quit"] {
        for method in ["POST", "PUT"] {
            let reply = server.request(method, path, &[]).await;
            let message = "Lifecycle API is not enabled. --web.enable-lifecycle enables it.\n";
            assert_eq!((reply.status, &*reply.text()), (403, message));
        }
        let reply = server.get(path).await;
        assert_eq!((reply.status, &*reply.text()), (405, "Only POST or PUT requests allowed"));
        assert_eq!(server.request("DELETE", path, &[]).await.status, 405);
    }
}

#[tokio::test]
async fn reloads_and_reports_the_result() {
    let mut server = Server::with_options(Instant::now(), Vec::new(), enabled()).await;
    for (result, expected) in [
        (Ok(()), (200, "")),
        (
            Err(String::from("prometheus.yml:3:1: unknown key")),
            (500, "failed to reload config: prometheus.yml:3:1: unknown key\n"),
        ),
    ] {
        let program = async {
            let command = server.commands.recv().await;
            let Some(LifecycleCommand::Reload(answer)) = command else { panic!("{command:?}") };
            answer.send(result).unwrap();
        };
        let (reply, ()) = tokio::join!(request(server.address, "POST", "/-/reload", &[]), program);
        assert_eq!((reply.status, &*reply.text()), expected);
    }
}

#[tokio::test]
async fn quits_once() {
    let mut server = Server::with_options(Instant::now(), Vec::new(), enabled()).await;
    let reply = server.request("PUT", "/-/quit", &[]).await;
    assert_eq!((reply.status, &*reply.text()), (200, "Requesting termination... Goodbye!"));
    assert!(matches!(server.commands.recv().await, Some(LifecycleCommand::Quit)));
    server.ready.send_replace(Readiness::Stopping);
    let reply = server.request("POST", "/-/quit", &[]).await;
    assert_eq!((reply.status, &*reply.text()), (200, "Termination already in progress."));
    assert!(server.commands.try_recv().is_err());
}

#[tokio::test]
async fn obeys_no_page_of_another_site() {
    let mut server = Server::with_options(Instant::now(), Vec::new(), enabled()).await;
    for path in ["/-/reload", "/-/quit"] {
        for method in ["POST", "PUT"] {
            for (header, expected) in [
                (
                    "Sec-Fetch-Site: cross-site",
                    "request refused: it was sent by a page of another site (\"cross-site\")\n",
                ),
                (
                    "Origin: http://evil.test",
                    "request refused: it was sent by a page of \"http://evil.test\", which is not of \
                     this server; behind a proxy, give the address of the proxy in \
                     --web.external-url\n",
                ),
                (
                    "Host: evil.test",
                    "request refused: this server does not know the host \"evil.test\" as its own \
                     name: use its IP address, or give the name in --web.allowed-hosts\n",
                ),
            ] {
                let reply = server.request(method, path, &[header]).await;
                assert_eq!((reply.status, &*reply.text()), (403, expected), "{path}");
            }
        }
    }
    assert!(server.commands.try_recv().is_err());
}

/// A page whose name resolves to 127.0.0.1 may read nothing either.
#[tokio::test]
async fn on_loopback_answers_to_its_own_names_only() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    for path in ["/", "/sd", "/sd/a", "/api/v1/targets", "/metrics", "/-/healthy", "/nothing"] {
        for method in ["GET", "HEAD", "OPTIONS", "POST"] {
            let reply = server.request(method, path, &["Host: evil.test"]).await;
            assert_eq!(reply.status, 403, "{method} {path}");
        }
        assert_ne!(server.get(path).await.status, 403, "{path}");
    }
    let metrics = server.get("/metrics").await.text();
    assert!(
        metrics.contains(r#"prometheus_http_requests_total{code="403",handler="/sd/:job"} 4"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn reports_its_version() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    expect![[r#"{"version":"0.1.0","revision":"0123abc","branch":"main","buildUser":"somebody","buildDate":"2026-11-23","goVersion":"rustc 1.95.0"}"#]]
        .assert_eq(&server.get("/version").await.text());
}
