//! What is known of the containers of this node beyond their cgroups: names, labels, state.
//!
//! A manager's task list or the Docker Engine of this node reports it. Readers never depend on which
//! one it is, and a container without facts has the series of its cgroup all the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

/// The facts of one container. What its source does not know is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the slash in front.
    pub name: Option<String>,
    /// As it was written when the container was made.
    pub image: Option<String>,
    /// Labels as Docker has them, those on the allow list only, each once.
    pub labels: Vec<(String, String)>,
    /// Its first process, as the host counts.
    pub pid: Option<u32>,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// When it was started last.
    pub started: Option<SystemTime>,
    /// Whose network it uses.
    pub network: Option<NetworkMode>,
    /// The names of its networks, in order. Empty where only managers know them.
    pub networks: Vec<String>,
    /// What it is doing.
    pub state: Option<ContainerState>,
    /// What its health check says.
    pub health: Option<Health>,
    /// With which code it ended last. `None` if it never ended, too.
    pub last_exit_code: Option<i32>,
}

/// Whose network a container uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// One of its own, attached to any number of networks.
    Own,
    /// The host's.
    Host,
    /// One of its own, attached to nothing.
    None,
    /// That of another container.
    Shared,
}

/// What a container is doing, as Docker names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It ended, and will be started again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It ended.
    Exited,
    /// It could not be removed as a whole.
    Dead,
}

impl ContainerState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Running,
        Self::Paused,
        Self::Restarting,
        Self::Removing,
        Self::Exited,
        Self::Dead,
    ];

    /// Docker's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// What a health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The container has no health check.
    Unchecked,
    /// Its first checks may still fail.
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Several checks failed.
    Unhealthy,
}

/// Where facts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactsSource {
    /// A Swarmscout on a manager: tasks of the Swarm only.
    Manager,
    /// The Docker Engine of this node: all its containers.
    Engine,
}

/// The facts of all containers of this node at one moment. An unchanged container has the same
/// `Arc` as before; with a new one, its limits are read again.
#[derive(Clone, Debug, Default)]
pub struct FactsSet {
    /// By ID, those that have ended included as long as the source has them.
    pub containers: HashMap<String, Arc<Facts>>,
    /// `None` as long as no source has answered.
    pub source: Option<FactsSource>,
    /// When the source last confirmed them.
    pub as_of: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_as_docker_names_them() {
        for state in ContainerState::ALL {
            assert_eq!(ContainerState::parse(state.as_str()), Some(state));
        }
        assert_eq!(ContainerState::parse("running "), None);
    }
}
