use std::sync::Arc;
use std::time::{Duration, Instant};

use expect_test::expect;
use swarmscout_discovery::without_address::{
    NoAddress, ServiceWithoutAddress, TasksWithoutAddress,
};
use swarmscout_discovery::{Problem, SourceStatus};
use swarmscout_server::ExternalUrl;
use swarmscout_swarm::FeedKind;

use super::{Server, file, group, job, set, source, swarm, with};
use crate::{Options, Readiness, ReloadStatus};

#[tokio::test]
async fn shows_how_everything_is() {
    let now = Instant::now();
    let mut failing = source("dockerswarm/0", now, Some(125));
    failing.error = Some(Arc::from("no answer from <10.0.0.9> within \u{1b}10s"));
    failing.problems = (0..12)
        .map(|i| Problem {
            kind: "service",
            object: format!("service-{i}"),
            reason: "virtual IP without address",
            detail: String::from("network <b>"),
        })
        .collect();
    let mut none = source("dockerswarm/1", now, None);
    none.problems = failing.problems.iter().take(2).cloned().collect();
    let reported =
        Problem { reason: "label keys that become one name", ..none.problems[0].clone() };
    let advice = Problem {
        kind: "service",
        object: String::new(),
        reason: "no labelled service",
        detail: String::from("write <this>"),
    };
    none.problems = none.problems.iter().cloned().chain([reported, advice]).collect();
    let service = |i: usize| ServiceWithoutAddress {
        service: format!("<mv{i}>").into(),
        reason: NoAddress::UnknownAddress,
        networks: Arc::from("mv (macvlan)"),
        tasks: 3,
    };
    let services: Vec<_> = (0..12).map(service).collect();
    failing.without_address = Some(Arc::new(TasksWithoutAddress::of(services.iter())));
    let mut first = set(
        &Arc::new(job("<web> & \"more\"")),
        &[group("a", "", &["10.0.0.1:80", ""])],
        vec![failing, none],
    );
    first.set.limit_error = Some(String::from("target_limit exceeded"));
    let server = Server::start(now, vec![first]).await;
    let written = file(server.now, Some("<web> & \"more\""), Some("no space <left>"));
    let not_emptied = file(server.now, None, Some("cannot empty <it>"));
    server.files.send_replace(Arc::from([written, not_emptied]));
    let page = server.get("/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let page = page.text();
    for expected in [
        "&lt;web&gt; &amp; &quot;more&quot;",
        "href=\"/sd/%3Cweb%3E%20%26%20%22more%22?raw=1\"",
        "href=\"/api/v1/targets?scrapePool=%3Cweb%3E+%26+%22more%22\"",
        "no answer from &lt;10.0.0.9&gt; within \\u{1b}10s",
        "failing",
        "waiting for first refresh",
        "<strong>1</strong> active, <strong>1</strong> refused",
        "confirmed 2 min 5 s ago",
        "12 objects skipped<",
        "2 objects skipped, 1 problem reported",
        "<p class=\"warn\">no labelled service: write &lt;this&gt;</p>",
        "36 running tasks without address",
        "service &quot;&lt;mv0&gt;&quot;: 3 running tasks have no address that the Swarm knows: they are on network mv (macvlan)",
        "and 2 more services",
        "service-9",
        "and 2 more",
        "network &lt;b&gt;",
        "target_limit exceeded",
        "no space &lt;left&gt;",
        "confirmed 5 s ago",
        "Files of removed jobs could not be emptied",
        "cannot empty &lt;it&gt;",
        "Up for 1 h, configuration of 1 min ago",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    for hidden in ["service-10", "<web>", "<b>", "\u{1b}", "/-/quit"] {
        assert!(!page.contains(hidden), "{hidden}\n{page}");
    }
}

#[tokio::test]
async fn shows_missing_sources() {
    let now = Instant::now();
    let sources = vec![source("dockerswarm/0", now, Some(7)), source("dockerswarm/1", now, None)];
    let first = set(&Arc::new(job("web")), &[], sources);
    let server = Server::start(now, vec![first.clone()]).await;
    let missing = "Served without the targets of 1 source that never answered.";
    assert!(!server.get("/").await.text().contains(missing));
    server.publish(first.timed_out());
    let page = server.get("/").await.text();
    assert!(page.contains(missing) && page.contains(">incomplete<"), "{page}");
}

#[tokio::test]
async fn shows_targets_from_before_a_restart() {
    let now = Instant::now();
    let waits = source("dockerswarm/0", now, Some(125));
    let mut fails = source("dockerswarm/1", now, Some(125));
    fails.error = Some(Arc::from("no answer"));
    for (mut source, badge, health) in
        [(waits, "first refresh", "unknown"), (fails, "failing", "down")]
    {
        source.restored = true;
        let up = format!("swarmscout_source_up{{job=\"web\",source=\"{}\"}} 0.0", source.name);
        let server = Server::start(now, vec![set(&Arc::new(job("web")), &[], vec![source])]).await;
        let page = server.get("/").await.text();
        let figures = "2 targets from before the restart, confirmed 2 min 5 s ago";
        assert!(page.contains(&format!(">{badge}<")) && page.contains(figures), "{page}");
        let sources = server.get("/api/v1/sources").await.json();
        let source = &sources["data"]["sources"][0];
        assert_eq!((&source["restored"], &source["health"]), (&true.into(), &health.into()));
        let metrics = server.get("/metrics").await.text();
        assert!(metrics.contains(&up), "{metrics}");
        assert_eq!(server.get("/sd/web").await.status, 200);
    }
}

#[tokio::test]
async fn shows_how_changes_are_learned() {
    let now = Instant::now();
    for (kind, expected) in [
        (
            FeedKind::Watch,
            "<p class=\"feed\"><strong>watch</strong> for 16 min 40 s, last change 10 s ago, \
             seen 20 ms late, 3 nodes, 2 services, 5 tasks, 1 network</p>\
             <p class=\"feed\">Managers: 10.0.0.1, 10.0.0.2</p>",
        ),
        (
            FeedKind::Events,
            "<p class=\"feed warn\">No better feed: no control socket &lt;here&gt;</p>",
        ),
        (FeedKind::Poll, "<strong>poll</strong> for 16 min 40 s"),
    ] {
        let mut reads = source("dockerswarm/0", now, Some(7));
        let published = swarm(&mut reads, now, kind);
        let set = set(&Arc::new(job("web")), &[], vec![reads, source("file/0", now, None)]);
        let server = Server::start(now, vec![set]).await;
        server.swarms.send_replace(Arc::from([published.swarm()]));
        let page = server.get("/").await.text();
        assert!(page.contains(expected), "{expected}\n{page}");
        assert_eq!(page.matches("class=\"feed\"").count(), 2, "{page}");
        // No source reads it now.
        drop(published);
        assert!(!server.get("/").await.text().contains("class=\"feed\""));
    }
}

#[tokio::test]
async fn shows_errors_of_the_configuration() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    server.ready.send_replace(Readiness::Starting);
    server.reload.send_replace(ReloadStatus {
        error: Some(Arc::from("prometheus.yml:3:1: unknown key \"x\"")),
        loaded: server.now.system - Duration::from_secs(90),
        warnings: Arc::from([String::from("remote_write: nothing is sent yet")]),
    });
    let page = server.get("/").await.text();
    for expected in [
        "Starting",
        "prometheus.yml:3:1: unknown key &quot;x&quot;",
        "configuration of 1 min 30 s ago",
        "1 warning<",
        "remote_write: nothing is sent yet",
        "The configuration has no jobs",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    let config = server.get("/api/v1/status/config").await;
    assert_eq!(config.status, 503);
    server.ready.send_replace(Readiness::Ready);
    let config = server.get("/api/v1/status/config").await.json();
    assert_eq!(config["warnings"][0], "remote_write: nothing is sent yet");
    let info = server.get("/api/v1/status/runtimeinfo").await.json();
    assert_eq!(info["data"]["reloadConfigSuccess"], false);
    assert_eq!(info["data"]["lastConfigError"], "prometheus.yml:3:1: unknown key \"x\"");
}

/// Swarm mode first, classic Swarm last, each job ready to copy.
#[tokio::test]
async fn shows_what_prometheus_needs_of_every_job() {
    let now = Instant::now();
    let set = |name: &str, mechanism| {
        let source = SourceStatus { mechanism, ..source("source/0", now, Some(0)) };
        set(&Arc::new(job(name)), &[], vec![source])
    };
    let sets = vec![
        set("classic", "swarm"),
        set("hosts", "file"),
        set("nodes", "dockerswarm"),
        set("<tasks>", "dockerswarm"),
    ];
    let server = Server::start(now, sets).await;
    let page = server.get("/").await.text();
    expect![[r#"
        scrape_configs:
          - job_name: &quot;nodes&quot;
            http_sd_configs:
              - url: &quot;http://swarm.example:9465/sd/nodes&quot;
          - job_name: &quot;&lt;tasks&gt;&quot;
            http_sd_configs:
              - url: &quot;http://swarm.example:9465/sd/%3Ctasks%3E&quot;
          - job_name: &quot;hosts&quot;
            http_sd_configs:
              - url: &quot;http://swarm.example:9465/sd/hosts&quot;
          - job_name: &quot;classic&quot;
            http_sd_configs:
              - url: &quot;http://swarm.example:9465/sd/classic&quot;"#]]
    .assert_eq(page.split("<pre>").nth(1).and_then(|rest| rest.split("</pre>").next()).unwrap());
    let titles = page.split("<h2>").skip(1).filter_map(|rest| rest.split("</h2>").next());
    let titles: Vec<_> = titles.take(4).collect();
    assert_eq!(titles, ["nodes", "&lt;tasks&gt;", "hosts", "classic"]);
}

/// Every address in a page must lead somewhere, behind a proxy that strips a prefix too.
#[tokio::test]
async fn links_lead_somewhere() {
    let now = Instant::now();
    let options = with(|options| {
        options.external_url = Some(ExternalUrl {
            scheme: String::from("https"),
            authority: String::from("proxy.example"),
            path: String::from("/outside"),
        });
        options.route_prefix = String::from("/inside");
    });
    let options = Options { enable_lifecycle: true, ..options };
    let sets = vec![set(&Arc::new(job("../../x")), &[], vec![source("file/0", now, Some(0))])];
    let server = Server::with_options(now, sets, options).await;
    let page = server.get("/inside/").await.text();
    let mut links: Vec<_> = ["href=\"", "src=\""]
        .into_iter()
        .flat_map(|attribute| page.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    links.sort_unstable();
    links.dedup();
    assert!(links.len() > 15, "{links:?}");
    for link in links {
        let path = link.replace("&amp;", "&");
        let path = path.strip_prefix("/outside").unwrap();
        let reply = server.get(&format!("/inside{path}")).await;
        // No job of this name is in the empty configuration of this test.
        let config = path.starts_with("/api/v1/scrape_pools/config");
        assert_eq!(reply.status, if config { 400 } else { 200 }, "{path}");
    }
    assert!(page.contains("url: &quot;https://proxy.example/outside/sd/..%2F..%2Fx&quot;"));
}

#[tokio::test]
async fn a_missing_page_says_so_to_people_and_programs() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    let reply = server.get("/nothing").await;
    assert_eq!((reply.status, &*reply.text()), (404, "404 page not found\n"));
    let reply = server.request("GET", "/a%3Cb", &["Accept: text/html,*/*;q=0.8"]).await;
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("<code>/a%3Cb</code>"));
}

#[tokio::test]
async fn style_and_icon_are_cached_by_the_browser() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    for (path, content_type) in
        [("/style.css", "text/css; charset=utf-8"), ("/icon.svg", "image/svg+xml")]
    {
        let reply = server.get(path).await;
        assert_eq!(reply.header("content-type"), Some(content_type));
        assert!(reply.header("cache-control").unwrap().contains("immutable"));
    }
}

#[tokio::test]
async fn shows_the_configuration_of_generated_jobs() {
    let now = Instant::now();
    let jobs = ["from-file", "generated"].map(|name| set(&Arc::new(job(name)), &[], Vec::new()));
    let server = Server::start(now, jobs.to_vec()).await;
    let yaml = "job_name: <generated>\n";
    server.jobs.send_modify(|jobs| {
        let mut changed = jobs.to_vec();
        changed[1].yaml = Some(Arc::from(yaml));
        *jobs = changed.into();
    });
    let page = server.get("/").await.text();
    assert_eq!(page.matches("Generated configuration").count(), 1, "{page}");
    assert!(page.contains("<pre>job_name: &lt;generated&gt;\n</pre>"), "{page}");
    let config = server.get("/api/v1/status/config").await.json();
    let expected = serde_json::json!([{"scrapePool": "generated", "yaml": yaml}]);
    assert_eq!(config["data"]["generatedJobs"], expected);
    let one = server.get("/api/v1/scrape_pools/config?scrapePool=generated").await.json();
    assert_eq!(one["data"]["yaml"], yaml);
}
