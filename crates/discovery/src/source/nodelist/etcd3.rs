//! etcd with version 3 of its API, over the JSON gateway that every server has. It is for Swarms
//! whose keys were migrated from version 2. The layout is the same, with or without a leading
//! slash.
//!
//! Reads are linearizable. A watch is one endless answer with a line for each batch of events. It
//! starts at the revision after the listing's first answer. If etcd has compacted that revision,
//! this counts as a change.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use swarmscout_model::lossy_json::repaired;
use swarmscout_net::{Response, UserInfo};

use super::MOST_NODES;
use super::http::{Protocol, Reading, WatchOutcome};
use super::layout::{Entry, join, relative};
use super::server::{Answer, Server};
use crate::Error;
use crate::limits::{Counted, LONGEST_LABEL, MOST_TARGETS, Meter, metered};

/// The path of the gateway: since etcd 3.4, in 3.3, and before.
const BASES: [&str; 3] = ["/v3", "/v3beta", "/v3alpha"];

/// A watch is restarted after this time without an event: etcd sends nothing while nothing changes.
const QUIET: Duration = Duration::from_mins(10);

/// gRPC's code for a call that the state of the server does not allow.
const FAILED_PRECONDITION: u64 = 9;

/// The JSON gateway.
#[derive(Debug)]
pub(super) struct Etcd3 {
    /// The path of the configuration.
    path: String,
    user: Option<UserInfo>,
    /// The path of each server's gateway, once it is known.
    bases: Vec<Option<&'static str>>,
    /// The credentials of every call. `None` until authentication.
    pass: Option<Pass>,
    /// The first character of the keys: a slash, or none.
    root: &'static str,
}

/// The outcome of an authentication.
#[derive(Debug)]
enum Pass {
    NotNeeded,
    Token(HeaderValue),
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    header: Header,
    #[serde(default)]
    kvs: Option<Vec<Counted<Pair>>>,
}

/// The gateway writes 64-bit numbers as text.
#[derive(Default, Deserialize)]
struct Header {
    #[serde(default)]
    revision: Option<String>,
}

#[derive(Deserialize)]
struct Pair {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    mod_revision: Option<String>,
}

#[derive(Deserialize)]
struct Authenticated {
    token: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u64,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    result: Option<Watched>,
}

#[derive(Deserialize)]
struct Watched {
    #[serde(default)]
    events: Option<Vec<Counted<Event>>>,
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    compact_revision: Option<String>,
    #[serde(default)]
    cancel_reason: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    /// Missing for `PUT`.
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    kv: Option<Pair>,
    #[serde(default)]
    prev_kv: Option<Pair>,
}

impl Etcd3 {
    pub(super) fn new(path: &str, user: Option<UserInfo>, servers: usize) -> Self {
        Self { path: path.to_owned(), user, bases: vec![None; servers], pass: None, root: "/" }
    }

    /// The first key of a folder and the first key after it, in the gateway's format.
    fn range(&self, folder: &str) -> serde_json::Value {
        let folder = format!("{}{}", self.root, join(&self.path, folder));
        // `0` follows the slash in ASCII.
        let [key, range_end] = ["/", "0"].map(|last| STANDARD.encode(format!("{folder}{last}")));
        json!({ "key": key, "range_end": range_end })
    }

    /// Calls a method of this server's gateway.
    async fn call(
        &mut self,
        server: &Server<'_>,
        method: &str,
        body: &serde_json::Value,
    ) -> Result<Answer, Error> {
        let mut again = true;
        loop {
            let pass = self.pass(server).await?;
            let answer = self.post(server, method, pass.as_ref(), body).await?;
            // Tokens expire after some minutes, or when the server restarts.
            if answer.status == StatusCode::UNAUTHORIZED && pass.is_some() && again {
                again = false;
                self.pass = None;
                continue;
            }
            return if answer.status.is_success() { Ok(answer) } else { Err(answer.refused()) };
        }
    }

    async fn post(
        &mut self,
        server: &Server<'_>,
        method: &str,
        pass: Option<&HeaderValue>,
        body: &serde_json::Value,
    ) -> Result<Answer, Error> {
        if let Some(base) = self.bases[server.index] {
            let answer = server.post(&format!("{base}/{method}"), pass, body).await?;
            if answer.status != StatusCode::NOT_FOUND {
                return Ok(answer);
            }
            // The server may have been upgraded.
            self.bases[server.index] = None;
        }
        for base in BASES {
            let answer = server.post(&format!("{base}/{method}"), pass, body).await?;
            if answer.status != StatusCode::NOT_FOUND {
                self.bases[server.index] = Some(base);
                return Ok(answer);
            }
        }
        let reason = format!("there is no JSON gateway at any of {}", BASES.join(", "));
        Err(Error::Answer { url: server.host.to_string(), reason })
    }

    /// The credentials of a call.
    async fn pass(&mut self, server: &Server<'_>) -> Result<Option<HeaderValue>, Error> {
        let Some(UserInfo { username, password }) = &self.user else { return Ok(None) };
        match &self.pass {
            Some(Pass::NotNeeded) => return Ok(None),
            Some(Pass::Token(token)) => return Ok(Some(token.clone())),
            None => {}
        }
        let password = password.as_ref().map_or("", |password| password.expose());
        let body = json!({ "name": username, "password": password });
        let answer = self.post(server, "auth/authenticate", None, &body).await?;
        if !answer.status.is_success() {
            let refusal: Option<Refusal> = answer.json().await.ok();
            if refusal.is_some_and(|refusal| refusal.code == FAILED_PRECONDITION) {
                // Authentication is disabled.
                self.pass = Some(Pass::NotNeeded);
                return Ok(None);
            }
            return Err(answer.refused());
        }
        let Authenticated { token } = answer.json().await?;
        let mut token = HeaderValue::try_from(token)
            .map_err(|_| answer.bad("a token that is not plain text"))?;
        token.set_sensitive(true);
        answer.secrets.learn_header(&token);
        self.pass = Some(Pass::Token(token.clone()));
        Ok(Some(token))
    }

    /// A pair with its key relative to the path of the configuration.
    fn entry(&self, pair: Pair, answer: &Answer) -> Result<Option<Entry>, Error> {
        let decode = |text: Option<String>| {
            let bytes = STANDARD.decode(text.unwrap_or_default());
            bytes.map_err(|error| answer.bad(format!("not base64: {error}")))
        };
        let key = String::from_utf8_lossy(&decode(pair.key)?).into_owned();
        let key = key.strip_prefix(self.root).and_then(|key| relative(&self.path, key));
        let Some(key) = key else { return Ok(None) };
        let value = String::from_utf8_lossy(&decode(pair.value)?).into_owned();
        Ok(Some(Entry { key: key.to_owned(), value: Some(value) }))
    }

    /// The entries of an answer.
    pub(super) async fn reading(&self, answer: &Answer) -> Result<Reading, Error> {
        let Range { header, kvs } = answer.json().await?;
        let version = header.revision.and_then(|revision| revision.parse().ok());
        let pairs = kvs.unwrap_or_default().into_iter();
        let entries = pairs.filter_map(|Counted(pair)| self.entry(pair, answer).transpose());
        Ok(Reading { entries: entries.collect::<Result<_, _>>()?, version })
    }
}

impl Protocol for Etcd3 {
    async fn read(&mut self, server: &Server<'_>, folder: &str) -> Result<Reading, Error> {
        // No program that uses version 3 has written nodes directly below the path.
        if folder.is_empty() {
            return Ok(Reading::default());
        }
        let mut version = None;
        for root in ["/", ""] {
            self.root = root;
            let answer = self.call(server, "kv/range", &self.range(folder)).await?;
            let reading = self.reading(&answer).await?;
            version = version.or(reading.version);
            if !reading.entries.is_empty() {
                return Ok(Reading { version, ..reading });
            }
        }
        self.root = "/";
        Ok(Reading { entries: Vec::new(), version })
    }

    async fn changed(
        &mut self,
        server: &Server<'_>,
        folder: &str,
        known: &mut Reading,
    ) -> Result<(), Error> {
        let Some(version) = known.version else { return std::future::pending().await };
        let folder = if folder.is_empty() { "docker" } else { folder };
        let mut create = self.range(folder);
        create["start_revision"] = json!(version.saturating_add(1).to_string());
        create["prev_kv"] = json!(true);
        let path = format!("{}/watch", self.bases[server.index].unwrap_or(BASES[0]));
        let mut request = server.request(&path)?.open_ended(QUIET).compressed(false);
        if let Some(token) = self.pass(server).await? {
            request = request.header(header::AUTHORIZATION, token);
        }
        let body = json!({ "create_request": create }).to_string();
        let response = server.client.post(request, "application/json", body).await?;
        if !response.status.is_success() {
            return Err(server.whole(&path, Ok(response)).await?.refused());
        }
        let Response { body: mut pieces, .. } = response;
        let bad = |mut reason: String| {
            server.client.secrets().clean_in_place(&mut reason);
            Error::Answer { url: server.url(&path), reason }
        };
        let mut buffer = BytesMut::new();
        while let Some(piece) = pieces.chunk().await? {
            buffer.extend_from_slice(&piece);
            while let Some(end) = memchr::memchr(b'\n', &buffer) {
                let line = buffer.split_to(end + 1);
                match outcome(&line) {
                    Ok(WatchOutcome::Change) => return Ok(()),
                    Ok(WatchOutcome::Nothing(revision)) => {
                        known.version = revision.max(known.version);
                    }
                    Err(reason) => {
                        // The token may have expired.
                        self.pass = None;
                        return Err(bad(reason));
                    }
                }
            }
        }
        Err(bad("the watch ended".to_owned()))
    }
}

/// The outcome in a line of a watch.
pub(super) fn outcome(line: &[u8]) -> Result<WatchOutcome, String> {
    // etcd sends far fewer events in one batch.
    let mut meter = Meter::unlimited(LONGEST_LABEL).beside(MOST_TARGETS - MOST_NODES);
    let line = repaired(line);
    let line: Line =
        metered(&mut meter, || serde_json::from_slice(&line).map_err(|error| error.to_string()))
            .map_err(|error| format!("not the JSON that was asked for: {error}"))?;
    let watched = line.result.ok_or("the watch was refused")?;
    if watched.compact_revision.is_some() {
        return Ok(WatchOutcome::Change);
    }
    if watched.canceled {
        let reason = watched.cancel_reason.unwrap_or_default();
        return Err(format!("the watch was ended: {reason}"));
    }
    let mut revision = None;
    for Counted(event) in watched.events.iter().flatten() {
        if is_change(event) {
            return Ok(WatchOutcome::Change);
        }
        let newest = event.kv.as_ref().and_then(|pair| pair.mod_revision.as_ref());
        revision = newest.and_then(|newest| newest.parse().ok()).max(revision);
    }
    Ok(WatchOutcome::Nothing(revision))
}

/// Whether an event changes a value: a heartbeat writes the same value again.
fn is_change(event: &Event) -> bool {
    let value = |pair: &Option<Pair>| pair.as_ref().and_then(|pair| pair.value.clone());
    event.r#type.as_deref() == Some("DELETE")
        || event.prev_kv.is_none()
        || value(&event.kv) != value(&event.prev_kv)
}
