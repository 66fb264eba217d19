//! The discovery service of `token://`, which Docker Hub once had: `GET /v1/clusters/TOKEN` is the
//! list of what registered.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use swarmscout_simulator::engine::json;
use swarmscout_simulator::http::{Listen, Response, Server};

/// A running service. Ends when it is dropped.
#[derive(Debug)]
pub struct Tokens {
    /// Where it listens, what goes wrong, and what it was asked.
    pub server: Server,
    clusters: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

impl Tokens {
    /// Starts a service that knows no token.
    pub fn start(listen: Listen) -> io::Result<Self> {
        let clusters = Arc::<Mutex<BTreeMap<String, Vec<String>>>>::default();
        let known = Arc::clone(&clusters);
        let server = Server::start(listen, move |request| {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let token = request.path.strip_prefix("/v1/clusters/");
            match token.and_then(|token| known.get(token)) {
                Some(nodes) => Response::json(json::encode(nodes)),
                None => Response::not_found(),
            }
        })?;
        Ok(Self { server, clusters })
    }

    /// The nodes that registered with a token.
    pub fn register(&self, token: &str, nodes: &[&str]) {
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        self.clusters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token.to_owned(), nodes);
    }
}
