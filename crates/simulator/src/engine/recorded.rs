//! What real engines answered.

use super::{Release, Standing, WORKER};
use crate::{Request, Response};

/// The answers of one engine.
#[derive(Clone, Copy, Debug)]
pub struct Recording {
    release: Release,
    standing: Standing,
    /// Path without version, with the query that was sent if there was one, and the body.
    answers: &'static [(&'static str, &'static [u8])],
}

/// Pairs of a path and the bytes of a file in `fixtures/swarm-mode`.
macro_rules! answers {
    ($($path:literal: $file:literal,)*) => {
        &[$(($path, include_bytes!(concat!("../../fixtures/swarm-mode/", $file)))),*]
    };
}

impl Recording {
    /// A manager, two workers, 16 services of every kind.
    pub const THREE_NODES: Self = Self {
        release: Release::V20_10,
        standing: Standing::Manager,
        answers: answers! {
            "/nodes": "3-nodes/nodes.json",
            "/services": "3-nodes/services.json",
            "/services?status=true": "3-nodes/services-status.json",
            "/tasks": "3-nodes/tasks.json",
            "/tasks?desired-state": "3-nodes/tasks-desired-running.json",
            "/networks": "3-nodes/networks.json",
            "/containers/json": "3-nodes/containers.json",
            "/containers/json?all=1": "3-nodes/containers-all.json",
            "/info": "3-nodes/info.json",
            "/version": "3-nodes/version.json",
        },
    };

    /// The same Swarm asked at a worker.
    pub const WORKER: Self = Self {
        release: Release::V20_10,
        standing: Standing::Worker,
        answers: answers! {
            "/networks": "3-nodes/worker-networks.json",
            "/containers/json": "3-nodes/worker-containers.json",
            "/info": "3-nodes/worker-info.json",
            "/version": "3-nodes/version.json",
        },
    };

    /// The same Swarm with worker-2 drained and stopped.
    pub const ONE_DOWN: Self = Self {
        release: Release::V20_10,
        standing: Standing::Manager,
        answers: answers! {
            "/nodes": "3-nodes-one-drained-and-down/nodes.json",
            "/services": "3-nodes-one-drained-and-down/services.json",
            "/tasks": "3-nodes-one-drained-and-down/tasks.json",
            "/networks": "3-nodes/networks.json",
            "/info": "3-nodes/info.json",
            "/version": "3-nodes/version.json",
        },
    };

    /// Three managers and three workers, some of them down; asked at the leader.
    pub const SIX_NODES_LEADER: Self = Self {
        release: Release::V20_10,
        standing: Standing::Manager,
        answers: answers! {
            "/nodes": "6-nodes/nodes-leader.json",
            "/services": "6-nodes/services-leader.json",
            "/services?status=true": "6-nodes/services-status-leader.json",
            "/tasks": "6-nodes/tasks-leader.json",
            "/networks": "6-nodes/networks-leader.json",
            "/info": "6-nodes/info-leader.json",
            "/version": "6-nodes/version-leader.json",
        },
    };

    /// The same, asked at another manager.
    pub const SIX_NODES_FOLLOWER: Self = Self {
        release: Release::V20_10,
        standing: Standing::Manager,
        answers: answers! {
            "/nodes": "6-nodes/nodes-follower.json",
            "/services": "6-nodes/services-follower.json",
            "/tasks": "6-nodes/tasks-follower.json",
            "/networks": "6-nodes/networks-follower.json",
            "/info": "6-nodes/info-follower.json",
            "/version": "6-nodes/version-follower.json",
        },
    };

    /// A Swarm without services.
    pub const EMPTY: Self = Self {
        release: Release::V20_10,
        standing: Standing::Manager,
        answers: answers! {
            "/nodes": "empty/nodes.json",
            "/services": "empty/services.json",
            "/tasks": "empty/tasks.json",
            "/networks": "empty/networks.json",
            "/info": "empty/info.json",
            "/version": "3-nodes/version.json",
        },
    };

    /// An engine outside of a Swarm.
    pub const STANDALONE: Self = Self {
        release: Release::V20_10,
        standing: Standing::Standalone,
        answers: &[
            ("/info", include_bytes!("../../fixtures/classic/engine-info.json")),
            ("/version", include_bytes!("../../fixtures/classic/engine-version.json")),
        ],
    };

    /// A manager of the line of Docker 29, which knows no API version before 1.40.
    pub const V29: Self = Self {
        release: Release::V29,
        standing: Standing::Manager,
        answers: answers! {
            "/nodes": "3-nodes-moby-v2.0.0-beta.24/nodes.json",
            "/version": "3-nodes-moby-v2.0.0-beta.24/version.json",
        },
    };

    /// The recorded body of this path (without version).
    pub fn body(self, path: &str) -> Option<&'static [u8]> {
        self.answers.iter().find(|(recorded, _)| *recorded == path).map(|(_, body)| *body)
    }

    pub(super) fn answer(self, request: &Request) -> Response {
        let path = match self.release.route(&request.path) {
            Ok(path) => path,
            Err(refused) => return refused,
        };
        let filters = request.parameter("filters").unwrap_or_default();
        let asked = match path {
            "/_ping" => return self.release.ping(self.standing),
            "/nodes" | "/services" | "/tasks" if self.standing == Standing::Worker => {
                return self.release.error(503, WORKER);
            }
            "/nodes" | "/services" | "/tasks" if self.standing == Standing::Standalone => {
                return self.release.error(503, super::STANDALONE);
            }
            "/tasks" if filters.contains("desired-state") => "/tasks?desired-state".to_owned(),
            "/services" if request.parameter("status").is_some() => "/services?status=true".into(),
            "/containers/json" if request.parameter("all").is_some_and(|on| super::truthy(&on)) => {
                "/containers/json?all=1".to_owned()
            }
            path => path.to_owned(),
        };
        match self.body(&asked) {
            Some(body) => self.release.json(body.to_vec()),
            None => Response::message(404, "page not found"),
        }
    }
}
