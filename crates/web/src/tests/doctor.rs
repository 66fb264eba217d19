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
