//! Which Swarm to read, and how.

use std::path::PathBuf;
use std::time::Duration;

use swarmscout_docker::EngineConfig;

/// Which Swarm to read, and how: two sources with the same value share one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its hosts and HTTP options. Port and filters are cleared.
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

    /// Whether both read the same Swarm in the same way, at any interval.
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
    /// The best that is available.
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

/// When to close a change feed, and when to open it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// The shortest time between two attempts to open a change feed.
    pub reopen_after: Duration,
    /// How long a watch may take to report what a listing showed. After that it is closed.
    pub confirmed_within: Duration,
    /// After this time without an event the stream is opened again: the connection may be gone.
    /// An Engine sends no event while nothing changes.
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
