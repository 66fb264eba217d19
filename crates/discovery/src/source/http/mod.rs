//! `http_sd_configs`: target groups from an HTTP server, as JSON (Prometheus `discovery/http`).
//!
//! An answer is used as a whole or not at all: one bad group fails the refresh. A server that is a
//! Swarmscout reports the age of its targets, and ours have the same age.
//!
//! `__meta_url` is the configured URL, with `xxxxx` in place of a password. Prometheus keeps the
//! password there. As part of a label it would be shown on pages and in our HTTP SD, and a rule
//! could copy it into series.

mod config;
mod keys;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use swarmscout_model::quote::Quoted;
use swarmscout_model::{Budget, Charge, LabelsBuilder};
use swarmscout_net::{Body, Client, ENOUGH, Request, Secrets, Url};
use swarmscout_refresh::problems;

pub use self::config::HttpSdConfig;
pub use self::keys::HttpSdKeys;
use super::decoding::{Decoding, Whole, whole};
use super::{listing, lossy};
use crate::config::BuildContext;
use crate::limits::{LONGEST_LABEL, Meter, Unreadable};
use crate::stats::DiscoveryStats;
use crate::{BoxFuture, Discoverer, Error, Groups, Problem, RefreshScope, Refreshed};

/// The age of the oldest source behind an answer of Swarmscout, in seconds.
const AGE: HeaderName = HeaderName::from_static("x-swarmscout-oldest-source-age-seconds");

/// The refresh interval, in seconds.
const INTERVAL: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// The largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 256 << 20;

/// How much of the body of an error is shown, in bytes.
const SHOWN_OF_ERROR: usize = 256;

/// One of `http_sd_configs`. The source key of a group is `<url>:<index>`, without the password.
#[derive(Debug)]
pub struct Http {
    /// Without its password.
    url: Arc<str>,
    client: Client,
    request: Request,
    stats: Arc<DiscoveryStats>,
    hasher: RandomState,
    budget: Budget,
    decoding: Decoding,
    last_good: Option<LastAnswer>,
}

/// The last good answer.
#[derive(Debug)]
struct LastAnswer {
    hash: u64,
    read: Read,
    _held: Charge,
}

impl Http {
    /// Fails where the URL cannot be used or TLS options cannot be used together.
    pub fn new(config: HttpSdConfig, context: &BuildContext) -> Result<Self, Error> {
        let HttpSdConfig { url, refresh_interval, http } = config;
        let deadline = context.refresh.attempt_deadline(refresh_interval, 0);
        let client = Client::new(&http, context.refresh.client_options(deadline))?;
        let interval = refresh_interval.get().as_secs_f64().to_string();
        let interval =
            HeaderValue::try_from(interval).map_err(|error| Error::Other(error.to_string()))?;
        let request = Request::new(&url)?
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(INTERVAL, interval)
            .timeout(deadline)
            .max_body(MAX_ANSWER.min(context.refresh.max_answer));
        let parsed = Url::parse(&url)?;
        let has_password = parsed.user().is_some_and(|user| user.password.is_some());
        let url = if has_password { parsed.to_string() } else { url }.into();
        Ok(Self {
            url,
            client,
            request,
            stats: context.stats.clone(),
            hasher: RandomState::default(),
            budget: context.budget.clone(),
            decoding: Decoding::default(),
            last_good: None,
        })
    }

    async fn refresh(&mut self) -> Result<Refreshed<Groups>, Error> {
        let asked = tokio::time::Instant::now().into_std();
        let answer = self.client.get(self.request.clone()).await?;
        if answer.status != StatusCode::OK {
            return Err(Error::Status {
                url: self.url.to_string(),
                status: answer.status,
                message: beginning(answer.body, self.client.secrets()).await,
            });
        }
        let content_type = answer.headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
        if !is_json(content_type) {
            let content_type = String::from_utf8_lossy(content_type);
            let content_type = Quoted(content_type.trim());
            return Err(self.bad_answer(format!("unsupported content type {content_type}")));
        }
        let as_of = as_of(asked, &answer.headers);
        let answer = whole(answer.body, &self.budget, &self.url).await?;
        let (groups, mut problems) = self.groups(answer).await?;
        problems::clean(&mut problems, self.client.secrets());
        Ok(Refreshed { value: groups, as_of, problems })
    }

    /// The groups of an answer; the cached ones if it equals the last answer.
    async fn groups(&mut self, answer: Whole) -> Result<Read, Error> {
        let hash = self.hasher.hash_one(&answer.bytes);
        if let Some(last) = &self.last_good
            && last.hash == hash
        {
            return Ok(last.read.clone());
        }
        let (url, budget) = (Arc::clone(&self.url), self.budget.clone());
        let decoded = self.decoding.run(answer.bytes.len(), move |cancel| {
            let mut meter = Meter::new(&budget, LONGEST_LABEL).until(cancel);
            let Whole { bytes, charge } = answer;
            let read = parse(&bytes, &url, &mut meter)?;
            drop((bytes, charge));
            Ok::<_, Unreadable>((read, meter.finish()))
        });
        let (read, held) = decoded.await.map_err(|error| match error {
            Unreadable::Syntax(reason) => self.bad_answer(reason),
            Unreadable::Excess(excess) => Error::Excess {
                what: self.url.to_string(),
                excess: excess.without(self.client.secrets()),
            },
        })?;
        self.last_good = Some(LastAnswer { hash, read: read.clone(), _held: held });
        Ok(read)
    }

    fn bad_answer(&self, mut reason: String) -> Error {
        self.client.secrets().clean_in_place(&mut reason);
        Error::Answer { url: self.url.to_string(), reason }
    }
}

impl Discoverer for Http {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(async {
            let refreshed = self.refresh().await;
            self.stats.http_failures.add(u64::from(refreshed.is_err()));
            refreshed
        })
    }
}

/// The groups of an answer, and the problems in it.
type Read = (Groups, Vec<Problem>);

/// The groups of an answer from `url`, which has no password.
pub(crate) fn parse(json: &[u8], url: &str, meter: &mut Meter) -> Result<Read, Unreadable> {
    let (json, replaced) = lossy::repaired(json, meter)?;
    let groups = listing::from_json(&json, meter)?;
    let groups = listing::named(groups, "__meta_url", url, &mut LabelsBuilder::new(), meter)?;
    let problems = if replaced { lossy::problems("group", &groups) } else { Vec::new() };
    Ok((groups, problems))
}

/// `application/json`, alone or with `charset=utf-8`, in any case.
fn is_json(content_type: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content_type) else { return false };
    let text = text.trim().to_ascii_lowercase();
    let Some(parameter) = text.strip_prefix("application/json") else { return false };
    let charset = parameter.strip_prefix(';').map(|p| p.trim_start_matches(is_go_space));
    parameter.is_empty() || matches!(charset, Some("charset=utf-8" | "charset=\"utf-8\""))
}

fn is_go_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

/// When the sources behind the answer last confirmed it.
fn as_of(asked: Instant, headers: &HeaderMap) -> Instant {
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok());
    let age = age.and_then(|age| Duration::try_from_secs_f64(age).ok()).unwrap_or_default();
    asked.checked_sub(age).unwrap_or(asked)
}

/// The beginning of an error's body, on one line; empty if it cannot be read.
async fn beginning(mut body: Body, secrets: &Secrets) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ENOUGH
        && let Ok(Some(piece)) = body.chunk().await
    {
        bytes.extend_from_slice(&piece);
    }
    let text = secrets.clean_bytes(&bytes);
    let text = &text[..text.floor_char_boundary(SHOWN_OF_ERROR)];
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::Mutex;

    use bytes::Bytes;
    use expect_test::{Expect, expect};
    use swarmscout_model::{PromDuration, TargetGroup};
    use swarmscout_net::HttpConfig;
    use swarmscout_simulator::{Fault, Listen, Response, Server};

    use super::*;

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
                url: format!("http://{credentials}{address}/sd?a=b"),
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
        let answer =
            b"[{\"targets\":[\"127.0.0.1:1\",\"\xff:2\"],\"labels\":{\"place\":\"caf\xe9\",\
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
        pair.source.request = pair.source.request.max_body(100_000);
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
}
