//! `http_sd_configs`: target groups from an HTTP server, as JSON (Prometheus `discovery/http`).
//!
//! An answer is used as a whole or not at all: one bad group fails the refresh. A server that is a
//! Swarmscout reports the age of its targets, and ours have the same age. It also lets readers wait
//! for a change: then the list is followed (`follow`).
//!
//! `__meta_url` is the configured URL, with `xxxxx` in place of a password. Prometheus keeps the
//! password there. As part of a label it would be shown on pages and in our HTTP SD, and a rule
//! could copy it into series.

mod config;
mod follow;
mod keys;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use swarmscout_model::quote::Quoted;
use swarmscout_model::{Budget, Charge, LabelsBuilder, PromDuration};
use swarmscout_net::{Body, Client, ENOUGH, Request, Response, Secrets, Url};
use swarmscout_refresh::rotation::{Rotation, Turn};
use swarmscout_refresh::{Deadlines, problems};

pub use self::config::HttpSdConfig;
use self::follow::{Follow, Wait, Waited};
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

/// Says that the server lets readers wait for a change, and how long at most.
const WAIT: HeaderName = HeaderName::from_static("x-swarmscout-wait");

/// Whether a program that answers 503 is stopping. Prometheus has it, too.
const STOPPING: HeaderName = HeaderName::from_static("x-prometheus-stopping");

/// A longer version of a list is not repeated, in bytes.
const LONGEST_VERSION: usize = 1024;

/// How much of the body of an error is shown, in bytes.
const SHOWN_OF_ERROR: usize = 256;

/// One of `http_sd_configs`. The source key of a group is `<url>:<index>`, without the password. With
/// several servers the URL is that of the first one, whichever answers.
#[derive(Debug)]
pub struct Http {
    servers: Vec<Server>,
    rotation: Rotation,
    client: Client,
    deadlines: Deadlines,
    follow: Follow,
    stats: Arc<DiscoveryStats>,
    hasher: RandomState,
    budget: Budget,
    decoding: Decoding,
    last_good: Option<LastAnswer>,
}

/// A server that has the list.
#[derive(Debug)]
struct Server {
    /// Without its password.
    url: Arc<str>,
    request: Request,
    /// Whether the request may be changed into one that waits.
    can_wait: bool,
}

/// The last good answer.
#[derive(Debug)]
struct LastAnswer {
    hash: u64,
    read: Read,
    _held: Charge,
    /// The server that sent it, and its version there.
    version: Option<(usize, HeaderValue)>,
}

impl Http {
    /// Fails where a URL cannot be used or TLS options cannot be used together.
    pub fn new(config: HttpSdConfig, context: &BuildContext) -> Result<Self, Error> {
        let HttpSdConfig { urls, refresh_interval, http } = config;
        let deadlines = context.refresh.deadlines(refresh_interval);
        let others = urls.len().saturating_sub(1);
        let client =
            Client::new(&http, context.refresh.client_options(deadlines.of_attempt(others)))?;
        let interval = refresh_interval.get().as_secs_f64().to_string();
        let interval =
            HeaderValue::try_from(interval).map_err(|error| Error::Other(error.to_string()))?;
        let server = |url: &String| {
            client.secrets().keep_url(url);
            let request = Request::new(url)?
                .header(ACCEPT, HeaderValue::from_static("application/json"))
                .header(INTERVAL, interval.clone())
                .max_body(MAX_ANSWER.min(context.refresh.max_answer));
            let parsed = Url::parse(url)?;
            let has_password = parsed.user().is_some_and(|user| user.password.is_some());
            let shown = if has_password { parsed.to_string() } else { url.clone() };
            Ok(Server { url: shown.into(), request, can_wait: can_wait(&parsed) })
        };
        let servers = urls.iter().map(server).collect::<Result<Vec<_>, Error>>()?;
        Ok(Self {
            rotation: Rotation::new(servers.len()),
            servers,
            client,
            deadlines,
            follow: Follow::new(refresh_interval.get()),
            stats: context.stats.clone(),
            hasher: RandomState::default(),
            budget: context.refresh.budget.clone(),
            decoding: Decoding::default(),
            last_good: None,
        })
    }

    async fn refresh(&mut self) -> Result<Refreshed<Groups>, Error> {
        if let Some(Waited { server, arrived, answer }) = self.follow.take() {
            return self.read(server, arrived, answer).await;
        }
        self.follow.stop();
        let mut round = self.rotation.round();
        while let Some(turn) = self.rotation.next(&mut round) {
            match self.attempt(turn).await {
                Ok(mut refreshed) => {
                    let name = |index: usize| self.servers[index].url.to_string();
                    let failed = self.rotation.answered(round, turn.index, name);
                    refreshed.problems.extend(failed);
                    problems::clean(&mut refreshed.problems, self.client.secrets());
                    return Ok(refreshed);
                }
                Err(error) => round.failed(turn, error),
            }
        }
        Err(self.rotation.exhausted(round))
    }

    async fn attempt(&mut self, turn: Turn) -> Result<Refreshed<Groups>, Error> {
        let within = self.deadlines.of_attempt(turn.others_left);
        let request = self.request(turn.index).timeout(within);
        let asked = tokio::time::Instant::now().into_std();
        let answer = self.client.get(request).await?;
        self.read(turn.index, asked, answer).await
    }

    /// The request for the list of a server, unless it is the one that is known.
    fn request(&self, server: usize) -> Request {
        let Server { request, can_wait, .. } = &self.servers[server];
        match self.last_good.as_ref().and_then(|last| last.version.as_ref()) {
            // A URL that says `wait` itself would wait then.
            Some((of, version)) if *of == server && *can_wait => {
                request.clone().header(IF_NONE_MATCH, version.clone())
            }
            _ => request.clone(),
        }
    }

    /// What an answer says that was complete at `at`, or asked for then.
    async fn read(
        &mut self,
        server: usize,
        at: Instant,
        answer: Response,
    ) -> Result<Refreshed<Groups>, Error> {
        let started = tokio::time::Instant::now();
        let Response { status, headers, body } = answer;
        let known = self.last_good.as_ref().map(|last| last.hash);
        let (groups, mut problems) = match (status, &self.last_good) {
            (StatusCode::NOT_MODIFIED, Some(last)) => last.read.clone(),
            (StatusCode::OK, _) => {
                self.check_content_type(server, &headers)?;
                let answer = whole(body, &self.budget, &self.servers[server].url).await?;
                let read = self.groups(server, answer).await?;
                if let Some(last) = &mut self.last_good {
                    last.version = version(&headers).map(|version| (server, version));
                }
                read
            }
            _ => return Err(self.refused(server, status, body).await),
        };
        let is_same = known == self.last_good.as_ref().map(|last| last.hash);
        let longest = headers.get(WAIT).filter(|_| self.servers[server].can_wait);
        let has_version = self.last_good.as_ref().is_some_and(|last| last.version.is_some());
        let longest = longest.filter(|_| has_version).and_then(longest_wait);
        self.follow.answered(server, longest, is_same, started.elapsed(), self.deadlines);
        let name = |index: usize| self.servers[index].url.to_string();
        problems.extend(self.follow.problem(name));
        problems::clean(&mut problems, self.client.secrets());
        Ok(Refreshed { value: groups, as_of: as_of(at, &headers), problems })
    }

    fn check_content_type(&self, server: usize, headers: &HeaderMap) -> Result<(), Error> {
        let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
        if is_json(content_type) {
            return Ok(());
        }
        let content_type = String::from_utf8_lossy(content_type);
        let content_type = Quoted(content_type.trim());
        Err(self.bad_answer(server, format!("unsupported content type {content_type}")))
    }

    async fn refused(&self, server: usize, status: StatusCode, body: Body) -> Error {
        Error::Status {
            url: self.servers[server].url.to_string(),
            status,
            message: beginning(body, self.client.secrets()).await,
        }
    }

    /// Waits until the server has another list than the known one, or the time for that is over.
    async fn wait(&mut self) {
        let Some(wait) = self.follow.next().await else { return };
        let Wait { server, time, .. } = wait;
        let within = time + self.deadlines.of_attempt(self.servers.len() - 1);
        let request = self.request(server).query("wait", &milliseconds(time));
        let asked = tokio::time::Instant::now();
        let outcome = match self.client.get(request.timeout(within)).await {
            Ok(answer) if matches!(answer.status, StatusCode::OK | StatusCode::NOT_MODIFIED) => {
                Ok(answer)
            }
            Ok(answer) if is_stopping(&answer) => return self.leave(wait),
            Ok(answer) => Err(self.refused(server, answer.status, answer.body).await),
            Err(error) => Err(error.into()),
        };
        self.stats.http_failures.add(u64::from(outcome.is_err()));
        self.follow.waited(wait, asked, outcome);
    }

    /// Turns from a server that is stopping to the next one, which is planned and no failure.
    fn leave(&mut self, wait: Wait) {
        if self.rotation.current() == wait.server {
            self.rotation.advance();
        }
        tracing::info!(
            server = &*self.servers[wait.server].url,
            next = &*self.servers[self.rotation.current()].url,
            "Followed server is stopping"
        );
        self.follow.stopping(wait);
    }

    /// The groups of an answer; the cached ones if it equals the last answer.
    async fn groups(&mut self, server: usize, answer: Whole) -> Result<Read, Error> {
        let hash = self.hasher.hash_one(&answer.bytes);
        if let Some(last) = &self.last_good
            && last.hash == hash
        {
            return Ok(last.read.clone());
        }
        let (url, budget) = (Arc::clone(&self.servers[0].url), self.budget.clone());
        let known = self.last_good.as_ref().map(|last| last.read.0.clone()).unwrap_or_default();
        let decoded = self.decoding.run(answer.bytes.len(), move |cancel| {
            let mut meter = Meter::new(&budget, LONGEST_LABEL).until(cancel);
            let Whole { bytes, charge } = answer;
            let mut read = parse(&bytes, &url, &mut meter)?;
            drop((bytes, charge));
            listing::reuse(&known, &mut read.0);
            Ok::<_, Unreadable>((read, meter.finish()))
        });
        let (read, held) = decoded.await.map_err(|error| match error {
            Unreadable::Syntax(reason) => self.bad_answer(server, reason),
            Unreadable::Excess(excess) => Error::Excess {
                what: self.servers[server].url.to_string(),
                excess: excess.without(self.client.secrets()),
            },
        })?;
        self.last_good = Some(LastAnswer { hash, read: read.clone(), _held: held, version: None });
        Ok(read)
    }

    fn bad_answer(&self, server: usize, mut reason: String) -> Error {
        self.client.secrets().clean_in_place(&mut reason);
        Error::Answer { url: self.servers[server].url.to_string(), reason }
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

    fn next_refresh(&self) -> Option<Duration> {
        self.follow.next_refresh()
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        Box::pin(async {
            self.wait().await;
            RefreshScope::Full
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

/// Whether the program that answered is about to end.
fn is_stopping(answer: &Response) -> bool {
    answer.status == StatusCode::SERVICE_UNAVAILABLE
        && answer.headers.get(STOPPING).is_some_and(|stopping| stopping == "true")
}

/// Whether a URL has no `wait` of its own.
fn can_wait(url: &Url) -> bool {
    let mut parameters = url.query().unwrap_or_default().split('&');
    !parameters.any(|parameter| parameter.split('=').next() == Some("wait"))
}

/// As a duration of Prometheus.
fn milliseconds(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    PromDuration::from_millis(millis).to_string()
}

/// The version of a list, as the next request repeats it.
fn version(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ETAG).filter(|version| version.len() <= LONGEST_VERSION).cloned()
}

/// How long a server lets readers wait for a change.
fn longest_wait(header: &HeaderValue) -> Option<Duration> {
    header.to_str().ok()?.parse().ok().map(PromDuration::get)
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
