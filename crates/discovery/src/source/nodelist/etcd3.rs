//! etcd, version 3 of its API, through the JSON gateway that every server has: for Swarms whose keys
//! were brought there. The layout is that of version 2, with or without a slash before it.
//!
//! Reads are linearizable. A watch is one answer without end, a line for each batch of events; it
//! begins at the revision after that of the first answer of a look, and if that was compacted away,
//! this is a change as well.

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
use super::http::{Protocol, Reading, Told};
use super::layout::{Entry, join, relative};
use super::server::{Answer, Server};
use crate::Error;
use crate::limits::{Counted, LONGEST_LABEL, MOST_TARGETS, Meter, metered};

/// Where the gateway is: from etcd 3.4 on, in 3.3, before.
const BASES: [&str; 3] = ["/v3", "/v3beta", "/v3alpha"];

/// etcd sends nothing while nothing changes: a watch is begun anew after this.
const QUIET: Duration = Duration::from_mins(10);

/// gRPC's code for a call that is not possible as things are.
const FAILED_PRECONDITION: u64 = 9;

/// The JSON gateway.
#[derive(Debug)]
pub(super) struct Etcd3 {
    /// The path of the configuration.
    path: String,
    user: Option<UserInfo>,
    /// Where the gateway of each server is, once it is known.
    bases: Vec<Option<&'static str>>,
    /// What every call has to show. `None` until it was asked for.
    pass: Option<Pass>,
    /// What the keys begin with: a slash, or nothing.
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

/// Numbers of 64 bits are text.
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
    /// `PUT` is left out.
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

    /// First key of a folder, and first key after it, as the gateway wants them.
    fn range(&self, folder: &str) -> serde_json::Value {
        let folder = format!("{}{}", self.root, join(&self.path, folder));
        // `0` follows the slash in ASCII.
        let [key, range_end] = ["/", "0"].map(|last| STANDARD.encode(format!("{folder}{last}")));
        json!({ "key": key, "range_end": range_end })
    }

    /// Calls a method, at the place where this server has its gateway.
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
            // Tokens end after some minutes, or with the server.
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
            // Another version may run there now.
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

    /// What calls have to show.
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
                // It asks nobody for a password.
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

    /// What an answer lists.
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
        // Nothing that ever spoke version 3 wrote nodes to the path itself.
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
                match told(&line) {
                    Ok(Told::Change) => return Ok(()),
                    Ok(Told::Nothing(revision)) => known.version = revision.max(known.version),
                    Err(reason) => {
                        // It may be the token that is too old.
                        self.pass = None;
                        return Err(bad(reason));
                    }
                }
            }
        }
        Err(bad("the watch ended".to_owned()))
    }
}

/// What a line of a watch tells.
pub(super) fn told(line: &[u8]) -> Result<Told, String> {
    // etcd batches far fewer.
    let mut meter = Meter::unlimited(LONGEST_LABEL).beside(MOST_TARGETS - MOST_NODES);
    let line = repaired(line);
    let line: Line =
        metered(&mut meter, || serde_json::from_slice(&line).map_err(|error| error.to_string()))
            .map_err(|error| format!("not the JSON that was asked for: {error}"))?;
    let told = line.result.ok_or("the watch was refused")?;
    if told.compact_revision.is_some() {
        return Ok(Told::Change);
    }
    if told.canceled {
        let reason = told.cancel_reason.unwrap_or_default();
        return Err(format!("the watch was ended: {reason}"));
    }
    let mut revision = None;
    for Counted(event) in told.events.iter().flatten() {
        if is_change(event) {
            return Ok(Told::Change);
        }
        let told = event.kv.as_ref().and_then(|pair| pair.mod_revision.as_ref());
        revision = told.and_then(|told| told.parse().ok()).max(revision);
    }
    Ok(Told::Nothing(revision))
}

/// A heartbeat puts the value that is there already.
fn is_change(event: &Event) -> bool {
    let value = |pair: &Option<Pair>| pair.as_ref().and_then(|pair| pair.value.clone());
    event.r#type.as_deref() == Some("DELETE")
        || event.prev_kv.is_none()
        || value(&event.kv) != value(&event.prev_kv)
}
