//! `/api/v1/targets`.

use std::sync::Arc;
use std::time::Instant;

use expect_test::expect;

use super::super::{Server, group, job, rule, set, source};
use super::{check, sets};

#[tokio::test]
async fn shows_targets_as_prometheus_does() {
    check(
        "/api/v1/targets",
        expect![[r#"
        200 {
          "data": {
            "activeTargets": [
              {
                "discoveredLabels": {
                  "__address__": "10.0.0.1:80",
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__meta_node": "n\"1",
                  "__meta_task": "2",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "job": "web"
                },
                "globalUrl": "http://10.0.0.1:80/metrics",
                "health": "unknown",
                "labels": {
                  "instance": "10.0.0.1:80",
                  "job": "web",
                  "node": "n\"1"
                },
                "lastError": "",
                "lastScrape": "0001-01-01T00:00:00Z",
                "lastScrapeDuration": 0,
                "scrapeInterval": "1m",
                "scrapePool": "web",
                "scrapeTimeout": "10s",
                "scrapeUrl": "http://10.0.0.1:80/metrics"
              }
            ],
            "droppedTargetCounts": {
              "empty": 0,
              "web": 2
            },
            "droppedTargets": [
              {
                "discoveredLabels": {
                  "__address__": "10.0.0.2:80",
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__meta_state": "shutdown",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "job": "web"
                },
                "dropReason": "relabel_configs[0]: drop (__meta_state =~ \"shutdown\")",
                "scrapePool": "web"
              },
              {
                "discoveredLabels": {
                  "__address__": "127.0.0.1:9100",
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__meta_state": "shutdown",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "job": "web"
                },
                "dropReason": "relabel_configs[0]: drop (__meta_state =~ \"shutdown\")",
                "scrapePool": "web"
              }
            ],
            "refusedTargets": [
              {
                "discoveredLabels": {
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__meta_node": "n3",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "job": "web"
                },
                "reason": "no address",
                "scrapePool": "web"
              },
              {
                "discoveredLabels": {
                  "__address__": "10.0.0.1:80",
                  "__always_scrape_classic_histograms__": "false",
                  "__convert_classic_histograms_to_nhcb__": "false",
                  "__meta_node": "n\"1",
                  "__metrics_path__": "/metrics",
                  "__scheme__": "http",
                  "__scrape_interval__": "1m",
                  "__scrape_native_histograms__": "false",
                  "__scrape_timeout__": "10s",
                  "job": "web"
                },
                "reason": "duplicate: another target has the same labels and URL",
                "scrapePool": "web"
              }
            ]
          },
          "status": "success"
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn shows_the_targets_that_are_asked_for() {
    check(
        "/api/v1/targets?state=Active&scrapePool=empty",
        expect![[r#"
        200 {
          "data": {
            "activeTargets": [],
            "droppedTargetCounts": null,
            "droppedTargets": [],
            "refusedTargets": []
          },
          "status": "success"
        }"#]],
    )
    .await;
    check(
        "/api/v1/targets?state=none",
        expect![[r#"
        200 {
          "data": {
            "activeTargets": [],
            "droppedTargetCounts": null,
            "droppedTargets": [],
            "refusedTargets": []
          },
          "status": "success"
        }"#]],
    )
    .await;
    check(
        "/api/v1/targets?state=dropped&scrapePool=empty",
        expect![[r#"
        200 {
          "data": {
            "activeTargets": [],
            "droppedTargetCounts": {
              "empty": 0,
              "web": 2
            },
            "droppedTargets": [],
            "refusedTargets": []
          },
          "status": "success"
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn lists_at_most_as_many_dropped_targets_as_configured() {
    let now = Instant::now();
    let mut sets = sets(now);
    Arc::make_mut(&mut sets[1].set.pool).keep_dropped_targets = 1;
    let server = Server::start(now, sets).await;
    let targets = server.get("/api/v1/targets?state=dropped").await.json();
    assert_eq!(targets["data"]["droppedTargets"].as_array().unwrap().len(), 1);
    assert_eq!(targets["data"]["droppedTargetCounts"]["web"], 2);
}

/// More than one piece of the answer.
#[tokio::test]
async fn long_lists_are_whole() {
    let now = Instant::now();
    let addresses: Vec<_> = (0..600)
        .map(|i| {
            format!(
                "10.1.{}.{}:80 __meta_state={}",
                i / 250,
                i % 250,
                ["running", "shutdown"][i % 2]
            )
        })
        .collect();
    let targets: Vec<_> = addresses.iter().map(String::as_str).collect();
    let mut job = job("web");
    job.pool.relabel = Arc::from([rule("drop", "__meta_state", "shutdown")]);
    let groups: Vec<_> = targets.chunks(140).map(|part| group("a", "", part)).collect();
    let set = set(&Arc::new(job), &groups, vec![source("s/0", now, Some(0))]);
    let server = Server::start(now, vec![set]).await;
    for headers in [&[][..], &["Accept-Encoding: gzip"]] {
        let reply = server.request("GET", "/api/v1/targets", headers).await;
        assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
        let json = reply.json();
        assert_eq!(json["data"]["activeTargets"].as_array().unwrap().len(), 300);
        assert_eq!(json["data"]["droppedTargets"].as_array().unwrap().len(), 300);
        assert_eq!(json["data"]["droppedTargetCounts"]["web"], 300);
    }
    let head = server.request("HEAD", "/api/v1/targets", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}
