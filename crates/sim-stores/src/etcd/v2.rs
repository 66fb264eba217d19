//! The keys API of version 2.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::{Etcd, State, cors, not_found};
use swarmscout_simulator::engine::json;
use swarmscout_simulator::http::{Pending, Reply, Request, Response};

/// This many changes are remembered.
const HISTORY: usize = 1000;

/// When lifetimes begin: the day of the recordings.
const NOW: i64 = 1_795_392_900;

/// Directories and keys, by their whole name: `/swarm/docker`. The root is always there.
#[derive(Default)]
pub(super) struct Tree {
    index: u64,
    keys: BTreeMap<String, Key>,
    events: VecDeque<Event>,
}

#[derive(Clone)]
struct Key {
    /// `None` for a directory.
    value: Option<String>,
    ttl: Option<u64>,
    created: u64,
    modified: u64,
}

struct Event {
    index: u64,
    key: String,
    /// What was below the key is gone with it.
    removes: bool,
    json: Bytes,
}

/// A key as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(skip_serializing_if = "String::is_empty")]
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Node>,
    #[serde(skip_serializing_if = "is_zero")]
    modified_index: u64,
    #[serde(skip_serializing_if = "is_zero")]
    created_index: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    action: &'a str,
    node: Node,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_node: Option<Node>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Key {
    fn node(&self, name: &str) -> Node {
        let expiration = self.ttl.and_then(|ttl| {
            let seconds = NOW.checked_add_unsigned(ttl)?;
            Some(Timestamp::new(seconds, 703_607_467).ok()?.to_string())
        });
        Node {
            key: name.to_owned(),
            value: self.value.clone(),
            dir: self.value.is_none(),
            expiration,
            ttl: self.ttl,
            nodes: Vec::new(),
            modified_index: self.modified,
            created_index: self.created,
        }
    }
}

impl Tree {
    pub(super) fn set(&mut self, key: &str, value: &str, ttl: Option<u64>) {
        self.index += 1;
        let index = self.index;
        for (slash, _) in key.match_indices('/').skip(1) {
            let directory = Key { value: None, ttl: None, created: index, modified: index };
            self.keys.entry(key[..slash].to_owned()).or_insert(directory);
        }
        let new = Key { value: Some(value.to_owned()), ttl, created: index, modified: index };
        let node = new.node(key);
        let before = self.keys.insert(key.to_owned(), new).map(|before| before.node(key));
        self.notify(key, false, &Answer { action: "set", node, prev_node: before });
    }

    pub(super) fn remove(&mut self, key: &str, action: &str) {
        let Some(before) = self.keys.remove(key) else { return };
        self.index += 1;
        let below = format!("{key}/");
        self.keys.retain(|name, _| !name.starts_with(&below));
        let mut prev_node = before.node(key);
        prev_node.ttl = None;
        let node =
            Node { value: None, expiration: None, modified_index: self.index, ..before.node(key) };
        let node = Node { ttl: None, ..node };
        self.notify(key, true, &Answer { action, node, prev_node: Some(prev_node) });
    }

    pub(super) fn forget(&mut self) {
        self.events.clear();
    }

    fn notify(&mut self, key: &str, removes: bool, action: &Answer<'_>) {
        if self.events.len() == HISTORY {
            self.events.pop_front();
        }
        let json = json::encode(action).into();
        self.events.push_back(Event { index: self.index, key: key.to_owned(), removes, json });
    }

    /// A key, and what is below it.
    fn node(&self, name: &str, recursive: bool) -> Option<Node> {
        let mut node = if name == "/" {
            let root = Key { value: None, ttl: None, created: 0, modified: 0 };
            Node { key: String::new(), ..root.node("") }
        } else {
            self.keys.get(name)?.node(name)
        };
        if node.dir {
            node.nodes = self.children(name, recursive);
        }
        Some(node)
    }

    fn children(&self, name: &str, recursive: bool) -> Vec<Node> {
        let below = format!("{}/", name.trim_end_matches('/'));
        let children =
            self.keys.range(below.clone()..).take_while(|(key, _)| key.starts_with(&below));
        let children = children.filter(|(key, _)| !key[below.len()..].contains('/'));
        let nodes = children.map(|(name, key)| match key.value {
            None if recursive => self.node(name, true).unwrap_or_else(|| key.node(name)),
            _ => key.node(name),
        });
        // In no order, as etcd has it: at least not in the one of the keys.
        let mut nodes: Vec<_> = nodes.collect();
        nodes.reverse();
        nodes
    }

    /// The first change of a key, or of something below or above it, from `index` on.
    fn event(&self, name: &str, recursive: bool, index: u64) -> Option<Bytes> {
        let below = |name: &str, of: &str| {
            name.strip_prefix(of.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        let event = self.events.iter().find(|event| {
            let own = event.key == name || recursive && below(&event.key, name);
            event.index >= index && (own || event.removes && below(name, &event.key))
        });
        event.map(|event| event.json.clone())
    }

    /// The first index whose change is remembered.
    fn oldest(&self) -> u64 {
        self.events.front().map_or(self.index + 1, |event| event.index)
    }

    fn headers(&self, mut response: Response) -> Response {
        response.headers.splice(..0, cors());
        response
            .with("X-Etcd-Cluster-Id", "c4ab8fc91cecaf6f")
            .with("X-Etcd-Index", &self.index.to_string())
    }

    fn good(&self, body: impl Into<Bytes>) -> Response {
        let response = self.headers(Response::json(body));
        response.with("X-Raft-Index", &(self.index + 5).to_string()).with("X-Raft-Term", "2")
    }

    fn error(&self, status: u16, code: u64, message: &str, cause: &str) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Refusal<'a> {
            error_code: u64,
            message: &'a str,
            cause: &'a str,
            index: u64,
        }
        let error = Refusal { error_code: code, message, cause, index: self.index };
        let response = self.headers(Response::json(json::encode(&error)));
        Response { status, ..response }
    }
}

pub(super) fn answer(etcd: &Etcd, request: &Request) -> Reply {
    let state = etcd.lock();
    let Some(tree) = &state.tree else { return not_found().into() };
    let key = &request.path["/v2/keys".len()..];
    let decoded: String =
        form_urlencoded::parse(format!("k={}", key.replace('+', "%2B")).as_bytes())
            .map(|(_, value)| value.into_owned())
            .collect();
    let name = format!("/{}", decoded.trim_matches('/'));
    let truth = |parameter| request.parameter(parameter).as_deref() == Some("true");
    let recursive = truth("recursive");
    if truth("wait") {
        return watch(etcd, &state, name, recursive, request);
    }
    match tree.node(&name, recursive) {
        Some(node) => {
            let action = Answer { action: "get", node, prev_node: None };
            tree.good(json::encode(&action)).into()
        }
        None => tree.error(404, 100, "Key not found", &name).into(),
    }
}

/// The header comes at once, the one event when it happens.
fn watch(etcd: &Etcd, state: &State, name: String, recursive: bool, request: &Request) -> Reply {
    let Some(tree) = &state.tree else { return not_found().into() };
    let wanted = request.parameter("waitIndex").and_then(|index| index.parse().ok());
    let wanted = wanted.unwrap_or(tree.index + 1);
    if wanted < tree.oldest() && wanted <= tree.index {
        let cause = format!("the requested history has been cleared [{}/{wanted}]", tree.oldest());
        let message = "The event in requested index is outdated and cleared";
        return tree.error(400, 401, message, &cause).into();
    }
    let etcd = etcd.clone();
    let mut wanted = Some(wanted);
    let pieces = move || -> Pending<Option<Bytes>> {
        let (etcd, name, wanted) = (etcd.clone(), name.clone(), wanted.take());
        Box::pin(async move {
            let wanted = wanted?;
            Some(etcd.find(|state| state.tree.as_ref()?.event(&name, recursive, wanted)).await)
        })
    };
    Reply::Pieces(tree.good(Bytes::new()), Box::new(pieces))
}
