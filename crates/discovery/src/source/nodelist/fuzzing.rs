//! The ways in for the fuzz targets of `crates/fuzz`. No part of this crate's interface.

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, StatusCode};
use swarmscout_model::Budget;
use swarmscout_net::Secrets;

use super::consul::Consul;
use super::etcd2::Etcd2;
use super::etcd3::{self, Etcd3};
use super::http::Reading;
use super::layout::{self, SWARM};
use super::server::{Answer, Held};
use super::token;
pub use super::zookeeper::fuzzing::zookeeper;
use crate::Error;
use crate::source::decoding::Decoding;

/// An answer of a store that speaks HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The path of the configuration.
    pub path: &'a str,
    /// Its status.
    pub status: StatusCode,
    /// The version in its header.
    pub index: Option<u64>,
    /// At most 64 KiB: larger ones need a runtime.
    pub body: &'a [u8],
}

/// What a list of nodes comes to.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// `host:port` each, unless somebody wrote something else.
    pub nodes: Vec<String>,
    /// The primary master.
    pub primary: Option<String>,
}

impl Answered<'_> {
    fn answer(&self, header: &'static str) -> Answer {
        let budget = Budget::unlimited();
        let index = self.index.map(|index| (header.parse().expect("a header"), index.into()));
        Answer {
            url: "http://store".to_owned(),
            status: self.status,
            headers: index.into_iter().collect::<HeaderMap>(),
            body: Bytes::copy_from_slice(self.body),
            secrets: Secrets::default(),
            held: Held { _charge: budget.nothing(), budget, decoding: Decoding::default() },
        }
    }
}

/// An answer of etcd's version 2, and the same as an event.
pub fn etcd2(answered: Answered<'_>) -> Vec<Listed> {
    let (etcd, answer) = (Etcd2::new(answered.path), answered.answer("x-etcd-index"));
    let _ = at_once(etcd.outcome(&answer, 1));
    vec![listed(at_once(etcd.reading(&answer)), answered.path)]
}

/// An answer of etcd's version 3, and the same as a line of a watch.
pub fn etcd3(answered: Answered<'_>) -> Vec<Listed> {
    let answer = answered.answer("grpc-status");
    let _ = etcd3::outcome(answered.body);
    vec![listed(at_once(Etcd3::new(answered.path, None, 1).reading(&answer)), answered.path)]
}

/// An answer of Consul's, to each of its two questions.
pub fn consul(answered: Answered<'_>) -> Vec<Listed> {
    let (consul, answer) = (Consul::new(answered.path), answered.answer("x-consul-index"));
    let folders = [SWARM, ""].into_iter();
    folders.map(|folder| listed(at_once(consul.reading(folder, &answer)), answered.path)).collect()
}

/// An answer of a service of tokens.
pub fn token(answered: Answered<'_>) -> Vec<Listed> {
    let nodes = at_once(token::nodes(&answered.answer("etag"))).unwrap_or_default();
    vec![Listed { nodes, primary: None }]
}

/// What is in it, wherever the nodes are.
fn listed(reading: Result<Reading, Error>, path: &str) -> Listed {
    let Ok(Reading { entries, .. }) = reading else { return Listed::default() };
    assert!(entries.iter().all(|entry| !entry.key.starts_with('/')), "a key that is not relative");
    let nodes = layout::swarm_nodes(&entries)
        .or_else(|| layout::engine_nodes(&entries))
        .or_else(|| layout::bare_nodes(&entries, path.is_empty()));
    Listed { nodes: nodes.unwrap_or_default(), primary: layout::primary(&entries) }
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a small answer is read at once")
}
