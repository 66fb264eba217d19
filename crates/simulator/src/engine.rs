//! The Engine API of one node of a [`Swarm`].
//!
//! An engine answers `/_ping`, `/version`, `/info`, `/nodes`, `/services`, `/tasks`, `/networks`,
//! `/configs`, `/secrets`, `/containers/json` and `/events`, with or without a version in front of the path, filters as the
//! real one resolves them (moby `daemon/cluster/filters.go`, swarmkit `manager/controlapi`), and
//! its error texts. Lists come in another order at every call.
//!
//! [`Engine::recorded`] serves what a real engine answered, byte for byte.

mod containers;
mod events;
mod filters;
mod info;
pub mod json;
mod recorded;
mod release;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::swarm::{NodeRole, Random, State, Swarm};
use crate::{Listen, Reply, Request, Response, Server};
use filters::{Filters, Refusal};

pub use recorded::Recording;
pub use release::Release;

/// What a manager says without a quorum.
pub const NO_LEADER: &str = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";

/// What a worker says when it is asked for what only managers know.
pub const WORKER: &str = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.";

/// What an engine outside of a Swarm says.
pub const STANDALONE: &str = r#"This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again."#;

/// What a manager says after its restart while autolock is on.
pub const LOCKED: &str = r#"Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it."#;

/// A running engine. Ends when it is dropped.
#[derive(Debug)]
pub struct Engine {
    /// Where it listens, what goes wrong, and what it was asked.
    pub server: Server,
    condition: Arc<Mutex<Condition>>,
}

/// An engine's part in its Swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Manager or worker, as its Swarm has it; without quorum if too few managers are up.
    #[default]
    Member,
    /// In no Swarm.
    Standalone,
    /// A manager that waits for the key of its Swarm.
    Locked,
    /// A manager without quorum, whatever its Swarm says.
    NoQuorum,
}

impl Engine {
    /// Starts the engine 20.10 of this node.
    pub fn start(listen: Listen, swarm: &Swarm, node: &str) -> io::Result<Self> {
        Self::start_release(listen, swarm, node, Release::V20_10)
    }

    /// Starts the engine of this node, of another release.
    pub fn start_release(
        listen: Listen,
        swarm: &Swarm,
        node: &str,
        release: Release,
    ) -> io::Result<Self> {
        let condition = Arc::new(Mutex::new(Condition::Member));
        let api = Arc::new(Api {
            release,
            swarm: swarm.clone(),
            node: node.to_owned(),
            condition: Arc::clone(&condition),
            order: Mutex::new(Random::new(0)),
        });
        let server = Server::start(listen, move |request| api.reply(request))?;
        Ok(Self { server, condition })
    }

    /// Serves what a real engine answered.
    pub fn recorded(listen: Listen, recording: Recording) -> io::Result<Self> {
        let server = Server::start(listen, move |request| recording.answer(request))?;
        Ok(Self { server, condition: Arc::default() })
    }

    /// Changes the engine's part in its Swarm. Recorded answers stay as they are.
    pub fn set_condition(&self, condition: Condition) {
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner) = condition;
    }
}

/// What answers requests.
struct Api {
    release: Release,
    swarm: Swarm,
    node: String,
    condition: Arc<Mutex<Condition>>,
    /// Makes the order of lists.
    order: Mutex<Random>,
}

/// What the engine is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Manager,
    Worker,
    Standalone,
    Locked,
    NoQuorum,
}

impl Api {
    fn reply(self: &Arc<Self>, request: &Request) -> Reply {
        match self.release.route(&request.path) {
            Ok("/events") if request.method == http::Method::GET => events::answer(self, request),
            _ => self.answer(request).into(),
        }
    }

    /// Whether the engine has tasks.
    fn in_swarm(&self) -> bool {
        let condition = *self.condition.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(condition, Condition::Member | Condition::NoQuorum)
    }

    /// Whether the engine receives what changes in the Swarm. A manager without quorum still is.
    fn knows_cluster(&self) -> bool {
        let state = self.swarm.lock();
        let node = state.nodes.get(&self.node);
        self.in_swarm() && node.is_some_and(|node| node.spec.role == NodeRole::Manager)
    }

    fn answer(&self, request: &Request) -> Response {
        let state = self.swarm.lock();
        let standing = self.standing(&state);
        let path = match self.release.route(&request.path) {
            Ok(path) => path,
            Err(refused) => return refused,
        };
        if path == "/_ping" {
            return self.release.ping(standing);
        }
        if request.method != http::Method::GET {
            return Response::message(404, "page not found");
        }
        let body = match path {
            "/version" => return self.release.json(self.release.version_body()),
            "/info" => Ok(info::body(self.release, &state, &self.node, standing)),
            "/nodes" => self.cluster(standing, request, |f| f.nodes(&state)),
            "/services" => self.cluster(standing, request, |f| {
                f.services(&state, request.parameter("status").is_some_and(|on| truthy(&on)))
            }),
            "/tasks" => self.cluster(standing, request, |f| f.tasks(&state)),
            "/networks" => self.list(request, |f| f.networks(&state, &self.node, standing)),
            "/configs" => self.cluster(standing, request, |f| f.files(&state.files.configs)),
            "/secrets" => self.cluster(standing, request, |f| f.files(&state.files.secrets)),
            "/containers/json" => self.list(request, |f| {
                let all = request.parameter("all").is_some_and(|on| truthy(&on));
                f.containers(&containers::of(&state, &self.node, standing), all)
            }),
            _ => return Response::message(404, "page not found"),
        };
        match body {
            Ok(body) => self.release.json(body),
            Err(refusal) => self.release.error(refusal.status, &refusal.message),
        }
    }

    fn standing(&self, state: &State) -> Standing {
        let condition = *self.condition.lock().unwrap_or_else(PoisonError::into_inner);
        match (condition, state.nodes.get(&self.node)) {
            (Condition::Standalone, _) | (_, None) => Standing::Standalone,
            (Condition::Locked, _) => Standing::Locked,
            (Condition::NoQuorum, _) => Standing::NoQuorum,
            (Condition::Member, Some(node)) => match node.spec.role {
                NodeRole::Worker => Standing::Worker,
                NodeRole::Manager if state.has_quorum() => Standing::Manager,
                NodeRole::Manager => Standing::NoQuorum,
            },
        }
    }

    /// A list that only managers have.
    fn cluster(
        &self,
        standing: Standing,
        request: &Request,
        select: impl FnOnce(&Filters) -> Result<Vec<Box<[u8]>>, Refusal>,
    ) -> Result<Vec<u8>, Refusal> {
        let (status, message) = match standing {
            Standing::Manager => return self.list(request, select),
            Standing::Worker => (503, WORKER),
            Standing::Standalone => (503, STANDALONE),
            Standing::Locked => (503, LOCKED),
            Standing::NoQuorum => (500, NO_LEADER),
        };
        Err(Refusal { status, message: message.to_owned() })
    }

    fn list(
        &self,
        request: &Request,
        select: impl FnOnce(&Filters) -> Result<Vec<Box<[u8]>>, Refusal>,
    ) -> Result<Vec<u8>, Refusal> {
        let filters = Filters::read(self.release, request.parameter("filters").as_deref())?;
        let mut objects = select(&filters)?;
        self.order.lock().unwrap_or_else(PoisonError::into_inner).shuffle(&mut objects);
        let mut body = objects.join(&b',');
        body.insert(0, b'[');
        body.extend(b"]\n");
        Ok(body)
    }
}

/// What the Engine takes for true in a query (moby `httputils.BoolValue`).
fn truthy(value: &str) -> bool {
    !matches!(value.trim().to_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
}
