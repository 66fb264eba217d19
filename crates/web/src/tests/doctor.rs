//! `/api/v1/doctor`, `/api/v1/explain` and `/api/v1/status`.

use super::*;

#[tokio::test]
async fn a_post_runs_the_checks_and_a_get_shows_the_last_report() {
    let now = Instant::now();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = Arc::new(job("node"));
    let groups = [group("0", "", &[&closed.to_string()])];
    let server =
        Server::start(now, vec![set(&config, &groups, vec![source("a", now, Some(1))])]).await;

    let before = server.get("/api/v1/doctor").await;
    assert_eq!(before.status, 404);
    assert!(before.text().contains("POST to this address runs them"), "{}", before.text());

    let run = server.request("POST", "/api/v1/doctor", &[]).await;
    assert_eq!(run.status, 200, "{}", run.text());
    let report: serde_json::Value = serde_json::from_slice(&run.body).unwrap();
    let finding = &report["data"]["findings"][0];
    assert_eq!(finding["check"], "port_closed");
    assert_eq!(finding["subject"], "job node");
    assert_eq!(report["data"]["targets"], 1);

    let last = server.get("/api/v1/doctor").await;
    let last: serde_json::Value = serde_json::from_slice(&last.body).unwrap();
    assert_eq!(last["data"]["findings"], report["data"]["findings"]);
}

/// A target that holds its answer until it is released. Also the number of connections that it held
/// at the same time.
struct SlowTarget {
    address: String,
    arrived: Arc<tokio::sync::Notify>,
    release: Arc<tokio::sync::Semaphore>,
    most: Arc<std::sync::atomic::AtomicUsize>,
    tasks: JoinSet<()>,
}

impl SlowTarget {
    async fn start() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut target = Self {
            address: listener.local_addr().unwrap().to_string(),
            arrived: Arc::default(),
            release: Arc::new(tokio::sync::Semaphore::new(0)),
            most: Arc::default(),
            tasks: JoinSet::new(),
        };
        let (arrived, release) = (Arc::clone(&target.arrived), Arc::clone(&target.release));
        let (most, open) = (Arc::clone(&target.most), Arc::new(AtomicUsize::new(0)));
        target.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut connection, _)) = listener.accept().await {
                let (arrived, release) = (Arc::clone(&arrived), Arc::clone(&release));
                let (most, open) = (Arc::clone(&most), Arc::clone(&open));
                connections.spawn(async move {
                    most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
                    let mut request = [0; 4096];
                    assert!(connection.read(&mut request).await.unwrap() > 0);
                    arrived.notify_one();
                    release.acquire().await.unwrap().forget();
                    open.fetch_sub(1, SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup 1\n";
                    connection.write_all(answer).await.unwrap();
                });
            }
        });
        target
    }
}

#[tokio::test]
async fn the_checks_run_once_at_a_time() {
    let now = Instant::now();
    let target = SlowTarget::start().await;
    let config = Arc::new(job("node"));
    let groups = [group("0", "", &[&target.address])];
    let server =
        Server::start(now, vec![set(&config, &groups, vec![source("a", now, Some(1))])]).await;
    let run = || server.request("POST", "/api/v1/doctor", &[]);
    let during = async {
        target.arrived.notified().await;
        let answer = server.get("/api/v1/doctor").await;
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains("the checks are running"), "{}", answer.text());
        target.release.add_permits(3);
    };
    let (a, b, c, ()) = tokio::join!(run(), run(), run(), during);
    for answer in [a, b, c] {
        assert_eq!(answer.status, 200);
        let report: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(report["data"]["up"], 1);
        assert_eq!(report["data"].get("suggest"), None);
    }
    assert_eq!(target.most.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_run_whose_reader_has_left_holds_up_no_other() {
    let now = Instant::now();
    let target = SlowTarget::start().await;
    let config = Arc::new(job("node"));
    let groups = [group("0", "", &[&target.address])];
    let server =
        Server::start(now, vec![set(&config, &groups, vec![source("a", now, Some(1))])]).await;
    let run = || server.request("POST", "/api/v1/doctor", &[]);
    tokio::select! {
        answer = run() => panic!("the target has not answered: {}", answer.text()),
        () = target.arrived.notified() => {}
    }
    // The permit that is left is for the run that was cancelled, if its target still waits.
    target.release.add_permits(2);
    assert_eq!(run().await.status, 200);
}

#[tokio::test]
async fn suggestions_are_made_on_demand() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    let run = server.request("POST", "/api/v1/doctor?suggest=1", &[]).await;
    let report: serde_json::Value = serde_json::from_slice(&run.body).unwrap();
    assert_eq!(report["data"]["suggest"]["services"], 0);
    let run = server.request("POST", "/api/v1/doctor?suggest=yes", &[]).await;
    assert_eq!(run.status, 400);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_run_the_checks() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    let origin = "Origin: http://evil.example";
    assert_eq!(server.request("POST", "/api/v1/doctor", &[origin]).await.status, 403);
}

#[tokio::test]
async fn an_object_is_explained() {
    let now = Instant::now();
    let config = Arc::new(job("node"));
    let groups = [group("0", "", &["10.0.0.1:80"])];
    let server = Server::start(now, vec![set(&config, &groups, Vec::new())]).await;
    let answer = server.get("/api/v1/explain?object=10.0.0.1:80").await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        answer["data"]["verdict"],
        "1 target of address 10.0.0.1:80 is listed for scraping (job node)."
    );
    assert_eq!(server.get("/api/v1/explain?object=service/web").await.status, 404);
    assert_eq!(server.get("/api/v1/explain").await.status, 400);
}

#[tokio::test]
async fn the_status_says_what_is_wrong_and_where_targets_were_probed() {
    let now = Instant::now();
    let config = Arc::new(job("node"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let groups = [group("0", "", &[&closed.to_string()])];
    let mut failing = source("a", now, Some(1));
    failing.error = Some(Arc::from("connection refused"));
    let server = Server::start(now, vec![set(&config, &groups, vec![failing])]).await;

    let status = async || {
        let answer = server.get("/api/v1/status").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        answer["data"].clone()
    };
    let before = status().await;
    assert_eq!(before["health"], "0 of 1 source up, 1 target: 1 error");
    assert_eq!(before["findings"][0]["check"], "source_failing");
    assert_eq!(before["otherSources"][0]["ageSeconds"], 1.0);
    assert!(before["lastDoctor"].is_null(), "{before}");

    server.request("POST", "/api/v1/doctor", &[]).await;
    let after = status().await;
    assert_eq!(
        (&after["lastDoctor"]["probed"], &after["lastDoctor"]["up"]),
        (&1.into(), &0.into())
    );
}
