//! `/sd/<job>?wait=`.

use std::sync::Arc;
use std::time::Instant;

use swarmscout_discovery::manager::Job;
use swarmscout_model::size::Bytes;
use swarmscout_model::{Budget, TargetSet};
use swarmscout_web_config::DoorsHandle;
use swarmscout_web_config::testing::{doors, handle};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Published, Reply, Server, group, job, request, set, source, with};
use crate::{Options, Readiness};

/// A job with targets at these addresses.
fn list(now: Instant, addresses: &[&str]) -> Published {
    let groups = [group("a", "", addresses)];
    set(&Arc::new(job("web")), &groups, vec![source("s/0", now, Some(7))])
}

/// A server whose job `web` has one target, and requests that wait.
struct Waits {
    server: Server,
    now: Instant,
    replies: JoinSet<Reply>,
}

impl Waits {
    async fn with(options: Options) -> Self {
        Self::with_doors(options, None).await
    }

    async fn with_doors(options: Options, doors: Option<DoorsHandle>) -> Self {
        let now = Instant::now();
        let (sets, budget) = (vec![list(now, &["h:1"])], Budget::new(Bytes(1 << 30)));
        let server = Server::with_doors(now, sets, options, budget, doors).await;
        Self { server, now, replies: JoinSet::new() }
    }

    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// `If-None-Match` for the present list.
    async fn known(&self, path: &str, headers: &[&str]) -> String {
        let reply = self.server.request("GET", path, headers).await;
        format!("If-None-Match: {}", reply.header("etag").unwrap())
    }

    fn send(&mut self, method: &'static str, path: &str, headers: &[&str]) {
        let (address, path) = (self.server.address, path.to_owned());
        let headers: Vec<_> = headers.iter().map(|header| (*header).to_owned()).collect();
        self.replies.spawn(async move {
            let headers: Vec<_> = headers.iter().map(String::as_str).collect();
            request(address, method, &path, &headers).await
        });
    }

    /// Resolves when this many requests wait.
    async fn are_waiting(&self, count: usize) {
        while self.metric("swarmscout_http_waiting").await != count.to_string() + ".0" {}
    }

    async fn metric(&self, name: &str) -> String {
        let metrics = self.server.get("/metrics").await.text();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap().to_owned()
    }

    async fn reply(&mut self) -> Reply {
        self.replies.join_next().await.unwrap().unwrap()
    }

    fn publish(&self, addresses: &[&str]) {
        self.server.publish(list(self.now, addresses));
    }
}

#[tokio::test]
async fn a_list_that_the_reader_does_not_have_is_sent_at_once() {
    let waits = Waits::start().await;
    let ask = async |headers: &[&str]| {
        let reply = waits.server.request("GET", "/sd/web?wait=5m", headers).await;
        assert_eq!(reply.header("x-swarmscout-wait"), Some("5m"));
        reply.status
    };
    assert_eq!(ask(&[]).await, 200);
    assert_eq!(ask(&["If-None-Match: \"other\""]).await, 200);
    // The compressed list is another one.
    let plain = waits.known("/sd/web", &[]).await;
    assert_eq!(ask(&[&plain, "Accept-Encoding: gzip"]).await, 200);
    // So is that of a class.
    let normal = waits.server.request("GET", "/sd/web?wait=5m&class=x", &[&plain]).await;
    assert_eq!(normal.text(), "[]\n");
}

#[tokio::test]
async fn every_answer_says_whether_one_may_wait() {
    let waits = Waits::start().await;
    for (path, status) in [
        ("/sd/web", 200),
        ("/sd/web?wait=1s", 200),
        ("/sd/web?wait=1m30s&meta=0", 200),
        ("/sd/web?wait=999ms", 400),
        ("/sd/web?wait=301s", 400),
        ("/sd/web?wait=60", 400),
        ("/sd/web?wait=0", 400),
        ("/sd/web?wait=", 400),
        ("/sd/web?wait=1m&raw=2", 400),
        ("/sd/other?wait=1m", 404),
    ] {
        let reply = waits.server.get(path).await;
        assert_eq!(
            (reply.status, reply.header("x-swarmscout-wait")),
            (status, Some("5m")),
            "{path}"
        );
    }
    let reason = waits.server.get("/sd/web?wait=1h").await.text();
    assert_eq!(reason, "wait is a duration from 1s to 5m: wait=60s\n");

    let off = Waits::with(with(|options| options.max_waiting = 0)).await;
    let known = off.known("/sd/web", &[]).await;
    let reply = off.server.request("GET", "/sd/web?wait=5m", &[&known]).await;
    assert_eq!((reply.status, reply.header("x-swarmscout-wait")), (304, None));
}

/// HEAD waits as GET does, and so does every form of a list.
#[tokio::test]
async fn waits_until_the_list_differs() {
    let mut waits = Waits::start().await;
    let requests: [(_, _, &[&str]); 4] = [
        ("GET", "/sd/web?wait=5m", &[]),
        ("HEAD", "/sd/web?wait=5m", &[]),
        ("GET", "/sd/web?wait=5m&meta=0", &["Accept-Encoding: gzip"]),
        ("GET", "/sd/web?raw=1&wait=5m", &[]),
    ];
    for (method, path, headers) in requests {
        let known = waits.known(&path.replace("wait=5m", ""), headers).await;
        waits.send(method, path, &[&[known.as_str()], headers].concat());
    }
    waits.are_waiting(requests.len()).await;
    // An equal list wakes no reader, nor does a counter.
    waits.publish(&["h:1"]);
    waits.publish(&["h:1"]);
    waits.are_waiting(requests.len()).await;
    waits.publish(&["h:1", "h:2"]);
    let mut bodies = Vec::new();
    while !waits.replies.is_empty() {
        let reply = waits.reply().await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-swarmscout-oldest-source-age-seconds"), Some("7"));
        bodies.push(reply.text().contains("h:2"));
    }
    bodies.sort_unstable();
    assert_eq!(bodies, [false, true, true, true]);
    waits.are_waiting(0).await;
    let metrics = waits.server.get("/metrics").await.text();
    let count = "prometheus_http_requests_total{code=\"200\",handler=\"/sd/:job?wait\"} 4\n";
    assert!(metrics.contains(count), "{metrics}");
}

#[tokio::test]
async fn a_wait_without_a_change_ends_with_304_and_without_a_list_with_503() {
    let mut waits = Waits::start().await;
    let known = waits.known("/sd/web", &[]).await;
    waits.send("GET", "/sd/web?wait=1s", &[&known]);
    let reply = waits.reply().await;
    assert_eq!((reply.status, reply.body.len()), (304, 0));
    assert_eq!(reply.header("etag"), known.strip_prefix("If-None-Match: "));
    assert_eq!(reply.header("x-swarmscout-oldest-source-age-seconds"), Some("7"));
    assert_eq!(reply.header("x-swarmscout-wait"), Some("5m"));

    let sources = vec![source("s/0", waits.now, None)];
    waits.server.publish(set(&Arc::new(job("web")), &[], sources));
    waits.send("GET", "/sd/web?wait=1s", &[&known]);
    let reply = waits.reply().await;
    assert_eq!((reply.status, reply.header("x-swarmscout-wait")), (503, Some("5m")));
    assert!(reply.text().contains("sources have not answered yet"), "{reply:?}");
}

#[tokio::test]
async fn a_list_that_there_cannot_be_yet_is_awaited() {
    let mut waits = Waits::start().await;
    let known = waits.known("/sd/web", &[]).await;
    let sources = vec![source("s/0", waits.now, None)];
    waits.server.publish(set(&Arc::new(job("web")), &[], sources));
    waits.send("GET", "/sd/web?wait=5m", &[]);
    waits.are_waiting(1).await;
    waits.publish(&["h:1"]);
    assert_eq!(waits.reply().await.status, 200);

    // The list that a reader has does not end its wait, even after a time without a list.
    let mut limited = list(waits.now, &["h:1", "h:2"]);
    limited.set.limit_error = Some(String::from("target_limit exceeded"));
    waits.server.publish(limited);
    waits.send("GET", "/sd/web?wait=5m", &[&known]);
    waits.are_waiting(1).await;
    waits.publish(&["h:1"]);
    waits.are_waiting(1).await;
    waits.publish(&["h:3"]);
    assert!(waits.reply().await.text().contains("h:3"));
}

#[tokio::test]
async fn a_wait_ends_with_its_job() {
    let mut waits = Waits::start().await;
    let known = waits.known("/sd/web", &[]).await;
    waits.send("GET", "/sd/web?wait=5m", &[&known]);
    waits.are_waiting(1).await;
    waits.server.jobs.send_replace(Arc::from([]));
    let reply = waits.reply().await;
    assert_eq!((reply.status, reply.header("x-swarmscout-wait")), (404, Some("5m")));
}

/// A reload removed the job and added one of its name.
#[tokio::test]
async fn a_wait_follows_the_job_of_its_name() {
    let mut waits = Waits::start().await;
    let known = waits.known("/sd/web", &[]).await;
    waits.send("GET", "/sd/web?wait=5m", &[&known]);
    waits.are_waiting(1).await;
    let again = list(waits.now, &["h:1"]);
    let (sets, set) = watch::channel::<Arc<TargetSet>>(Arc::new(again.set));
    let (_statuses, status) = watch::channel(Arc::new(again.status));
    let config = Arc::clone(&again.config);
    waits.server.jobs.send_replace(Arc::from([Job { config, yaml: None, set, status }]));
    // Nothing is sent to the old one.
    waits.server.sets.clear();
    waits.are_waiting(1).await;
    sets.send_replace(Arc::new(list(waits.now, &["h:9"]).set));
    assert!(waits.reply().await.text().contains("h:9"));
}

#[tokio::test]
async fn the_end_of_the_program_ends_all_waits() {
    let mut waits = Waits::start().await;
    let known = waits.known("/sd/web", &[]).await;
    waits.send("GET", "/sd/web?wait=5m", &[&known]);
    waits.are_waiting(1).await;
    waits.server.ready.send_replace(Readiness::Stopping);
    // Discovery ends before the server does: that is no 404.
    waits.server.jobs.send_replace(Arc::from([]));
    let reply = waits.reply().await;
    assert_eq!((reply.status, reply.header("x-prometheus-stopping")), (503, Some("true")));
}

#[tokio::test]
async fn waiting_requests_have_a_limit_of_their_own() {
    let options = with(|options| (options.max_waiting, options.max_connections) = (1, 1));
    let mut waits = Waits::with(options).await;
    let known = waits.known("/sd/web", &[]).await;
    waits.send("GET", "/sd/web?wait=5m", &[&known]);
    // The only connection is free for these.
    waits.are_waiting(1).await;
    let reply = waits.server.request("GET", "/sd/web?wait=5m", &[&known]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert_eq!(reply.header("x-swarmscout-wait"), Some("5m"));
    assert_eq!(waits.metric("swarmscout_http_waiting_refused_total").await, "1");
    assert_eq!(waits.metric("swarmscout_http_waiting_limit").await, "1.0");
    // What needs not wait is answered.
    assert_eq!(waits.server.get("/sd/web?wait=5m").await.status, 200);
    waits.publish(&["h:2"]);
    assert_eq!(waits.reply().await.status, 200);
    waits.are_waiting(0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_waits_no_longer() {
    let mut waits = Waits::start().await;
    let known = waits.known("/sd/web", &[]).await;
    waits.send("GET", "/sd/web?wait=5m", &[&known]);
    waits.are_waiting(1).await;
    waits.replies.shutdown().await;
    waits.are_waiting(0).await;
}

#[tokio::test]
async fn all_that_wait_get_the_same_list() {
    let mut waits = Waits::start().await;
    let known = waits.known("/sd/web", &[]).await;
    for _ in 0..100 {
        waits.send("GET", "/sd/web?wait=5m", &[&known]);
    }
    waits.are_waiting(100).await;
    waits.publish(&["h:2"]);
    for reply in std::mem::take(&mut waits.replies).join_all().await {
        assert!(reply.text().contains("h:2"));
    }
}

/// Its reader may have had a right that the new version takes away.
#[tokio::test]
async fn a_wait_ends_when_the_web_configuration_changes() {
    let (sender, handle) = handle(doors("authorization: {lists: [anyone], metrics: [anyone]}"));
    let mut waits = Waits::with_doors(Options::default(), Some(handle)).await;
    let known = waits.known("/sd/web", &[]).await;
    waits.send("GET", "/sd/web?wait=5m", &[&known]);
    waits.are_waiting(1).await;
    sender.send_replace(doors("authorization: {metrics: [anyone]}"));
    let reply = waits.reply().await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.text(), "the web configuration has changed: ask again\n");
    assert_eq!(waits.server.get("/sd/web?wait=5m").await.status, 403);
}
