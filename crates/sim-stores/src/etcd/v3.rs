//! The JSON gateway of version 3.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use swarmscout_simulator::http::{Pending, Reply, Request, Response};

use super::{Etcd, State, cors};

/// All keys, and what happened to them.
pub(super) struct Map {
    revision: u64,
    keys: BTreeMap<Vec<u8>, Pair>,
    events: Vec<(u64, Vec<u8>, Event)>,
    compacted: u64,
}

impl Default for Map {
    fn default() -> Self {
        Self { revision: 1, keys: BTreeMap::new(), events: Vec::new(), compacted: 0 }
    }
}

/// A key as it is written: bytes in base64, numbers of 64 bits as text.
#[derive(Clone, Default, Serialize)]
struct Pair {
    key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    create_revision: String,
    mod_revision: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
}

#[derive(Clone, Serialize)]
struct Event {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    kv: Pair,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_kv: Option<Pair>,
}

#[derive(Serialize)]
struct Header {
    cluster_id: &'static str,
    member_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    raft_term: &'static str,
}

impl Header {
    fn new(revision: Option<u64>) -> Self {
        Self {
            cluster_id: "14841639068965178418",
            member_id: "10276657743932975437",
            revision: revision.map(|revision| revision.to_string()),
            raft_term: "2",
        }
    }
}

#[derive(Serialize)]
struct Range {
    header: Header,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kvs: Vec<Pair>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<String>,
}

#[derive(Serialize)]
struct Authenticated {
    header: Header,
    token: String,
}

#[derive(Serialize)]
struct Line {
    result: Watched,
}

#[derive(Serialize)]
struct Watched {
    header: Header,
    #[serde(skip_serializing_if = "Option::is_none")]
    watch_id: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    created: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    canceled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    compact_revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Event>,
}

impl Watched {
    fn new(revision: Option<u64>) -> Self {
        Self {
            header: Header::new(revision),
            watch_id: None,
            created: false,
            canceled: false,
            compact_revision: None,
            cancel_reason: None,
            events: Vec::new(),
        }
    }

    fn line(self) -> Bytes {
        let mut line = write(&Line { result: self });
        line.push(b'\n');
        line.into()
    }
}

#[derive(Serialize)]
struct Refusal {
    error: &'static str,
    message: &'static str,
    code: u64,
}

fn write(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is encoded here has string keys only")
}

impl Map {
    pub(super) fn put(&mut self, key: &[u8], value: &[u8], lease: Option<u64>) {
        self.revision += 1;
        let before = self.keys.get(key).cloned();
        let revision = self.revision.to_string();
        let version = before.as_ref().and_then(|pair| pair.version.parse::<u64>().ok());
        let pair = Pair {
            key: STANDARD.encode(key),
            create_revision: before
                .as_ref()
                .map_or(&revision, |pair| &pair.create_revision)
                .clone(),
            mod_revision: revision,
            version: (version.unwrap_or_default() + 1).to_string(),
            value: STANDARD.encode(value),
            lease: lease.map(|lease| lease.to_string()),
        };
        self.keys.insert(key.to_owned(), pair.clone());
        let event = Event { r#type: None, kv: pair, prev_kv: before };
        self.events.push((self.revision, key.to_owned(), event));
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        let Some(before) = self.keys.remove(key) else { return };
        self.revision += 1;
        let kv = Pair {
            key: before.key.clone(),
            mod_revision: self.revision.to_string(),
            ..Pair::default()
        };
        let event = Event { r#type: Some("DELETE"), kv, prev_kv: Some(before) };
        self.events.push((self.revision, key.to_owned(), event));
    }

    pub(super) fn compact(&mut self) {
        self.compacted = self.revision;
        self.events.clear();
    }

    fn events(&self, keys: &Keys, from: u64) -> Vec<Event> {
        let events =
            self.events.iter().filter(|(revision, key, _)| *revision >= from && keys.contain(key));
        events.map(|(.., event)| event.clone()).collect()
    }
}

/// The keys that a request is about.
#[derive(Clone)]
struct Keys {
    first: Vec<u8>,
    /// The first key after them; one key only without it.
    end: Option<Vec<u8>>,
}

impl Keys {
    fn of(request: &Value) -> Option<Self> {
        let bytes = |name: &str| STANDARD.decode(request[name].as_str()?).ok();
        Some(Self { first: bytes("key")?, end: bytes("range_end") })
    }

    fn contain(&self, key: &[u8]) -> bool {
        match &self.end {
            Some(end) => key >= self.first.as_slice() && key < end.as_slice(),
            None => key == self.first,
        }
    }
}

pub(super) fn answer(etcd: &Etcd, method: &str, request: &Request) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let mut state = etcd.lock();
    if method == "auth/authenticate" {
        return authenticate(&mut state, &body).into();
    }
    let token = request.headers.get("authorization").and_then(|token| token.to_str().ok());
    let known = state.user.is_none() || token.is_some_and(|token| state.tokens.contains(token));
    match (method, token) {
        ("watch", _) => watch(etcd, &state, known, &body),
        ("kv/range", Some(_)) if !known => error(401, 16, "etcdserver: invalid auth token").into(),
        ("kv/range", None) if !known => error(400, 3, "etcdserver: user name is empty").into(),
        ("kv/range", _) => range(&state.map, &body).into(),
        _ => super::not_found().into(),
    }
}

fn authenticate(state: &mut State, body: &Value) -> Response {
    let Some((name, password)) = &state.user else {
        return error(412, 9, "etcdserver: authentication is not enabled");
    };
    if body["name"] != name.as_str() || body["password"] != password.as_str() {
        return error(400, 3, "etcdserver: authentication failed, invalid user ID or password");
    }
    state.authentications += 1;
    let token = format!("KeDxYtEbkdOwexKm.{}", state.authentications);
    state.tokens.insert(token.clone());
    let header = Header::new(Some(state.map.revision));
    good(write(&Authenticated { header, token }))
}

fn range(map: &Map, body: &Value) -> Response {
    let Some(keys) = Keys::of(body) else {
        return error(400, 3, "etcdserver: key is not provided");
    };
    let kvs: Vec<_> = map
        .keys
        .iter()
        .filter(|(key, _)| keys.contain(key))
        .map(|(_, pair)| pair.clone())
        .collect();
    let count = (!kvs.is_empty()).then(|| kvs.len().to_string());
    good(write(&Range { header: Header::new(Some(map.revision)), kvs, count }))
}

/// A line that says that the watch stands, then one for each batch of events.
fn watch(etcd: &Etcd, state: &State, known: bool, body: &Value) -> Reply {
    let create = &body["create_request"];
    let Some(keys) = Keys::of(create) else {
        return error(400, 3, "etcdserver: key is not provided").into();
    };
    let map = &state.map;
    let asked = &create["start_revision"];
    let asked = asked.as_str().and_then(|number| number.parse().ok()).or_else(|| asked.as_u64());
    let next = asked.unwrap_or(map.revision + 1);
    let mut first = vec![Watched { created: true, ..Watched::new(Some(map.revision)) }];
    let mut ended = true;
    if !known {
        let reason = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
        first[0].watch_id = Some("-1");
        first[0].canceled = true;
        first[0].cancel_reason = Some(reason);
    } else if next <= map.compacted {
        let compact_revision = Some(map.compacted.to_string());
        first.push(Watched { canceled: true, compact_revision, ..Watched::new(None) });
    } else {
        ended = false;
    }
    let mut first: VecDeque<_> = first.into_iter().map(Watched::line).collect();
    let next = Arc::new(AtomicU64::new(next));
    let etcd = etcd.clone();
    let with_previous = create["prev_kv"] == true;
    let pieces = move || -> Pending<Option<Bytes>> {
        if let Some(line) = first.pop_front() {
            return Box::pin(std::future::ready(Some(line)));
        }
        if ended {
            // The stream stays open for other watches.
            return Box::pin(std::future::pending());
        }
        let (etcd, keys, next) = (etcd.clone(), keys.clone(), Arc::clone(&next));
        Box::pin(async move {
            let from = next.load(Ordering::Relaxed);
            let (mut events, revision) = etcd
                .find(|State { map, .. }| {
                    let events = map.events(&keys, from);
                    (!events.is_empty()).then_some((events, map.revision))
                })
                .await;
            next.store(revision + 1, Ordering::Relaxed);
            if !with_previous {
                for event in &mut events {
                    event.prev_kv = None;
                }
            }
            Some(Watched { events, ..Watched::new(Some(revision)) }.line())
        })
    };
    Reply::Pieces(good(Bytes::new()), Box::new(pieces))
}

fn good(body: impl Into<Bytes>) -> Response {
    let mut response = Response::json(body);
    response.headers.splice(..0, cors());
    response.with("Grpc-Metadata-Content-Type", "application/grpc")
}

fn error(status: u16, code: u64, message: &'static str) -> Response {
    let mut response = Response::json(write(&Refusal { error: message, message, code }));
    response.headers.splice(..0, cors());
    Response { status, ..response }.with("Trailer", "Grpc-Trailer-Content-Type")
}
