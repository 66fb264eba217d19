//! Consul's key-value store, over its HTTP API (libkv `store/consul`).
//!
//! A blocking query waits for a change: it repeats the query with the index of the last answer. The
//! new answer is compared with the last one, because a renewed session, or in older versions each
//! heartbeat, increases the index but changes nothing. If the index decreases, it starts again at
//! zero, as Consul's documentation requires.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::http::{Protocol, Reading};
use super::layout::{Entry, LEADER, join, relative};
use super::server::{Answer, Server};
use crate::Error;
use crate::limits::Counted;

/// The characters that are escaped in a key that is part of a path.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':').remove(b'/');

/// How long Consul is asked to wait for a change. It may add a sixteenth.
const WAIT: Duration = Duration::from_mins(5);

/// The shortest and the longest pause between immediate answers without a change.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The key-value store.
#[derive(Debug)]
pub(super) struct Consul {
    /// The path of the configuration.
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    key: String,
    /// In base64; null for an empty one.
    #[serde(default)]
    value: Option<String>,
    /// The session that holds the lock on it, if any.
    #[serde(default)]
    session: Option<String>,
}

impl Consul {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned() }
    }

    /// The query for everything below a folder, or for the names directly below the path.
    fn question(&self, folder: &str) -> String {
        let key = join(&self.path, folder);
        if !folder.is_empty() {
            return format!("/v1/kv/{}?recurse", utf8_percent_encode(&key, KEY));
        }
        let slash = if key.is_empty() { "" } else { "/" };
        format!("/v1/kv/{}{slash}?keys&separator=/", utf8_percent_encode(&key, KEY))
    }

    /// What an answer to the question for `folder` lists.
    pub(super) async fn reading(&self, folder: &str, answer: &Answer) -> Result<Reading, Error> {
        let version = answer.number("x-consul-index");
        let entries = match answer.status {
            status if status.is_success() && folder.is_empty() => self.names(answer).await?,
            status if status.is_success() => self.pairs(answer).await?,
            // Only Consul itself has an index for what does not exist.
            http::StatusCode::NOT_FOUND if version.is_some() => Vec::new(),
            _ => return Err(answer.refused()),
        };
        Ok(Reading { entries, version })
    }

    /// The keys right below the path. A node of Swarm 0.2.0 has its name for a value.
    async fn names(&self, answer: &Answer) -> Result<Vec<Entry>, Error> {
        let names: Vec<Counted<String>> = answer.json().await?;
        let entries = names.iter().filter_map(|Counted(name)| {
            let key = relative(&self.path, name)?;
            let value = (!name.ends_with('/')).then(|| key.to_owned());
            Some(Entry { key: key.to_owned(), value })
        });
        Ok(entries.collect())
    }

    async fn pairs(&self, answer: &Answer) -> Result<Vec<Entry>, Error> {
        let pairs: Vec<Counted<Pair>> = answer.json().await?;
        let mut entries = Vec::with_capacity(pairs.len());
        for Counted(Pair { key, value, session }) in pairs {
            let Some(key) = relative(&self.path, &key) else { continue };
            let value = STANDARD.decode(value.unwrap_or_default());
            let value = value.map_err(|error| answer.bad(format!("not base64: {error}")))?;
            let value = String::from_utf8_lossy(&value).into_owned();
            // A former leader's address stays, but no session holds it.
            let held = key != LEADER || session.is_some_and(|session| !session.is_empty());
            entries.push(Entry { key: key.to_owned(), value: held.then_some(value) });
        }
        Ok(entries)
    }
}

impl Protocol for Consul {
    async fn read(&mut self, server: &Server<'_>, folder: &str) -> Result<Reading, Error> {
        let answer = server.get(&self.question(folder)).await?;
        self.reading(folder, &answer).await
    }

    async fn changed(
        &mut self,
        server: &Server<'_>,
        folder: &str,
        known: &mut Reading,
    ) -> Result<(), Error> {
        let question = self.question(folder);
        let (shortest, longest) = PAUSES;
        let mut pause = shortest;
        while let Some(version) = known.version {
            // Consul answers index 0 at once, without waiting.
            let path = format!("{question}&index={}&wait={}s", version.max(1), WAIT.as_secs());
            let asked = Instant::now();
            let request = server.request(&path)?.timeout(WAIT + WAIT / 16 + server.within);
            let answer = server.whole(&path, server.client.get(request).await).await?;
            let reading = self.reading(folder, &answer).await?;
            if reading.entries != known.entries {
                return Ok(());
            }
            known.version = match reading.version {
                Some(now) if now < version => Some(0),
                Some(now) => Some(now),
                None => return Err(answer.bad("an answer without X-Consul-Index")),
            };
            if asked.elapsed() < longest {
                sleep(pause).await;
                pause = (2 * pause).min(longest);
            } else {
                pause = shortest;
            }
        }
        std::future::pending().await
    }
}
