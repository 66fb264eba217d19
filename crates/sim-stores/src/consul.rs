//! Consul's key-value store, as far as a reader needs it: `GET /v1/kv`, with blocking queries.
//!
//! Written after Consul's documentation of its HTTP API, as there was no Consul to record. Agents
//! share what is stored; what changes it is a call of its owner.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tokio::sync::watch;

use swarmscout_simulator::engine::json;
use swarmscout_simulator::http::{Listen, Reply, Request, Response, Server};

/// The longest that a query may block, as in Consul.
const LONGEST: Duration = Duration::from_mins(10);

/// How long a query blocks that does not say so itself.
const USUAL: Duration = Duration::from_mins(5);

/// What is stored. Clones share it.
#[derive(Clone)]
pub struct Consul(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    index: u64,
    keys: BTreeMap<String, Key>,
    /// Keys that were deleted, and when.
    graves: BTreeMap<String, u64>,
    /// What every request has to show.
    token: Option<String>,
}

#[derive(Clone)]
struct Key {
    value: Vec<u8>,
    session: Option<String>,
    created: u64,
    modified: u64,
}

/// A key as it is written.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pair<'a> {
    lock_index: u64,
    key: &'a str,
    flags: u64,
    /// Null where it is empty.
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    create_index: u64,
    modify_index: u64,
}

/// A running agent. Ends when it is dropped.
#[derive(Debug)]
pub struct Agent {
    /// Where it listens, what goes wrong, and what it was asked.
    pub server: Server,
}

impl Default for Consul {
    fn default() -> Self {
        let state = Mutex::new(State { index: 10, ..State::default() });
        Self(Arc::new(Shared { state, changes: watch::Sender::default() }))
    }
}

impl Consul {
    /// Puts a key, held by a session or not. Its index moves even if nothing changes, as in
    /// versions before 1.8.
    pub fn put(&self, key: &str, value: impl AsRef<[u8]>, session: Option<&str>) {
        self.change(|state| {
            let created = state.keys.get(key).map_or(state.index, |key| key.created);
            let key_now = Key {
                value: value.as_ref().to_owned(),
                session: session.map(str::to_owned),
                created,
                modified: state.index,
            };
            state.keys.insert(key.to_owned(), key_now);
        });
    }

    /// Deletes a key; the end of a session that deletes its keys is the same.
    pub fn delete(&self, key: &str) {
        self.change(|state| {
            if state.keys.remove(key).is_some() {
                state.graves.insert(key.to_owned(), state.index);
            }
        });
    }

    /// Ends the session that holds a key; the key stays.
    pub fn release(&self, key: &str) {
        self.change(|state| {
            if let Some(key) = state.keys.get_mut(key) {
                key.session = None;
                key.modified = state.index;
            }
        });
    }

    /// Begins to count again, as after a restore from a snapshot.
    pub fn rewind(&self) {
        self.change(|state| {
            state.index = 1;
            state.graves.clear();
            for key in state.keys.values_mut() {
                (key.created, key.modified) = (1, 1);
            }
        });
    }

    /// From now on every request has to show this token.
    pub fn require_token(&self, token: &str) {
        self.change(|state| state.token = Some(token.to_owned()));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        {
            let mut state = self.lock();
            state.index += 1;
            change(&mut state);
        }
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Reply {
        let Some(key) = request.path.strip_prefix("/v1/kv/") else {
            return Response::not_found().into();
        };
        if request.method != http::Method::GET {
            return Response { status: 405, ..Response::new("text/plain", "") }.into();
        }
        let state = self.lock();
        if let Some(token) = &state.token {
            let shown = request.headers.get("authorization").and_then(|value| value.to_str().ok());
            if shown.and_then(|shown| shown.strip_prefix("Bearer ")) != Some(token) {
                let body = "Permission denied: anonymous token lacks permission 'key:read'";
                return Response { status: 403, ..Response::new("text/plain", body) }.into();
            }
        }
        let question = Question::of(key, request);
        let (index, response) = question.ask(&state);
        let after = request.parameter("index").and_then(|index| index.parse().ok()).unwrap_or(0);
        if after == 0 || index > after {
            return response.into();
        }
        drop(state);
        let wait = request.parameter("wait").and_then(|wait| seconds(&wait));
        let until = tokio::time::Instant::now() + wait.unwrap_or(USUAL).min(LONGEST);
        let consul = self.clone();
        Reply::Later(Box::pin(async move {
            let mut changes = consul.0.changes.subscribe();
            loop {
                let (index, response) = question.ask(&consul.lock());
                // Before the index that was asked for: the count starts again.
                if index != after {
                    return response;
                }
                tokio::select! {
                    _ = changes.changed() => {}
                    () = tokio::time::sleep_until(until) => return response,
                }
            }
        }))
    }
}

impl fmt::Debug for Consul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consul").finish_non_exhaustive()
    }
}

impl Agent {
    /// Starts an agent.
    pub fn start(listen: Listen, consul: &Consul) -> io::Result<Self> {
        let consul = consul.clone();
        Ok(Self { server: Server::start(listen, move |request| consul.answer(request))? })
    }
}

/// What is asked for.
struct Question {
    prefix: String,
    recurse: bool,
    keys: bool,
    separator: Option<String>,
}

impl Question {
    fn of(key: &str, request: &Request) -> Self {
        let prefix = form_urlencoded::parse(format!("k={key}").as_bytes())
            .map(|(_, value)| value.into_owned())
            .collect();
        Self {
            prefix,
            recurse: request.parameter("recurse").is_some(),
            keys: request.parameter("keys").is_some(),
            separator: request.parameter("separator"),
        }
    }

    fn concerns(&self, key: &str) -> bool {
        if self.recurse || self.keys { key.starts_with(&self.prefix) } else { key == self.prefix }
    }

    /// The answer, and its index.
    fn ask(&self, state: &State) -> (u64, Response) {
        let found: Vec<_> = state.keys.iter().filter(|(key, _)| self.concerns(key)).collect();
        let graves = state.graves.iter().filter(|(key, _)| self.concerns(key));
        let changed = found.iter().map(|(_, key)| key.modified).chain(graves.map(|(_, at)| *at));
        // What was never there is as old as the whole table.
        let index = changed.max().unwrap_or(state.index);
        let response = if found.is_empty() {
            Response { status: 404, ..Response::json("") }
        } else if self.keys {
            Response::json(json::encode(&self.names(found.iter().map(|(key, _)| key.as_str()))))
        } else {
            let pairs = found.into_iter().map(|(name, key)| Pair {
                lock_index: u64::from(key.session.is_some()),
                key: name,
                flags: 0,
                value: (!key.value.is_empty()).then(|| STANDARD.encode(&key.value)),
                session: key.session.as_deref(),
                create_index: key.created,
                modify_index: key.modified,
            });
            Response::json(json::encode(&pairs.collect::<Vec<_>>()))
        };
        let response = response
            .with("Vary", "Accept-Encoding")
            .with("X-Consul-Index", &index.to_string())
            .with("X-Consul-Knownleader", "true")
            .with("X-Consul-Lastcontact", "0");
        (index, response)
    }

    /// The keys up to the separator.
    fn names<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let cut = |key: &'a str| {
            let separator = self.separator.as_deref().filter(|separator| !separator.is_empty());
            let place = separator.and_then(|separator| {
                let place = key[self.prefix.len()..].find(separator)?;
                Some(self.prefix.len() + place + separator.len())
            });
            &key[..place.unwrap_or(key.len())]
        };
        let mut names: Vec<_> = keys.map(cut).collect();
        names.dedup();
        names
    }
}

/// `300s`, `5m`.
fn seconds(text: &str) -> Option<Duration> {
    if let Some(minutes) = text.strip_suffix('m') {
        return Some(Duration::from_mins(minutes.parse().ok()?));
    }
    Some(Duration::from_secs(text.strip_suffix('s')?.parse().ok()?))
}
