use std::fmt::Write as _;
use std::sync::Mutex;

use bytes::Bytes;
use expect_test::{Expect, expect};
use futures_util::FutureExt as _;
use swarmscout_model::{PromDuration, TargetGroup};
use swarmscout_net::HttpConfig;
use swarmscout_simulator::{Fault, Listen, Reply, Response, Server};
use tokio::sync::watch;

use super::*;
use crate::source::SourceConfig as _;

/// A server, and a source that queries it.
struct Pair {
    server: Server,
    answer: Arc<Mutex<Response>>,
    source: Http,
    context: BuildContext,
}

impl Pair {
    fn new(credentials: &str) -> Self {
        let answer = Arc::new(Mutex::new(Response::json("[]")));
        let server = {
            let answer = answer.clone();
            Server::start(Listen::Tcp, move |_| answer.lock().unwrap().clone()).unwrap()
        };
        let address = server.addr().unwrap();
        let config = HttpSdConfig {
            urls: vec![format!("http://{credentials}{address}/sd?a=b")],
            refresh_interval: PromDuration::from_millis(1500),
            http: HttpConfig::default(),
        };
        let context = BuildContext::new("test/1");
        let source = Http::new(config, &context).unwrap();
        Self { server, answer, source, context }
    }

    async fn refresh_with(&mut self, answer: Response) -> Result<Refreshed<Groups>, Error> {
        *self.answer.lock().unwrap() = answer;
        self.source.fetch(RefreshScope::Full).await
    }

    /// Checks the result of a refresh, with `HOST` in place of the server's address.
    async fn check(&mut self, answer: Response, expected: Expect) {
        let mut shown = String::new();
        match self.refresh_with(answer).await {
            Err(error) => writeln!(shown, "error: {error}").unwrap(),
            Ok(refreshed) => {
                for group in refreshed.value {
                    let TargetGroup { source, targets, labels } = &*group;
                    writeln!(shown, "{source} {targets:?} {labels:?}").unwrap();
                }
            }
        }
        let host = self.server.addr().unwrap().to_string();
        expected.assert_eq(&shown.replace(&host, "HOST"));
    }
}

#[tokio::test]
async fn reads_groups_and_hides_the_password() {
    let mut pair = Pair::new("me:secret@");
    let answer = r#"[{"targets":["a:1"],"labels":{"x":"1"}},{"targets":["b:1"]}]"#;
    pair.check(Response::json(answer), expect![[r#"
        http://me:xxxxx@HOST/sd?a=b:0 [{__address__="a:1"}] {__meta_url="http://me:xxxxx@HOST/sd?a=b", x="1"}
        http://me:xxxxx@HOST/sd?a=b:1 [{__address__="b:1"}] {__meta_url="http://me:xxxxx@HOST/sd?a=b"}
    "#]]).await;
    let request = &pair.server.requests()[0];
    assert_eq!((&*request.path, &*request.query), ("/sd", "a=b"));
    for (name, value) in [
        ("accept", "application/json"),
        ("x-prometheus-refresh-interval-seconds", "1.5"),
        ("user-agent", "test/1"),
        ("authorization", "Basic bWU6c2VjcmV0"),
    ] {
        assert_eq!(request.headers[name], value, "{name}");
    }
}

#[tokio::test]
async fn an_answer_without_groups_is_an_answer() {
    let mut pair = Pair::new("");
    pair.check(Response::json("[]"), expect![[""]]).await;
    pair.check(Response::json("null"), expect![[""]]).await;
    let json = "application/json; charset=\"UTF-8\"";
    pair.check(Response::new(json, "[]"), expect![[""]]).await;
    assert_eq!(pair.context.stats.http_failures.get(), 0);
}

#[tokio::test]
async fn refuses_the_whole_answer() {
    let mut pair = Pair::new("me:secret@");
    pair.check(Response::message(503, "no\nleader"), expect![[r#"
        error: http://me:xxxxx@HOST/sd?a=b: server returned HTTP status 503 Service Unavailable: {"message":"no\nleader"}
    "#]]).await;
    pair.check(
        Response { status: 204, ..Response::json("") },
        expect![[r#"
        error: http://me:xxxxx@HOST/sd?a=b: server returned HTTP status 204 No Content
    "#]],
    )
    .await;
    pair.check(
        Response::new("text/html", "<html>"),
        expect![[r#"
        error: http://me:xxxxx@HOST/sd?a=b: unsupported content type "text/html"
    "#]],
    )
    .await;
    pair.check(Response::new("application/json ; charset=utf-8", "[]"), expect![[r#"
        error: http://me:xxxxx@HOST/sd?a=b: unsupported content type "application/json ; charset=utf-8"
    "#]]).await;
    pair.check(
        Response::json(r#"[{"targets":["a"]},null]"#),
        expect![[r#"
        error: http://me:xxxxx@HOST/sd?a=b: nil target group item found
    "#]],
    )
    .await;
    pair.check(
        Response::json(r#"[{"targets":["a"]},{"labels":{"":"x"}}]"#),
        expect![[r#"
        error: http://me:xxxxx@HOST/sd?a=b: "" is not a valid label name at line 1 column 32
    "#]],
    )
    .await;
    pair.check(
        Response::json(""),
        expect![[r#"
        error: http://me:xxxxx@HOST/sd?a=b: EOF while parsing a value at line 1 column 0
    "#]],
    )
    .await;
    assert_eq!(pair.context.stats.http_failures.get(), 7);
}

#[tokio::test]
async fn a_bad_byte_costs_a_letter_and_is_reported() {
    let mut pair = Pair::new("");
    let answer = b"[{\"targets\":[\"127.0.0.1:1\",\"\xff:2\"],\"labels\":{\"place\":\"caf\xe9\",\
        \"half\":\"\\ud800\"}},{\"targets\":[\"127.0.0.1:2\"]}]";
    for _ in 0..2 {
        let refreshed =
            pair.refresh_with(Response::json(Bytes::from_static(answer))).await.unwrap();
        let [first, second] = &refreshed.value[..] else { panic!("{:?}", refreshed.value) };
        assert_eq!(first.labels.get("place"), Some("caf\u{fffd}"));
        assert_eq!(first.labels.get("half"), Some("\u{fffd}"));
        assert_eq!((first.targets.len(), second.targets.len()), (2, 1));
        let mut shown = String::new();
        for problem in &refreshed.problems {
            assert!(!problem.is_skipped());
            let Problem { kind, object, reason, detail } = problem;
            writeln!(shown, "{kind} {object}: {reason}: {detail}").unwrap();
        }
        let host = pair.server.addr().unwrap().to_string();
        expect![[r#"
            group http://HOST/sd?a=b:0: invalid UTF-8 replaced: label half="�"
            group http://HOST/sd?a=b:0: invalid UTF-8 replaced: label place="caf�"
            group http://HOST/sd?a=b:0: invalid UTF-8 replaced: target "�:2"
        "#]]
        .assert_eq(&shown.replace(&host, "HOST"));
    }
}

#[tokio::test]
async fn broken_and_endless_answers_end() {
    let mut pair = Pair::new("");
    let server = &mut pair.source.servers[0];
    server.request = server.request.clone().max_body(100_000);
    for fault in [
        Fault::CutJson,
        Fault::Truncate,
        Fault::Reset,
        Fault::nested(10_000),
        Fault::endless_array(r#"{"targets":["a"]}"#),
        Fault::GzipBomb,
    ] {
        pair.server.faults().set(fault.clone());
        let answer = Response::json(r#"[{"targets":["a"]}]"#);
        assert!(pair.refresh_with(answer).await.is_err(), "{fault:?}");
    }
}

#[tokio::test]
async fn an_equal_answer_brings_the_same_groups() {
    let mut pair = Pair::new("");
    let first = pair.refresh_with(Response::json(r#"[{"targets":["a"]}]"#)).await.unwrap();
    let second = pair.refresh_with(Response::json(r#"[{"targets":["a"]}]"#)).await.unwrap();
    assert!(Arc::ptr_eq(&first.value[0], &second.value[0]));
    let third = pair.refresh_with(Response::json(r#"[{"targets":["b"]}]"#)).await.unwrap();
    assert_ne!(second.value, third.value);
}

#[tokio::test]
async fn is_as_old_as_the_swarmscout_it_asks() {
    let mut pair = Pair::new("");
    for (age, expected) in [("90.5", 90), ("0", 0), ("-1", 0), ("NaN", 0), ("old", 0)] {
        let answer = Response::json("[]").with("X-Swarmscout-Oldest-Source-Age-Seconds", age);
        let refreshed = pair.refresh_with(answer).await.unwrap();
        let age_now = refreshed.as_of.elapsed().as_secs();
        assert!((expected..expected + 60).contains(&age_now), "{age}: {age_now}");
    }
}

/// A server that lets readers wait: it answers a wait when there is another list.
struct Waiting {
    server: Server,
    list: watch::Sender<Response>,
    source: Http,
}

impl Waiting {
    /// A server with this list, and a source that has it and what it found.
    async fn start(list: Response) -> Self {
        Self::start_with(list, &[]).await
    }

    /// With further servers, by their URLs.
    async fn start_with(list: Response, others: &[&str]) -> Self {
        let list = watch::Sender::new(list);
        let lists = list.clone();
        let server = Server::start(Listen::Tcp, move |request| {
            let mut lists = lists.subscribe();
            if request.parameter("wait").is_none() {
                return Reply::Now(lists.borrow().clone());
            }
            Reply::Later(Box::pin(async move {
                lists.changed().await.unwrap();
                lists.borrow().clone()
            }))
        });
        let server = server.unwrap();
        let list_at = |server: &str| format!("{server}/sd?a=b");
        let config = HttpSdConfig {
            urls: [server.url()].into_iter().chain(others.iter().copied()).map(list_at).collect(),
            refresh_interval: PromDuration::from_secs(60),
            http: HttpConfig::default(),
        };
        let mut source = Http::new(config, &BuildContext::new("test/1")).unwrap();
        source.fetch(RefreshScope::Full).await.unwrap();
        Self { server, list, source }
    }

    /// Waits at the server until it answers this.
    async fn wait_for(&mut self, answer: Response) {
        let count = self.server.request_count();
        let answered = async {
            self.server.requested(count + 1).await;
            self.list.send_replace(answer);
        };
        tokio::join!(self.source.changed(), answered);
    }

    async fn refresh(&mut self) -> Result<Refreshed<Groups>, Error> {
        self.source.fetch(RefreshScope::Full).await
    }

    fn queries(&self) -> Vec<String> {
        self.server.requests().iter().map(|request| request.query.clone()).collect()
    }
}

fn listed(version: &str, json: &str) -> Response {
    Response::json(json.to_owned()).with("ETag", version).with("X-Swarmscout-Wait", "5m")
}

fn unchanged(version: &str) -> Response {
    Response { status: 304, ..listed(version, "") }
}

#[tokio::test]
async fn follows_a_server_that_lets_readers_wait() {
    let mut waiting = Waiting::start(listed("\"1\"", r#"[{"targets":["a:1"]}]"#)).await;
    waiting.wait_for(listed("\"2\"", r#"[{"targets":["a:1"]},{"targets":["b:1"]}]"#)).await;
    // That something changed stays known until it is read.
    waiting.source.changed().await;
    let refreshed = waiting.refresh().await.unwrap();
    assert_eq!(refreshed.value.len(), 2);
    assert!(refreshed.problems.is_empty());
    // The answer that ends a wait without a change confirms the list, as old as it says.
    let answer = unchanged("\"2\"").with("X-Swarmscout-Oldest-Source-Age-Seconds", "90");
    waiting.wait_for(answer).await;
    let confirmed = waiting.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&confirmed.value[1], &refreshed.value[1]));
    assert!((90..150).contains(&confirmed.as_of.elapsed().as_secs()));
    assert_eq!(waiting.queries(), ["a=b", "a=b&wait=50s", "a=b&wait=50s"]);
    let versions = waiting.server.requests();
    let versions: Vec<_> =
        versions.iter().map(|request| request.headers.get("if-none-match").cloned()).collect();
    let version = |text| Some(HeaderValue::from_static(text));
    assert_eq!(versions, [None, version("\"1\""), version("\"2\"")]);
    // It is asked without a wait, too, only for what it does not have.
    waiting.list.send_replace(unchanged("\"2\""));
    let again = waiting.refresh().await.unwrap();
    assert!(Arc::ptr_eq(&again.value[1], &refreshed.value[1]));
    assert_eq!(waiting.queries()[3..], ["a=b"]);
}

#[tokio::test]
async fn polls_a_server_that_does_not_let_readers_wait() {
    let list = r#"[{"targets":["a:1"]}]"#;
    for answer in [
        Response::json(list).with("X-Swarmscout-Wait", "5m"),
        Response::json(list).with("ETag", "\"1\""),
        Response::json(list).with("ETag", "\"1\"").with("X-Swarmscout-Wait", "soon"),
        Response::json(list).with("ETag", "\"1\"").with("X-Swarmscout-Wait", "0"),
    ] {
        let mut waiting = Waiting::start(answer.clone()).await;
        assert_eq!(waiting.source.next_refresh(), None, "{answer:?}");
        assert!(waiting.source.changed().now_or_never().is_none());
    }
    // Nor one that does so no longer.
    let mut waiting = Waiting::start(listed("\"1\"", list)).await;
    assert!(waiting.source.next_refresh().is_some());
    waiting.wait_for(Response::json(list).with("ETag", "\"1\"")).await;
    waiting.refresh().await.unwrap();
    assert_eq!(waiting.source.next_refresh(), None);
}

#[tokio::test]
async fn a_wait_that_fails_leads_to_a_refresh_and_is_reported() {
    let list = listed("\"1\"", r#"[{"targets":["a:1"]}]"#);
    let mut waiting = Waiting::start(list.clone()).await;
    waiting.wait_for(Response::message(503, "too many")).await;
    waiting.list.send_replace(list);
    let refreshed = waiting.refresh().await.unwrap();
    let [problem] = &refreshed.problems[..] else { panic!("{:?}", refreshed.problems) };
    assert!(!problem.is_skipped());
    assert_eq!((problem.kind, problem.reason), ("host", "polled instead of followed"));
    assert!(problem.detail.ends_with(r#"503 Service Unavailable: {"message":"too many"}"#));
    assert!(waiting.source.next_refresh().is_some_and(|pause| pause <= Duration::from_secs(1)));
    // A bad list is an error, as without a wait.
    let mut waiting = Waiting::start(listed("\"1\"", "[]")).await;
    waiting.wait_for(listed("\"2\"", "{")).await;
    assert!(waiting.refresh().await.is_err());
    assert!(waiting.source.changed().now_or_never().is_none());
}

#[tokio::test]
async fn a_server_that_is_stopping_is_left_without_a_problem() {
    let list = listed("\"1\"", r#"[{"targets":["a:1"]}]"#);
    let stopping = Response::message(503, "no").with("X-Prometheus-Stopping", "true");
    let other = Waiting::start(list.clone()).await;
    let mut waiting = Waiting::start_with(list, &[other.server.url()]).await;
    waiting.wait_for(stopping).await;
    let asked = waiting.queries().len();
    let refreshed = waiting.refresh().await.unwrap();
    assert_eq!(refreshed.problems, []);
    assert_eq!(refreshed.value.len(), 1);
    assert_eq!(waiting.queries().len(), asked, "the next server is asked");
}

#[tokio::test]
async fn a_url_with_a_wait_of_its_own_is_requested_as_it_is() {
    for (query, can) in [("wait=1m", false), ("a=b&wait", false), ("awaits=wait", true), ("", true)]
    {
        let url = Url::parse(&format!("http://h/?{query}")).unwrap();
        assert_eq!(can_wait(&url), can, "{query}");
    }
}

#[tokio::test]
async fn another_server_answers_under_the_name_of_the_first() {
    let list = listed("\"1\"", r#"[{"targets":["a:1"]}]"#);
    let start = || {
        let list = list.clone();
        Server::start(Listen::Tcp, move |_| list.clone()).unwrap()
    };
    let (first, second) = (start(), start());
    let host = first.addr().unwrap();
    let config = HttpSdConfig {
        urls: vec![format!("http://u:one@{host}/sd"), format!("{}/other", second.url())],
        refresh_interval: PromDuration::from_secs(60),
        http: HttpConfig::default(),
    };
    assert_eq!(config.describe(), format!("http://u:xxxxx@{host}/sd, {}/other", second.url()));
    let mut source = Http::new(config, &BuildContext::new("test/1")).unwrap();
    let before = source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(second.request_count(), 0);

    first.refuse();
    let after = source.fetch(RefreshScope::Full).await.unwrap();
    assert!(Arc::ptr_eq(&before.value[0], &after.value[0]));
    let name = format!("http://u:xxxxx@{host}/sd");
    assert_eq!(after.value[0].source.to_string(), format!("{name}:0"));
    assert_eq!(after.value[0].labels.get("__meta_url"), Some(&*name));
    let [problem] = &after.problems[..] else { panic!("{:?}", after.problems) };
    assert_eq!((&*problem.object, problem.reason), (&*name, "next host tried"));
    // A version is known to the server that sent it.
    let request = &second.requests()[0];
    assert_eq!((&*request.path, request.headers.get("if-none-match")), ("/other", None));

    // It stays with the second one, until that fails.
    first.accept().unwrap();
    first.forget_requests();
    source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!((first.request_count(), second.request_count()), (0, 2));
    second.refuse();
    source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(first.request_count(), 1);
    first.refuse();
    let error = source.fetch(RefreshScope::Full).await.unwrap_err().to_string();
    assert!(error.starts_with("no host answered: "), "{error}");
}

#[test]
fn content_types() {
    for (text, expected) in [
        ("application/json", true),
        (" application/json\t", true),
        ("Application/JSON;charset=UTF-8", true),
        ("application/json; charset=\"utf-8\"", true),
        ("application/json; charset=utf-8;", false),
        ("application/json ; charset=utf-8", false),
        ("application/json; charset=latin1", false),
        ("application/json;", false),
        ("application/jsonx", false),
        ("text/plain", false),
        ("", false),
    ] {
        assert_eq!(is_json(text.as_bytes()), expected, "{text}");
    }
}
