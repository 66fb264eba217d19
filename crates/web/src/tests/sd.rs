use std::sync::Arc;
use std::time::Instant;

use expect_test::{Expect, expect};
use swarmscout_model::size::Bytes;
use swarmscout_model::{Budget, SetGroup, TargetSet};

use super::{Options, Published, Reply, Server, group, job, replace, rule, set, source};

/// A job with rules, two groups, and all that decides what is served.
fn web_set(now: Instant) -> Published {
    let mut job = job("web");
    job.pool.defaults.scheme = String::from("https");
    job.pool.defaults.params = vec![(String::from("module"), vec![String::from("x")])];
    job.pool.relabel = Arc::from([
        rule("drop", "__meta_state", "shutdown"),
        replace("__meta_node", "(.+)", "node", "$1"),
        replace("__meta_interval", "(.+)", "__scrape_interval__", "$1"),
    ]);
    let groups = [
        group(
            "a",
            "__meta_node=n1",
            &[
                "10.0.0.1:80",
                "10.0.0.2:80",
                "10.0.0.3:80 __meta_state=shutdown",
                "10.0.0.4:80 x=\"\u{1}",
            ],
        ),
        group("b", "__meta_node=n2", &["10.0.0.5:80 __meta_interval=2m"]),
    ];
    set(&Arc::new(job), &groups, vec![source("dockerswarm/0", now, Some(7))])
}

async fn check(path: &str, expected: Expect) {
    let now = Instant::now();
    let server = Server::start(now, vec![web_set(now)]).await;
    let reply = server.get(path).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    let text = reply.text();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    expected.assert_eq(&text);
}

#[tokio::test]
async fn serves_kept_targets_without_our_defaults() {
    check("/sd/web", expect![[r#"
        [
        {"targets":["10.0.0.1:80","10.0.0.2:80"],"labels":{"__meta_node":"n1","__param_module":"x","__scheme__":"https","node":"n1"}},
        {"targets":["10.0.0.4:80"],"labels":{"__meta_node":"n1","__param_module":"x","__scheme__":"https","node":"n1","x":"\"\u0001"}},
        {"targets":["10.0.0.5:80"],"labels":{"__meta_interval":"2m","__meta_node":"n2","__param_module":"x","__scheme__":"https","__scrape_interval__":"2m","node":"n2"}}
        ]
    "#]])
    .await;
}

#[tokio::test]
async fn leaves_out_meta_labels_if_asked() {
    check("/sd/web?meta=0", expect![[r#"
        [
        {"targets":["10.0.0.1:80","10.0.0.2:80"],"labels":{"__param_module":"x","__scheme__":"https","node":"n1"}},
        {"targets":["10.0.0.4:80"],"labels":{"__param_module":"x","__scheme__":"https","node":"n1","x":"\"\u0001"}},
        {"targets":["10.0.0.5:80"],"labels":{"__param_module":"x","__scheme__":"https","__scrape_interval__":"2m","node":"n2"}}
        ]
    "#]])
    .await;
}

#[tokio::test]
async fn serves_what_the_source_found_if_asked() {
    check(
        "/sd/web?raw=1",
        expect![[r#"
        [
        {"targets":["10.0.0.1:80","10.0.0.2:80"],"labels":{"__meta_node":"n1"}},
        {"targets":["10.0.0.3:80"],"labels":{"__meta_node":"n1","__meta_state":"shutdown"}},
        {"targets":["10.0.0.4:80"],"labels":{"__meta_node":"n1","x":"\"\u0001"}},
        {"targets":["10.0.0.5:80"],"labels":{"__meta_interval":"2m","__meta_node":"n2"}}
        ]
    "#]],
    )
    .await;
}

#[tokio::test]
async fn the_index_lists_all_jobs() {
    let now = Instant::now();
    let odd = set(&Arc::new(job("../../ö x")), &[], vec![source("dockerswarm/0", now, None)]);
    let server = Server::start(now, vec![odd, web_set(now)]).await;
    expect![[r#"[{"job":"../../ö x","url":"http://swarm.example:9465/sd/..%2F..%2F%C3%B6%20x","targets":0,"ready":false,"missing":["dockerswarm/0"],"classes":[],"probes":false},{"job":"web","url":"http://swarm.example:9465/sd/web","targets":4,"ready":true,"missing":[],"classes":[],"probes":false}]"#]]
    .assert_eq(&server.get("/sd").await.text());
}

#[tokio::test]
async fn finds_jobs_by_their_encoded_name() {
    let now = Instant::now();
    let names = ["../../x", "a b", "a/b", "ö", "100%"];
    let mut sets: Vec<_> =
        names.iter().map(|name| set(&Arc::new(job(name)), &[], Vec::new())).collect();
    sets.sort_by(|a, b| a.config.name().cmp(b.config.name()));
    let server = Server::start(now, sets).await;
    for (path, status) in [
        ("/sd/..%2F..%2Fx", 200),
        ("/sd/../../x", 200),
        ("/sd/a%20b", 200),
        ("/sd/a/b", 200),
        ("/sd/a%2fb", 200),
        ("/sd/%c3%b6", 200),
        ("/sd/100%25", 200),
        ("/sd/", 200),
        ("/sd/x", 404),
        ("/sd/a", 404),
        ("/sd/%ff", 400),
        ("/sd/ö?raw=2", 400),
        ("/sd/a%2fb?raw=yes", 400),
        ("/sd/a%2fb?raw=1&meta=0", 400),
        ("/sd/a%2fb?probes=2", 400),
        ("/sd/a%2fb?class=", 400),
        ("/sd/a%2fb?class=x&probes=1", 400),
        ("/sd/a%2fb?class=x&probes=0", 200),
        ("/sd/a%2fb?other=x", 200),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
    let missing = server.get("/sd/no%0Ajob").await.text();
    assert_eq!(missing, "there is no job \"no\\njob\"; /sd lists the jobs\n");
}

#[tokio::test]
async fn an_empty_list_means_that_there_is_nothing() {
    let now = Instant::now();
    let job = Arc::new(job("web"));
    let mut server =
        Server::start(now, vec![set(&job, &[], vec![source("s/0", now, Some(0))])]).await;
    let reply = server.get("/sd/web").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "[]\n"));
    assert_eq!(server.request("GET", "/sd/web", &["Accept-Encoding: gzip"]).await.text(), "[]\n");

    // One of two sources has not answered: the targets of the other one are not the whole list.
    let groups = [group("a", "", &["10.0.0.1:80"])];
    let mut failing = source("dockerswarm/1", now, None);
    failing.error = Some(Arc::from("cannot connect to 10.0.0.9:2375: connection refused"));
    let sources =
        vec![source("dockerswarm/0", now, Some(0)), failing, source("dockerswarm/2", now, None)];
    let partial = set(&job, &groups, sources);
    server.publish(partial.clone());
    let reply = server.get("/sd/web").await;
    assert_eq!(reply.status, 503);
    expect![[r#"
        job "web": 2 of 3 sources have not answered yet
        dockerswarm/1 (unix:///var/run/docker.sock role tasks): cannot connect to 10.0.0.9:2375: connection refused
        dockerswarm/2 (unix:///var/run/docker.sock role tasks): the first refresh is not finished
        the others are served without them after --sd.startup-timeout
    "#]]
    .assert_eq(&reply.text());

    // Its time has passed: the targets of the other one are served.
    server.publish(partial.timed_out());
    let reply = server.get("/sd/web").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), "[\n{\"targets\":[\"10.0.0.1:80\"],\"labels\":{}}\n]\n");
    let missing = "x-swarmscout-missing-sources";
    assert_eq!(reply.header(missing), Some("dockerswarm/1, dockerswarm/2"));
    let known = format!("If-None-Match: {}", reply.header("etag").unwrap());
    let reply = server.request("GET", "/sd/web?raw=1", &[]).await;
    assert_eq!((reply.status, reply.header(missing)), (200, Some("dockerswarm/1, dockerswarm/2")));
    let reply = server.request("GET", "/sd/web", &[&known]).await;
    assert_eq!((reply.status, reply.header(missing)), (304, Some("dockerswarm/1, dockerswarm/2")));
    let index = server.get("/sd").await.json();
    assert_eq!(index[0]["ready"], true);
    assert_eq!(index[0]["missing"], serde_json::json!(["dockerswarm/1", "dockerswarm/2"]));

    // Many of them are a number.
    let mut sources = vec![source("dockerswarm/0", now, Some(0)), source("ö,\n/1", now, None)];
    sources.extend((2..40).map(|i| source(&format!("dns/{i}"), now, None)));
    server.publish(set(&job, &groups, sources).timed_out());
    let reply = server.get("/sd/web").await;
    expect!["%C3%B6%2C%0A/1, dns/2, dns/3, dns/4, dns/5, dns/6, dns/7, dns/8, dns/9, dns/10, dns/11, dns/12, dns/13, dns/14, dns/15, dns/16, +23"]
    .assert_eq(reply.header(missing).unwrap());

    // While none has answered there is nothing to be served.
    let sources = vec![source("dockerswarm/1", now, None)];
    server.publish(set(&job, &groups, sources));
    assert_eq!(server.get("/sd/web").await.status, 503);

    // Too many: none is scraped.
    let mut limited = set(&job, &groups, vec![source("s/0", now, Some(0))]);
    limited.set.limit_error =
        Some(String::from("target_limit exceeded (number of targets: 1, limit: 0)"));
    server.publish(limited);
    let reply = server.get("/sd/web").await;
    assert_eq!(reply.status, 503);
    assert_eq!(
        reply.text(),
        "job \"web\": target_limit exceeded (number of targets: 1, limit: 0)\n"
    );
    assert_eq!(server.get("/sd/web?raw=1").await.status, 200);

    server.stop.take();
}

#[tokio::test]
async fn reports_its_age_and_its_version() {
    let now = Instant::now();
    let server = Server::start(now, vec![web_set(now)]).await;
    let first = server.get("/sd/web").await;
    let etag = first.header("etag").unwrap().to_owned();
    assert_eq!(first.header("x-swarmscout-oldest-source-age-seconds"), Some("7"));
    assert_eq!(first.header("content-length"), Some(&*first.body.len().to_string()));

    let ask = async |condition: &str| server.request("GET", "/sd/web", &[condition]).await;
    for condition in [&etag, &format!("W/{etag}"), &format!("\"x\", {etag}"), "*"] {
        let reply = ask(&format!("If-None-Match: {condition}")).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{condition}");
        assert_eq!(reply.header("etag"), Some(&*etag));
        assert_eq!(reply.header("x-swarmscout-oldest-source-age-seconds"), Some("7"));
    }
    assert_eq!(ask("If-None-Match: \"x\"").await.status, 200);

    let head = server.request("HEAD", "/sd/web", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), Some(&*etag));
    assert_eq!(head.header("content-length"), first.header("content-length"));

    // The same content of another set has the same version; another content has another.
    let mut again = web_set(now);
    server.publish(again.clone());
    assert_eq!(server.get("/sd/web").await.header("etag"), Some(&*etag));
    again.set.groups = again.set.groups[..1].into();
    server.publish(again);
    assert_ne!(server.get("/sd/web").await.header("etag"), Some(&*etag));
}

#[tokio::test]
async fn compresses_for_clients_that_accept_it() {
    let now = Instant::now();
    let server = Server::start(now, vec![web_set(now)]).await;
    for path in ["/sd/web", "/sd/web?meta=0", "/sd/web?raw=1"] {
        let plain = server.get(path).await;
        let gzip = server.request("GET", path, &["Accept-Encoding: gzip, deflate"]).await;
        assert_eq!(gzip.header("content-encoding"), Some("gzip"));
        assert_eq!(gzip.header("content-length"), Some(&*gzip.body.len().to_string()));
        assert_eq!(gzip.header("vary"), Some("Accept-Encoding"));
        assert_eq!(gzip.text(), plain.text());
        assert_ne!(gzip.header("etag"), plain.header("etag"));
    }
}

/// An answer made of cached parts must equal one made from scratch.
#[tokio::test]
async fn a_change_leaves_other_parts_alone() {
    let now = Instant::now();
    let first = web_set(now);
    let server = Server::start(now, vec![first.clone()]).await;
    let read = async || {
        let gzip = server.request("GET", "/sd/web", &["Accept-Encoding: gzip"]).await.text();
        let plain = server.get("/sd/web").await.text();
        assert_eq!(gzip, plain);
        plain
    };
    let whole = read().await;
    let groups = [first.set.groups[0].clone(), first.set.groups[1].clone()];
    let [a, b] = groups;
    let hidden = SetGroup::new(Arc::clone(&a.relabelled), &[0, 2]);
    for (groups, expected) in [
        (vec![b.clone()], "[\n{\"targets\":[\"10.0.0.5:80\"]"),
        (vec![b.clone(), a.clone()], "[\n{\"targets\":[\"10.0.0.5:80\"]"),
        (vec![hidden.clone(), b.clone()], "[\n{\"targets\":[\"10.0.0.2:80\"],"),
        (vec![SetGroup::new(Arc::clone(&a.relabelled), &[0, 1, 2])], "[]\n"),
        (vec![a.clone(), b.clone()], whole.as_str()),
    ] {
        let set = TargetSet { groups: groups.into(), ..first.set.clone() };
        server.sets[0].send_replace(Arc::new(set));
        let text = read().await;
        assert!(text.starts_with(expected), "{text}");
        assert!(serde_json::from_str::<Vec<serde_json::Value>>(&text).is_ok(), "{text}");
    }
}

#[tokio::test]
async fn many_readers_share_one_answer() {
    let now = Instant::now();
    let addresses: Vec<_> =
        (0..1000).map(|i| format!("10.1.{}.{}:80 id=task-{i}", i / 250, i % 250)).collect();
    let targets: Vec<_> = addresses.iter().map(String::as_str).collect();
    let groups = [group("a", "__meta_long=text", &targets)];
    let set = set(&Arc::new(job("web")), &groups, vec![source("s/0", now, Some(0))]);
    let server = Arc::new(Server::start(now, vec![set]).await);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let server = Arc::clone(&server);
        readers.spawn(async move { server.get("/sd/web").await });
    }
    let replies: Vec<Reply> = readers.join_all().await;
    assert!(replies.iter().all(|reply| reply.body == replies[0].body));
    let list: Vec<serde_json::Value> = serde_json::from_slice(&replies[0].body).unwrap();
    assert_eq!(list.len(), 1000);
}

/// 40 targets of 50,000 bytes: a list that fits once. Another form takes its place; one that is
/// larger than all there is says so, and costs nothing afterwards.
#[tokio::test]
async fn lists_stay_within_the_budget() {
    let now = Instant::now();
    let targets: Vec<_> = (0..40).map(|i| format!("h:{i} n={i}")).collect();
    let targets: Vec<_> = targets.iter().map(String::as_str).collect();
    let groups: Vec<_> = (0..4)
        .map(|i| {
            group(&format!("g{i}"), &format!("x={}", "v".repeat(50_000)), &targets[i * 10..][..10])
        })
        .collect();
    let set = set(&Arc::new(job("web")), &groups, vec![source("http/0", now, Some(0))]);
    for (limit, statuses) in [(6_000_000, [200, 200]), (3_000_000, [503, 503])] {
        let budget = Budget::new(Bytes(limit));
        let server =
            Server::with_budget(now, vec![set.clone()], Options::default(), budget.clone()).await;
        for (path, status) in ["/sd/web", "/sd/web?raw=1"].into_iter().zip(statuses) {
            let reply = server.get(path).await;
            assert_eq!(reply.status, status, "{path} within {limit}");
            assert!(budget.used() <= limit);
            if status == 503 {
                let text = reply.text();
                let start = "job \"web\": cannot write the list of targets: it needs about ";
                assert!(text.starts_with(start), "{text}");
                assert_eq!(budget.used(), 0);
            }
        }
    }
}

/// A job with a target in each list.
fn lists(now: Instant) -> Published {
    let groups = [
        group("a", "", &["10.0.0.1:80"]),
        group(
            "b",
            "__meta_swarmscout_list=class/a&b",
            &[
                "10.0.0.2:80 __meta_swarmscout_unreachable=no_shared_network service=shop",
                "10.0.0.3:80",
            ],
        ),
        group("c", "__meta_swarmscout_list=probes", &["10.0.0.4:80"]),
    ];
    set(&Arc::new(job("web")), &groups, vec![source("swarmscout/0", now, Some(7))])
}

#[tokio::test]
async fn a_reader_gets_the_list_that_it_asks_for() {
    let now = Instant::now();
    let server = Server::start(now, vec![lists(now)]).await;
    for (query, expected) in [
        ("meta=0", r#"{"targets":["10.0.0.1:80"],"labels":{}}"#),
        (
            "meta=0&class=a%26b",
            r#"{"targets":["10.0.0.2:80"],"labels":{"service":"shop"}},
{"targets":["10.0.0.3:80"],"labels":{}}"#,
        ),
        ("meta=0&probes=1", r#"{"targets":["10.0.0.4:80"],"labels":{}}"#),
        (
            "raw=1&probes=true",
            r#"{"targets":["10.0.0.4:80"],"labels":{"__meta_swarmscout_list":"probes"}}"#,
        ),
    ] {
        let reply = server.get(&format!("/sd/web?{query}")).await;
        assert_eq!((reply.status, reply.text()), (200, format!("[\n{expected}\n]\n")), "{query}");
    }
    assert_eq!(server.get("/sd/web?class=unknown").await.text(), "[]\n");
    let index = server.get("/sd").await.json();
    assert_eq!(index[0]["classes"], serde_json::json!(["a&b"]));
    assert_eq!((&index[0]["probes"], &index[0]["targets"]), (&true.into(), &1.into()));
    let page = server.get("/").await.text();
    for link in ["href=\"/sd/web?class=a%26b\"", "href=\"/sd/web?probes=1\""] {
        assert!(page.contains(link), "{link}\n{page}");
    }
    assert!(page.contains("<strong>1</strong> unreachable"), "{page}");
}

#[tokio::test]
async fn the_api_shows_all_lists() {
    let now = Instant::now();
    let server = Server::start(now, vec![lists(now)]).await;
    let targets = server.get("/api/v1/targets").await.json();
    let targets = targets["data"]["activeTargets"].as_array().unwrap();
    let lists: Vec<_> = targets.iter().map(|target| target["list"].as_str()).collect();
    assert_eq!(lists, [None, Some("class/a&b"), Some("class/a&b"), Some("probes")]);
    let metrics = server.get("/metrics").await.text();
    for (state, count) in [("active", 4), ("unreachable", 1)] {
        let series = format!("swarmscout_targets{{job=\"web\",state=\"{state}\"}} {count}.0");
        assert!(metrics.contains(&series), "{series}");
    }
    let unreachable = "swarmscout_unreachable_targets{job=\"web\",service=\"shop\"} 1.0\n";
    assert!(metrics.contains(unreachable), "{metrics}");
}
