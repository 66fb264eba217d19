//! The nodes, who watches them, and the sessions that are notified.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::Sender;

use super::connection::{END, frame};

/// Kinds of events, as they go over the wire.
const CREATED: i32 = 1;
const DELETED: i32 = 2;
const DATA_CHANGED: i32 = 3;
const CHILDREN_CHANGED: i32 = 4;

/// A server's number for "there is no such node".
const NO_NODE: i32 = -101;

/// What a watch was set by: it decides what it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watch {
    /// `exists` and `getData`.
    Data,
    /// `getChildren`.
    Children,
}

#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    /// The last transaction.
    zxid: i64,
    sessions: BTreeMap<i64, Sender<Vec<u8>>>,
    last_session: i64,
    watches: BTreeMap<(String, Watch), BTreeSet<i64>>,
}

#[derive(Debug, Default)]
struct Node {
    data: Vec<u8>,
    created: i64,
    modified: i64,
    created_at: i64,
    modified_at: i64,
    version: i32,
    children_version: i32,
    children_modified: i64,
    owner: i64,
}

/// A new tree has a root with the server's own node in it.
impl Default for Tree {
    fn default() -> Self {
        let root = Node { children_version: -1, ..Node::default() };
        let nodes =
            BTreeMap::from([("/".to_owned(), root), ("/zookeeper".to_owned(), Node::default())]);
        Self {
            nodes,
            zxid: 0,
            sessions: BTreeMap::new(),
            last_session: 1 << 56,
            watches: BTreeMap::new(),
        }
    }
}

impl Tree {
    pub(super) fn zxid(&self) -> i64 {
        self.zxid
    }

    pub(super) fn create(&mut self, path: &str, data: &[u8], owner: i64) -> bool {
        let parent = parent(path);
        if self.nodes.contains_key(path) || !self.nodes.contains_key(parent) {
            return false;
        }
        let (zxid, now) = self.next();
        self.touch(parent);
        let node = Node {
            data: data.to_owned(),
            created: zxid,
            modified: zxid,
            created_at: now,
            modified_at: now,
            children_modified: zxid,
            owner,
            ..Node::default()
        };
        self.nodes.insert(path.to_owned(), node);
        self.notify(path, &[Watch::Data], CREATED);
        self.notify(parent, &[Watch::Children], CHILDREN_CHANGED);
        true
    }

    pub(super) fn set(&mut self, path: &str, data: &[u8]) -> bool {
        if !self.nodes.contains_key(path) {
            return false;
        }
        let (zxid, now) = self.next();
        let Some(node) = self.nodes.get_mut(path) else { return false };
        data.clone_into(&mut node.data);
        node.modified = zxid;
        node.modified_at = now;
        node.version += 1;
        self.notify(path, &[Watch::Data], DATA_CHANGED);
        true
    }

    pub(super) fn delete(&mut self, path: &str) -> bool {
        if !self.nodes.contains_key(path) || self.children(path).next().is_some() {
            return false;
        }
        self.next();
        let parent = parent(path);
        self.nodes.remove(path);
        self.touch(parent);
        self.notify(path, &[Watch::Data, Watch::Children], DELETED);
        self.notify(parent, &[Watch::Children], CHILDREN_CHANGED);
        true
    }

    /// Begins a session whose frames go to `queue`. Its number.
    pub(super) fn begin_session(&mut self, queue: Sender<Vec<u8>>) -> i64 {
        self.next();
        self.last_session += 1;
        self.sessions.insert(self.last_session, queue);
        self.last_session
    }

    /// Ends a session and its connection, unless it has ended already.
    pub(super) fn end_session(&mut self, session: i64) {
        let Some(queue) = self.sessions.remove(&session) else { return };
        // The connection may have ended before.
        let _ = queue.try_send(END);
        self.next();
        for watchers in self.watches.values_mut() {
            watchers.remove(&session);
        }
    }

    pub(super) fn end_sessions(&mut self) {
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.end_session(session);
        }
    }

    /// Ends all sessions and forgets everything but how many there were.
    pub(super) fn wipe(&mut self) {
        self.end_sessions();
        *self = Self { last_session: self.last_session, ..Self::default() };
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn watch(&mut self, path: &str, watch: Watch, session: i64) {
        self.watches.entry((path.to_owned(), watch)).or_default().insert(session);
    }

    /// The body of the answer to `exists`.
    pub(super) fn exists(&self, path: &str) -> Result<Vec<u8>, i32> {
        let node = self.nodes.get(path).ok_or(NO_NODE)?;
        let mut body = Vec::new();
        self.stat(path, node, &mut body);
        Ok(body)
    }

    /// The body of the answer to `getData`.
    pub(super) fn data(&self, path: &str) -> Result<Vec<u8>, i32> {
        let node = self.nodes.get(path).ok_or(NO_NODE)?;
        let mut body = buffer(&node.data);
        self.stat(path, node, &mut body);
        Ok(body)
    }

    /// The body of the answer to `getChildren2`.
    pub(super) fn names(&self, path: &str) -> Result<Vec<u8>, i32> {
        let node = self.nodes.get(path).ok_or(NO_NODE)?;
        let mut body = length(self.children(path).count()).to_vec();
        for name in self.children(path) {
            body.extend(buffer(name.as_bytes()));
        }
        self.stat(path, node, &mut body);
        Ok(body)
    }

    fn stat(&self, path: &str, node: &Node, out: &mut Vec<u8>) {
        for long in [node.created, node.modified, node.created_at, node.modified_at] {
            out.extend(long.to_be_bytes());
        }
        // The third is the version of the ACL.
        for int in [node.version, node.children_version, 0] {
            out.extend(int.to_be_bytes());
        }
        out.extend(node.owner.to_be_bytes());
        out.extend(length(node.data.len()));
        out.extend(length(self.children(path).count()));
        out.extend(node.children_modified.to_be_bytes());
    }

    fn children<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a str> {
        let start = if path == "/" { path.to_owned() } else { format!("{path}/") };
        let length = start.len();
        let below = self.nodes.range(start.clone()..).map(|(node, _)| node.as_str());
        let below = below.take_while(move |node| node.starts_with(&start));
        // Neither the root itself nor what is deeper.
        below
            .map(move |node| &node[length..])
            .filter(|name| !name.is_empty() && !name.contains('/'))
    }

    /// A child of this node came or went.
    fn touch(&mut self, path: &str) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.children_version += 1;
            node.children_modified = self.zxid;
        }
    }

    fn next(&mut self) -> (i64, i64) {
        self.zxid += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        (self.zxid, i64::try_from(now).unwrap_or(i64::MAX))
    }

    /// Notifies every such watch on the node, once.
    fn notify(&mut self, path: &str, watches: &[Watch], kind: i32) {
        let mut sessions = BTreeSet::new();
        for watch in watches {
            sessions.extend(self.watches.remove(&(path.to_owned(), *watch)).unwrap_or_default());
        }
        for session in sessions {
            if let Some(queue) = self.sessions.get(&session) {
                // A connection that ends needs no event.
                let _ = queue.try_send(event(kind, path));
            }
        }
    }
}

/// The frame of an event: header, kind, state of the session (connected), path.
pub(super) fn event(kind: i32, path: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(kind.to_be_bytes());
    body.extend(3_i32.to_be_bytes());
    body.extend(buffer(path.as_bytes()));
    frame(-1, -1, 0, &body)
}

/// A string or a buffer.
fn buffer(bytes: &[u8]) -> Vec<u8> {
    [&length(bytes.len())[..], bytes].concat()
}

pub(super) fn length(length: usize) -> [u8; 4] {
    i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes()
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}
