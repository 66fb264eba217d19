mod targets;

use std::sync::Arc;
use std::time::Instant;

use expect_test::{Expect, expect};
use swarmscout_discovery::Problem;
use swarmscout_discovery::without_address::{
    NoAddress, ServiceWithoutAddress, TasksWithoutAddress,
};
use swarmscout_model::SetGroup;
use swarmscout_model::relabel::Regex;
use swarmscout_swarm::FeedKind;

use super::{Published, Server, file, group, job, replace, rule, set, source, swarm};
use crate::{Options, ReloadStatus};
use swarmscout_publish::file_sd::FileStatus;

/// Two jobs: one with a target of every kind, one without any.
fn sets(now: Instant) -> Vec<Published> {
    let mut web = job("web");
    web.pool.relabel = Arc::from([
        rule("drop", "__meta_state", "shutdown"),
        replace("__meta_node", "(.+)", "node", "$1"),
    ]);
    let targets = [
        "10.0.0.1:80 __meta_node=n\"1",
        "10.0.0.2:80 __meta_state=shutdown",
        " __meta_node=n3",
        "10.0.0.1:80 __meta_node=n\"1 __meta_task=2",
        "127.0.0.1:9100 __meta_state=shutdown",
    ];
    let mut first = set(
        &Arc::new(web),
        &[group("a", "", &targets)],
        vec![source("dockerswarm/0", now, Some(7))],
    );
    let hidden = SetGroup::new(Arc::clone(&first.set.groups[0].relabelled), &[0]);
    first.set.groups = Arc::from([hidden]);
    first.set.counts.active = 1;
    first.set.counts.duplicates = 1;
    vec![set(&Arc::new(job("empty")), &[], Vec::new()), first]
}

async fn check(path: &str, expected: Expect) {
    let now = Instant::now();
    let server = Server::start(now, sets(now)).await;
    let reply = server.get(path).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    expected.assert_eq(&format!("{} {json:#}", reply.status));
}

#[tokio::test]
async fn lists_scrape_pools() {
    check(
        "/api/v1/scrape_pools",
        expect![[r#"
        200 {
          "data": {
            "scrapePools": [
              "empty",
              "web"
            ]
          },
          "status": "success"
        }"#]],
    )
    .await;
    check(
        "/api/v1/scrape_pools/config",
        expect![[r#"
        400 {
          "error": "no scrapePool parameter provided",
          "errorType": "bad_data",
          "status": "error"
        }"#]],
    )
    .await;
    check(
        "/api/v1/scrape_pools/config?scrapePool=x",
        expect![[r#"
        400 {
          "error": "error retrieving scrape config: scrape pool \"x\" not found",
          "errorType": "bad_data",
          "status": "error"
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn replays_the_rules() {
    let path = "/api/v1/targets/relabel_steps";
    check(
        &format!("{path}?scrapePool=web&labels=%7B%22__meta_node%22:%22n1%22,%22x%22:%22%22%7D"),
        expect![[r#"
            200 {
              "data": {
                "steps": [
                  {
                    "keep": true,
                    "output": {
                      "__meta_node": "n1"
                    },
                    "rule": {
                      "action": "drop",
                      "regex": "shutdown",
                      "replacement": "$1",
                      "separator": ";",
                      "source_labels": [
                        "__meta_state"
                      ]
                    }
                  },
                  {
                    "keep": true,
                    "output": {
                      "__meta_node": "n1",
                      "node": "n1"
                    },
                    "rule": {
                      "action": "replace",
                      "regex": "(.+)",
                      "replacement": "$1",
                      "separator": ";",
                      "source_labels": [
                        "__meta_node"
                      ],
                      "target_label": "node"
                    }
                  }
                ]
              },
              "status": "success"
            }"#]],
    )
    .await;
    check(
        &format!("{path}?scrapePool=web&labels=%7B%22__meta_state%22:%22shutdown%22%7D"),
        expect![[r#"
            200 {
              "data": {
                "steps": [
                  {
                    "keep": false,
                    "output": {},
                    "rule": {
                      "action": "drop",
                      "regex": "shutdown",
                      "replacement": "$1",
                      "separator": ";",
                      "source_labels": [
                        "__meta_state"
                      ]
                    }
                  },
                  {
                    "keep": false,
                    "output": {},
                    "rule": {
                      "action": "replace",
                      "regex": "(.+)",
                      "replacement": "$1",
                      "separator": ";",
                      "source_labels": [
                        "__meta_node"
                      ],
                      "target_label": "node"
                    }
                  }
                ]
              },
              "status": "success"
            }"#]],
    )
    .await;
    check(
        path,
        expect![[r#"
        400 {
          "error": "no scrapePool parameter provided",
          "errorType": "bad_data",
          "status": "error"
        }"#]],
    )
    .await;
    check(
        &format!("{path}?scrapePool=web"),
        expect![[r#"
        400 {
          "error": "no labels parameter provided",
          "errorType": "bad_data",
          "status": "error"
        }"#]],
    )
    .await;
    check(&format!("{path}?scrapePool=web&labels=%5B"), expect![[r#"
        400 {
          "error": "error parsing labels: invalid type: sequence, expected a map at line 1 column 0",
          "errorType": "bad_data",
          "status": "error"
        }"#]]).await;
    check(
        &format!("{path}?scrapePool=no&labels=%7B%7D"),
        expect![[r#"
        400 {
          "error": "error retrieving scrape config: scrape pool \"no\" not found",
          "errorType": "bad_data",
          "status": "error"
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn the_configuration_alone_can_be_saved() {
    let server = Server::start(Instant::now(), sets(Instant::now())).await;
    let wrapped = server.get("/api/v1/status/config?format=json").await.json();
    let alone = server.get("/api/v1/status/config?format=yaml").await;
    assert_eq!((alone.status, alone.header("content-type")), (200, Some("application/yaml")));
    assert_eq!(wrapped["data"]["yaml"], alone.text());
    assert!(alone.text().starts_with("global:"), "{}", alone.text());
    check(
        "/api/v1/status/config?format=xml",
        expect![[r#"
        400 {
          "error": "unknown format \"xml\": json or yaml",
          "errorType": "bad_data",
          "status": "error"
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn describes_itself() {
    check(
        "/api/v1/status/flags",
        expect![[r#"
        200 {
          "data": {
            "config.file": "prometheus.yml"
          },
          "status": "success"
        }"#]],
    )
    .await;
    check(
        "/api/v1/status/buildinfo",
        expect![[r#"
        200 {
          "data": {
            "branch": "main",
            "buildDate": "2026-11-23",
            "buildUser": "somebody",
            "goVersion": "rustc 1.95.0",
            "revision": "0123abc",
            "version": "0.1.0"
          },
          "status": "success"
        }"#]],
    )
    .await;
    let now = Instant::now();
    let server = Server::start(now, Vec::new()).await;
    let mut info = server.get("/api/v1/status/runtimeinfo").await.json();
    for member in ["CWD", "hostname", "goroutineCount", "GOMAXPROCS"] {
        assert!(!info["data"][member].take().is_null(), "{member}");
    }
    expect![[r#"
        {
          "data": {
            "CWD": null,
            "GODEBUG": "",
            "GOGC": "",
            "GOMAXPROCS": null,
            "GOMEMLIMIT": 9223372036854775807,
            "corruptionCount": 0,
            "goroutineCount": null,
            "hostname": null,
            "lastConfigError": "",
            "lastConfigTime": "2023-11-14T22:12:20Z",
            "reloadConfigSuccess": true,
            "serverTime": "2023-11-14T22:13:20Z",
            "startTime": "2023-11-14T21:13:20Z",
            "storageRetention": ""
          },
          "status": "success"
        }"#]]
    .assert_eq(&format!("{info:#}"));

    let broken = ReloadStatus { error: Some(Arc::from("x")), ..server.reload.borrow().clone() };
    server.reload.send_replace(broken);
    let info = server.get("/api/v1/status/runtimeinfo").await.json();
    assert_eq!(info["data"]["reloadConfigSuccess"], false);
}

#[tokio::test]
async fn shows_the_sources() {
    let now = Instant::now();
    let mut sets = sets(now);
    let mut failing = source("dockerswarm/1", now, Some(125));
    failing.error = Some(Arc::from("no answer from 10.0.0.9:2375 within 10s"));
    failing.problems = Arc::from([Problem {
        kind: "service",
        object: String::from("abc"),
        reason: "virtual IP without address",
        detail: String::new(),
    }]);
    let service = ServiceWithoutAddress {
        service: Arc::from("exporter"),
        reason: NoAddress::HostNetwork,
        networks: Arc::from("host (host)"),
        tasks: 3,
    };
    failing.without_address = Some(Arc::new(TasksWithoutAddress::of([&service].into_iter())));
    let published = swarm(&mut failing, now, FeedKind::Events);
    sets[1].status.sources.push(failing);
    sets[0].set.stale_config = true;
    sets[0].status.next_sources.push(source("file/0", now, None));
    let server = Server::start(now, sets).await;
    server.swarms.send_replace(Arc::from([published.swarm()]));
    let written = file(server.now, Some("web"), None);
    let failing = file(server.now, Some("empty"), Some("cannot write it: no space left"));
    let not_yet = FileStatus { confirmed: None, ..file(server.now, Some("new"), None) };
    let not_emptied = file(server.now, None, Some("cannot empty it: no space left"));
    server.files.send_replace(Arc::from([written, failing, not_yet, not_emptied]));
    let sources = server.get("/api/v1/sources").await.json();
    expect![[r#"
        {
          "data": {
            "files": [
              {
                "failedWrites": 0,
                "health": "up",
                "lastConfirmed": "2023-11-14T22:13:15Z",
                "lastError": "",
                "path": "/targets/web.json",
                "scrapePool": "web",
                "writes": 3
              },
              {
                "failedWrites": 1,
                "health": "down",
                "lastConfirmed": "2023-11-14T22:13:15Z",
                "lastError": "cannot write it: no space left",
                "path": "/targets/empty.json",
                "scrapePool": "empty",
                "writes": 3
              },
              {
                "failedWrites": 0,
                "health": "unknown",
                "lastConfirmed": null,
                "lastError": "",
                "path": "/targets/new.json",
                "scrapePool": "new",
                "writes": 3
              },
              {
                "failedWrites": 1,
                "health": "down",
                "lastConfirmed": null,
                "lastError": "cannot empty it: no space left",
                "path": "/targets/gone.json",
                "scrapePool": null,
                "writes": 3
              }
            ],
            "sources": [
              {
                "ageSeconds": null,
                "displayName": "unix:///var/run/docker.sock role tasks",
                "failedRefreshes": 1,
                "feed": null,
                "groups": 1,
                "health": "unknown",
                "lastConfirmed": null,
                "lastError": "",
                "mechanism": "dockerswarm",
                "name": "file/0",
                "pending": true,
                "problems": [],
                "refreshes": 3,
                "restored": false,
                "scrapePool": "empty",
                "targets": 2,
                "tasksWithoutAddress": null
              },
              {
                "ageSeconds": 7.0,
                "displayName": "unix:///var/run/docker.sock role tasks",
                "failedRefreshes": 1,
                "feed": null,
                "groups": 1,
                "health": "up",
                "lastConfirmed": "2023-11-14T22:13:13Z",
                "lastError": "",
                "mechanism": "dockerswarm",
                "name": "dockerswarm/0",
                "pending": false,
                "problems": [],
                "refreshes": 3,
                "restored": false,
                "scrapePool": "web",
                "targets": 2,
                "tasksWithoutAddress": null
              },
              {
                "ageSeconds": 125.0,
                "displayName": "unix:///var/run/docker.sock role tasks",
                "failedRefreshes": 1,
                "feed": {
                  "ageSeconds": 4.0,
                  "changes": 7,
                  "delaySeconds": 0.02,
                  "drift": 0,
                  "host": "unix:///var/run/docker.sock",
                  "kind": "events",
                  "lastChange": "2023-11-14T22:13:10Z",
                  "managers": [
                    "10.0.0.1",
                    "10.0.0.2"
                  ],
                  "objects": {
                    "networks": 1,
                    "nodes": 3,
                    "services": 2,
                    "tasks": 5
                  },
                  "reason": "no control socket <here>",
                  "since": "2023-11-14T21:56:40Z",
                  "starts": 1,
                  "swarm": "unix:///var/run/docker.sock"
                },
                "groups": 1,
                "health": "down",
                "lastConfirmed": "2023-11-14T22:11:15Z",
                "lastError": "no answer from 10.0.0.9:2375 within 10s",
                "mechanism": "dockerswarm",
                "name": "dockerswarm/1",
                "pending": false,
                "problems": [
                  {
                    "detail": "",
                    "kind": "service",
                    "object": "abc",
                    "reason": "virtual IP without address",
                    "skipped": true
                  }
                ],
                "refreshes": 3,
                "restored": false,
                "scrapePool": "web",
                "targets": 2,
                "tasksWithoutAddress": {
                  "notListed": 0,
                  "services": [
                    {
                      "networks": "host (host)",
                      "reason": "host network",
                      "service": "exporter",
                      "tasks": 3
                    }
                  ],
                  "tasks": 3
                }
              }
            ]
          },
          "status": "success"
        }"#]]
    .assert_eq(&format!("{sources:#}"));
    let one = server.get("/api/v1/sources?scrapePool=empty").await.json();
    assert_eq!(one["data"]["sources"].as_array().unwrap().len(), 1);
    assert_eq!(one["data"]["files"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn says_that_nothing_is_stored_here() {
    check(
        "/api/v1/query?query=up",
        expect![[r#"
        422 {
          "error": "unavailable with Prometheus Agent",
          "errorType": "execution",
          "status": "error"
        }"#]],
    )
    .await;
    check(
        "/api/v1/nothing",
        expect![[r#"
        404 {
          "error": "there is no /nothing",
          "errorType": "not_found",
          "status": "error"
        }"#]],
    )
    .await;
    let server = Server::start(Instant::now(), Vec::new()).await;
    for (method, path) in [
        ("POST", "/api/v1/query_range"),
        ("GET", "/api/v1/labels"),
        ("GET", "/api/v1/label/job/values"),
        ("PUT", "/api/v1/admin/tsdb/snapshot"),
        ("GET", "/api/v1/rules"),
    ] {
        let reply = server.request(method, path, &[]).await;
        assert_eq!(reply.status, 422, "{path}");
        assert_eq!(reply.json()["error"], "unavailable with Prometheus Agent", "{path}");
    }
}

#[tokio::test]
async fn other_sites_read_only_if_allowed() {
    let allowed = |regex: &str| Options {
        cors_origin: Some(Arc::new(Regex::new(regex).unwrap())),
        ..Options::default()
    };
    for (options, origin, expected) in [
        (Options::default(), "https://a.example", None),
        (allowed(".*"), "https://a.example", Some("*")),
        (allowed("https://.\\.example"), "https://a.example", Some("https://a.example")),
        (allowed("https://.\\.example"), "https://a.example.org", None),
    ] {
        let server = Server::with_options(Instant::now(), Vec::new(), options).await;
        for (method, status) in [("GET", 200), ("OPTIONS", 204)] {
            let origin = format!("Origin: {origin}");
            let reply = server.request(method, "/api/v1/targets", &[&origin]).await;
            assert_eq!(reply.status, status);
            assert_eq!(reply.header("access-control-allow-origin"), expected);
        }
    }
}

#[tokio::test]
async fn shows_no_secret() {
    let text = r#"
scrape_configs:
  - job_name: web
    basic_auth: {username: me, password: hidden-1}
    http_sd_configs:
      - url: http://me:hidden-2@10.0.0.1/sd
        authorization: {credentials: hidden-3}
remote_write:
  - url: http://me:hidden-4@10.0.0.2/write
"#;
    let options = swarmscout_config::Options { agent: false, env: |_| None };
    let loaded = swarmscout_config::parse(text.as_bytes(), "prometheus.yml".as_ref(), &options);
    let loaded = loaded.unwrap();
    let job = Arc::new(loaded.config.job_configs().remove(0));
    let server = Server::start(Instant::now(), vec![set(&job, &[], Vec::new())]).await;
    server.config.send_replace(Arc::new(loaded.config));
    for (path, shown) in [
        ("/api/v1/status/config", "http://me:xxxxx@10.0.0.1/sd"),
        ("/api/v1/scrape_pools/config?scrapePool=web", "password: <secret>"),
        ("/", "web"),
        ("/metrics", "web"),
        ("/api/v1/targets", "web"),
    ] {
        let reply = server.get(path).await;
        let text = reply.text();
        assert_eq!(reply.status, 200, "{path}");
        assert!(text.contains(shown) && !text.contains("hidden"), "{path}: {text}");
    }
}
