//! etcd with version 2 of its API, as Swarm itself uses it (libkv `store/etcd`).
//!
//! A listing uses quorum reads, as Swarm does: a member that lost its cluster fails instead of
//! returning old data. A watch starts at the index of the listing's first answer, so it misses no
//! event. etcd keeps the last 1,000 events; if it has dropped some of ours, that counts as a
//! change. Heartbeats are events in etcd, but not changes here.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::http::{Protocol, Reading, WatchOutcome};
use super::layout::{Entry, join, matters, relative};
use super::server::{Answer, Server};
use crate::Error;
use crate::limits::Counted;

/// The characters that are escaped in a key that is part of a path.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');

/// etcd's code for a key that does not exist.
const KEY_NOT_FOUND: u64 = 100;

/// etcd's code for a key that is not a directory.
const NOT_A_DIRECTORY: u64 = 104;

/// etcd's code for an index so old that events after it were dropped.
const EVENT_INDEX_CLEARED: u64 = 401;

/// A watch is restarted after this time without an event.
const QUIET: Duration = Duration::from_mins(10);

/// The keys API.
#[derive(Debug)]
pub(super) struct Etcd2 {
    /// The path of the configuration.
    path: String,
}

/// A key in etcd's JSON. Members that are null or missing are empty.
#[derive(Debug, Default, Deserialize)]
struct Node {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    dir: Option<bool>,
    #[serde(default)]
    nodes: Option<Vec<Counted<Node>>>,
    #[serde(default, rename = "modifiedIndex")]
    modified_index: Option<u64>,
}

#[derive(Deserialize)]
struct Got {
    node: Node,
}

#[derive(Deserialize)]
struct Event {
    node: Node,
    #[serde(default, rename = "prevNode")]
    before: Option<Node>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "errorCode")]
    code: u64,
}

impl Etcd2 {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned() }
    }

    /// The path of a folder's key in a URL.
    fn url_path(&self, folder: &str) -> String {
        let mut path = "/v2/keys".to_owned();
        for part in join(&self.path, folder).split('/') {
            path.push('/');
            path.extend(utf8_percent_encode(part, KEY));
        }
        path
    }

    /// A key without the path of the configuration.
    fn relative<'k>(&self, key: &'k str) -> Option<&'k str> {
        relative(&self.path, key.trim_matches('/'))
    }

    fn collect(&self, node: Node, entries: &mut Vec<Entry>) {
        let Node { key, value, dir, nodes, .. } = node;
        let value = value.filter(|_| dir != Some(true));
        // The root has no key.
        if let Some(key) = self.relative(key.as_deref().unwrap_or_default()) {
            entries.push(Entry { key: key.to_owned(), value });
        }
        for Counted(node) in nodes.into_iter().flatten() {
            self.collect(node, entries);
        }
    }

    /// The entries of an answer.
    pub(super) async fn reading(&self, answer: &Answer) -> Result<Reading, Error> {
        let mut reading = Reading { entries: Vec::new(), version: answer.number("x-etcd-index") };
        if !answer.status.is_success() {
            return match code(answer).await {
                Some(KEY_NOT_FOUND | NOT_A_DIRECTORY) => Ok(reading),
                Some(_) => Err(answer.refused()),
                None => Err(not_v2(answer)),
            };
        }
        let Got { node } = answer.json().await?;
        if node.dir == Some(true) {
            self.collect(node, &mut reading.entries);
        }
        Ok(reading)
    }

    /// The outcome of a watch that started at index `next`.
    pub(super) async fn outcome(&self, answer: &Answer, next: u64) -> Result<WatchOutcome, Error> {
        if !answer.status.is_success() {
            return match code(answer).await {
                Some(EVENT_INDEX_CLEARED) => Ok(WatchOutcome::Change),
                _ => Err(answer.refused()),
            };
        }
        if answer.body.is_empty() {
            return Err(answer.bad("the watch ended without an event"));
        }
        let Event { node, before } = answer.json().await?;
        let Some(index) = node.modified_index.filter(|index| *index >= next) else {
            return Err(answer.bad("an event that is older than what was waited for"));
        };
        let same = before.is_some_and(|before| node.value.is_some() && before.value == node.value);
        let key = self.relative(node.key.as_deref().unwrap_or_default());
        // An event on a key above the configured path means that it was removed with all below it.
        let is_change = !same && key.is_none_or(matters);
        Ok(if is_change { WatchOutcome::Change } else { WatchOutcome::Nothing(Some(index)) })
    }
}

impl Protocol for Etcd2 {
    async fn read(&mut self, server: &Server<'_>, folder: &str) -> Result<Reading, Error> {
        let depth = if folder.is_empty() { "" } else { "&recursive=true" };
        let path = format!("{}?quorum=true{depth}", self.url_path(folder));
        self.reading(&server.get(&path).await?).await
    }

    async fn changed(
        &mut self,
        server: &Server<'_>,
        folder: &str,
        known: &mut Reading,
    ) -> Result<(), Error> {
        while let Some(version) = known.version {
            let next = version.saturating_add(1);
            let path =
                format!("{}?wait=true&recursive=true&waitIndex={next}", self.url_path(folder));
            let response = server.client.get(server.request(&path)?.open_ended(QUIET)).await;
            let answer = server.whole(&path, response).await?;
            match self.outcome(&answer, next).await? {
                WatchOutcome::Change => return Ok(()),
                WatchOutcome::Nothing(index) => known.version = index,
            }
        }
        std::future::pending().await
    }
}

/// The code of an error, if etcd sends one.
async fn code(answer: &Answer) -> Option<u64> {
    answer.json::<Refusal>().await.ok().map(|refusal| refusal.code)
}

fn not_v2(answer: &Answer) -> Error {
    if answer.status == http::StatusCode::NOT_FOUND {
        return answer.bad(
            "there is no version 2 of the API: start etcd with --enable-v2, or write etcd_api: v3 if \
             the nodes are kept there",
        );
    }
    answer.refused()
}
