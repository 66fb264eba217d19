//! Which Swarm to read, and how.

use std::path::PathBuf;
use std::time::Duration;

use swarmscout_docker::EngineConfig;

/// What of the configuration makes a Swarm another one to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where and how to ask. Port, filters and interval are of no matter.
    pub(crate) engine: EngineConfig,
    pub(crate) events: Events,
    pub(crate) swarmkit_socket: Option<PathBuf>,
}

impl Source {
    /// The Swarm of this Engine. `swarmkit_socket` says where SwarmKit's control socket is, if it is
    /// not beside the Engine's.
    pub fn new(engine: &EngineConfig, events: Events, swarmkit_socket: Option<PathBuf>) -> Self {
        let engine = EngineConfig { port: 0, filters: Vec::new(), ..engine.clone() };
        Self { engine, events, swarmkit_socket }
    }

    /// The display name, without secrets: the hosts, and the settings that are not the defaults.
    pub fn describe(&self) -> String {
        let mut what = self.engine.describe();
        if self.events != Events::Auto {
            what += " events ";
            what += self.events.as_str();
        }
        if let Some(socket) = &self.swarmkit_socket {
            what += " swarmkit_socket ";
            what += &socket.to_string_lossy();
        }
        what
    }

    /// Whether both look at the same Swarm in the same way, however often.
    pub fn is_same(&self, other: &Self) -> bool {
        let interval = self.engine.refresh_interval;
        let engine = EngineConfig { refresh_interval: interval, ..other.engine.clone() };
        *self == Self { engine, ..other.clone() }
    }
}

/// `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A target for each virtual IP and port of a service.
    Services,
    /// A target for each address and port of a task.
    Tasks,
    /// A target for each node.
    Nodes,
}

impl Role {
    /// As it is written in the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Tasks => "tasks",
            Self::Nodes => "nodes",
        }
    }
}

/// `events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Events {
    /// The best that is there.
    #[default]
    Auto,
    /// SwarmKit's watch.
    Watch,
    /// The Engine's events.
    Events,
    /// Neither.
    Poll,
}

impl Events {
    /// As it is written in the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Watch => "watch",
            Self::Events => "events",
            Self::Poll => "poll",
        }
    }
}

/// When to give up what tells of a Swarm's changes, and when to begin again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// A stream is begun no sooner than this after the last time that one was.
    pub reopen_after: Duration,
    /// So long may a watch take to tell what a listing showed. After that it is no watch any more.
    pub confirmed_within: Duration,
    /// An Engine sends no event while nothing changes. After this long without one the stream is
    /// opened again: the connection may be gone.
    pub quiet: Duration,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            reopen_after: Duration::from_secs(5),
            confirmed_within: Duration::from_secs(2),
            quiet: Duration::from_mins(10),
        }
    }
}
