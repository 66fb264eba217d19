//! Why a task waits or failed, as one of a few words.
//!
//! SwarmKit and the Engine report texts. They are classified here, so that a metric has a bounded
//! label, and a text that is not known is [`Reason::Other`].

use std::fmt;

use swarmscout_docker::engine::Task;

/// Why a task does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No node satisfies the constraints of the service.
    Constraints,
    /// No node has enough CPU, memory or generic resources left.
    Resources,
    /// No node has a platform of the image.
    Platform,
    /// No node has a volume, network or log driver that is needed.
    Plugin,
    /// The port in host mode is taken on each node.
    HostPort,
    /// Each node has the most tasks of the service that it may have.
    MaxReplicas,
    /// A cluster volume is not available.
    Volume,
    /// Nodes are down, drained or paused.
    NodesNotAvailable,
    /// No other reason is given.
    NoSuitableNode,
    /// The node no longer satisfies the constraints.
    NodeNoLongerFits,
    /// The image does not exist, or may not be pulled.
    ImageNotFound,
    /// The image cannot be pulled now.
    ImagePull,
    /// A port of the node is taken.
    PortInUse,
    /// A network has no address left, or no subnet is left for a network.
    AddressesUsedUp,
    /// A network does not exist.
    NetworkNotFound,
    /// A folder that is mounted does not exist on the node.
    MountSourceNotFound,
    /// A volume or folder cannot be mounted.
    Mount,
    /// The container cannot be created, or its process not be started: no such command, no
    /// permission, an option that the Engine of the node refuses.
    Start,
    /// A secret or config cannot be used.
    SecretOrConfig,
    /// The health check of the image or service fails.
    Unhealthy,
    /// The process ended with an exit code other than 0.
    ExitCode,
    /// Its node is gone.
    NodeLost,
    /// SwarmKit has not assigned it, and gives no reason.
    NotAssigned,
    /// Its node is preparing it: the image is pulled.
    Preparing,
    /// It waits for the pause between restarts, or for an earlier task to stop.
    RestartPause,
    /// Its process is started, its health check has not succeeded.
    Starting,
    /// A text that is not known.
    Other,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::Constraints,
        Self::Resources,
        Self::Platform,
        Self::Plugin,
        Self::HostPort,
        Self::MaxReplicas,
        Self::Volume,
        Self::NodesNotAvailable,
        Self::NoSuitableNode,
        Self::NodeNoLongerFits,
        Self::ImageNotFound,
        Self::ImagePull,
        Self::PortInUse,
        Self::AddressesUsedUp,
        Self::NetworkNotFound,
        Self::MountSourceNotFound,
        Self::Mount,
        Self::Start,
        Self::SecretOrConfig,
        Self::Unhealthy,
        Self::ExitCode,
        Self::NodeLost,
        Self::NotAssigned,
        Self::Preparing,
        Self::RestartPause,
        Self::Starting,
        Self::Other,
    ];

    /// As it stands in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Constraints => "no suitable node: constraints",
            Self::Resources => "no suitable node: resources",
            Self::Platform => "no suitable node: platform",
            Self::Plugin => "no suitable node: plugin",
            Self::HostPort => "no suitable node: port in use",
            Self::MaxReplicas => "no suitable node: max replicas",
            Self::Volume => "no suitable node: volume",
            Self::NodesNotAvailable => "no suitable node: not available",
            Self::NoSuitableNode => "no suitable node",
            Self::NodeNoLongerFits => "node no longer fits",
            Self::ImageNotFound => "image not found",
            Self::ImagePull => "image pull failed",
            Self::PortInUse => "port in use",
            Self::AddressesUsedUp => "network addresses used up",
            Self::NetworkNotFound => "network not found",
            Self::MountSourceNotFound => "mount source not found",
            Self::Mount => "mount failed",
            Self::Start => "start failed",
            Self::SecretOrConfig => "secret or config not usable",
            Self::Unhealthy => "unhealthy",
            Self::ExitCode => "exit code",
            Self::NodeLost => "node lost",
            Self::NotAssigned => "not assigned",
            Self::Preparing => "preparing",
            Self::RestartPause => "restart pause",
            Self::Starting => "starting",
            Self::Other => "other",
        }
    }

    /// Whether the scheduler said that it finds no node.
    pub const fn is_of_scheduler(self) -> bool {
        matches!(
            self,
            Self::Constraints
                | Self::Resources
                | Self::Platform
                | Self::Plugin
                | Self::HostPort
                | Self::MaxReplicas
                | Self::Volume
                | Self::NodesNotAvailable
                | Self::NoSuitableNode
        )
    }

    /// Why a task does not run; `None` if it runs or ended well.
    pub fn of(task: &Task) -> Option<Self> {
        if matches!(&*task.state, "running" | "complete" | "shutdown" | "remove") {
            return None;
        }
        if &*task.state == "orphaned" {
            return Some(Self::NodeLost);
        }
        let (error, exit_code) = match &task.failure {
            Some(failure) => (&*failure.error, failure.exit_code),
            None => ("", 0),
        };
        Some(match Self::of_error(error) {
            // A container that fails its health check is killed: exit code 137 says less.
            Some(reason) => reason,
            None if exit_code != 0 => Self::ExitCode,
            None if !error.is_empty() => Self::Other,
            None => match &*task.state {
                "new" | "pending" => Self::NotAssigned,
                "assigned" | "accepted" | "preparing" => Self::Preparing,
                "ready" => Self::RestartPause,
                "starting" => Self::Starting,
                _ => Self::Other,
            },
        })
    }

    /// The reason in an error of SwarmKit, or of the Engine of a node.
    fn of_error(error: &str) -> Option<Self> {
        let has = |text: &str| error.contains(text);
        if let Some((_, reasons)) = error.split_once("no suitable node") {
            return Some(Self::of_scheduler(reasons));
        }
        // Files of secrets and configs are mounted from the folder of the container. A text is cut before
        // it says more of them.
        if has("error mounting") && has("/containers/") {
            return Some(Self::SecretOrConfig);
        }
        let known = TEXTS.iter().find(|(text, _)| has(text)).map(|(_, reason)| *reason);
        known.or_else(|| Self::of_registry(error))
    }

    /// What a registry answers, or that it does not. An Engine that keeps images by itself reports the
    /// bare code, one with the image store of containerd the request.
    fn of_registry(error: &str) -> Option<Self> {
        let has = |text: &str| error.contains(text);
        let (code, _) = error.split_once(':').unwrap_or((error, ""));
        let is_request = has("failed to resolve reference")
            || ["Get \"http", "Head \"http"].iter().any(|request| has(request) && has("/v2/"));
        if matches!(code, "denied" | "unauthorized" | "name unknown")
            || (is_request && error.ends_with(": not found"))
        {
            Some(Self::ImageNotFound)
        } else {
            is_request.then_some(Self::ImagePull)
        }
    }

    /// SwarmKit names each filter with the number of nodes that it kept out: ` (insufficient
    /// resources on 2 nodes; 1 node not available for new tasks)`. A node counts for the first filter
    /// that it fails, so the last one kept out the nodes that fit best.
    fn of_scheduler(reasons: &str) -> Self {
        let found = FILTERS.iter().find(|(text, _)| reasons.contains(text));
        found.map_or(Self::NoSuitableNode, |(_, reason)| *reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the scheduler's filters say (moby/swarmkit `manager/scheduler/filter.go`, `Explain`), the last
/// of its pipeline first. Resources and plugins stand apart: they are asked for before constraints,
/// so a node that is full may be the only one which satisfies them.
const FILTERS: &[(&str, Reason)] = &[
    ("insufficient resources", Reason::Resources),
    ("volume", Reason::Volume),
    ("max replicas per node limit exceed", Reason::MaxReplicas),
    ("host-mode port already in use", Reason::HostPort),
    ("unsupported platform", Reason::Platform),
    ("scheduling constraints not satisfied", Reason::Constraints),
    ("missing plugin", Reason::Plugin),
    ("not available for new tasks", Reason::NodesNotAvailable),
];

/// What SwarmKit, the Engine and runc report, with the most specific part of a text first.
const TEXTS: &[(&str, Reason)] = &[
    ("unhealthy container", Reason::Unhealthy),
    ("assigned node no longer meets constraints", Reason::NodeNoLongerFits),
    ("No such image", Reason::ImageNotFound),
    ("manifest unknown", Reason::ImageNotFound),
    ("pull access denied", Reason::ImageNotFound),
    ("repository does not exist", Reason::ImageNotFound),
    ("not found: manifest", Reason::ImageNotFound),
    ("no matching manifest", Reason::ImageNotFound),
    ("error from registry: denied", Reason::ImageNotFound),
    ("error from registry", Reason::ImagePull),
    ("failed to copy", Reason::ImagePull),
    ("received unexpected HTTP status", Reason::ImagePull),
    ("error pulling image", Reason::ImagePull),
    ("failed to pull", Reason::ImagePull),
    ("toomanyrequests", Reason::ImagePull),
    ("port is already allocated", Reason::PortInUse),
    ("address already in use", Reason::PortInUse),
    ("ip addresses may be exhausted", Reason::AddressesUsedUp),
    ("no available IPv4 addresses", Reason::AddressesUsedUp),
    ("no available ip", Reason::AddressesUsedUp),
    ("could not find an available", Reason::AddressesUsedUp),
    ("non-overlapping", Reason::AddressesUsedUp),
    ("source path does not exist", Reason::MountSourceNotFound),
    ("source path not found", Reason::MountSourceNotFound),
    ("network not found", Reason::NetworkNotFound),
    ("No such network", Reason::NetworkNotFound),
    // A volume of a driver, an NFS share, a file where the container has a folder.
    ("error while mounting volume", Reason::Mount),
    ("failed to mount local volume", Reason::Mount),
    ("error mounting", Reason::Mount),
    ("invalid mount config", Reason::Mount),
    ("invalid volume mount", Reason::Mount),
    ("invalid option: ", Reason::Mount),
    ("cannot access path", Reason::Mount),
    // Not the words alone: texts name services, and a service may be called `config`.
    ("from secret store", Reason::SecretOrConfig),
    ("from config store", Reason::SecretOrConfig),
    ("injecting secret", Reason::SecretOrConfig),
    ("injecting config", Reason::SecretOrConfig),
    ("access secret", Reason::SecretOrConfig),
    ("access config", Reason::SecretOrConfig),
    ("starting container failed", Reason::Start),
    ("OCI runtime", Reason::Start),
    ("executable file not found", Reason::Start),
    // What the Engine of the node refuses to create.
    ("Cannot mkdir", Reason::Start),
    ("invalid CapAdd", Reason::Start),
    ("unknown log opt", Reason::Start),
    ("nvalid signal", Reason::Start),
    ("invalid isolation", Reason::Start),
    ("invalid --security-opt", Reason::Start),
    ("ange of CPUs is from", Reason::Start),
    ("is too long (maximum", Reason::Start),
    ("connected to host network", Reason::Start),
    ("non-zero exit", Reason::ExitCode),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use swarmscout_docker::engine::TaskFailure;

    use super::*;

    fn reason(state: &str, error: &str, exit_code: i64) -> Option<&'static str> {
        let failure = Some(Box::new(TaskFailure { error: error.into(), exit_code }));
        let failure = failure.filter(|failure| **failure != TaskFailure::default());
        Reason::of(&Task { state: state.into(), failure, ..Task::default() }).map(Reason::as_str)
    }

    /// The texts without a source beside them were recorded from Docker 20.10.24.
    #[test]
    fn texts_of_engines_are_classified() {
        for (state, error, exit_code, expected) in [
            (
                "pending",
                "no suitable node (scheduling constraints not satisfied on 3 nodes)",
                0,
                "no suitable node: constraints",
            ),
            (
                "pending",
                "no suitable node (4 nodes not available for new tasks; scheduling constraints not satisfied on 2 nodes)",
                0,
                "no suitable node: constraints",
            ),
            (
                "pending",
                "no suitable node (insufficient resources on 1 node; 1 node not available for new tasks)",
                0,
                "no suitable node: resources",
            ),
            (
                "pending",
                "no suitable node (1 node not available for new tasks)",
                0,
                "no suitable node: not available",
            ),
            (
                "pending",
                "no suitable node (max replicas per node limit exceed)",
                0,
                "no suitable node: max replicas",
            ),
            (
                "pending",
                "no suitable node (unsupported platform on 2 nodes)",
                0,
                "no suitable node: platform",
            ),
            (
                "pending",
                "no suitable node (missing plugin on 1 node)",
                0,
                "no suitable node: plugin",
            ),
            (
                "pending",
                "no suitable node (host-mode port already in use on 2 nodes)",
                0,
                "no suitable node: port in use",
            ),
            (
                "pending",
                "no suitable node (scheduling constraints not satisfied on 2 nodes; host-mode port already in use on 1 node)",
                0,
                "no suitable node: port in use",
            ),
            (
                "pending",
                "no suitable node (scheduling constraints not satisfied on 2 nodes; insufficient resources on 1 node)",
                0,
                "no suitable node: resources",
            ),
            ("pending", "no suitable node", 0, "no suitable node"),
            ("rejected", "No such image: no-such-image:9", 0, "image not found"),
            ("failed", "task: non-zero exit (1)", 1, "exit code"),
            (
                "failed",
                "task: non-zero exit (137): dockerexec: unhealthy container",
                137,
                "unhealthy",
            ),
            ("failed", "", 3, "exit code"),
            (
                "rejected",
                "invalid mount config for type \"bind\": bind source path does not exist: /srv/data",
                0,
                "mount source not found",
            ),
            (
                "failed",
                "starting container failed: driver failed programming external connectivity on endpoint x: Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
                0,
                "port in use",
            ),
            (
                "failed",
                "starting container failed: error while mounting volume '/var/lib/docker/volumes/v2/_data': failed to mount local volume: mount :/x:/var/lib/docker/volumes/v2/_data, data: addr=127.0.0.1: no such device",
                128,
                "mount failed",
            ),
            (
                "failed",
                "starting container failed: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting \"/etc/hostname\" to rootfs at \"/www\": mount /etc/hostname:/www (via /proc/self/fd/6), flags: 0x5000: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
                127,
                "mount failed",
            ),
            (
                "failed",
                "starting container failed: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"no-such-command\": executable file not found in $PATH: unknown",
                127,
                "start failed",
            ),
            (
                "failed",
                "starting container failed: unable to find user no-such-user: no matching entries in passwd file",
                128,
                "start failed",
            ),
            ("rejected", "Cannot mkdir: /www/metrics is not a directory", 0, "start failed"),
            ("rejected", "invalid CapAdd: unknown capability: \"CAP_NOPE\"", 0, "start failed"),
            ("rejected", "unknown log opt 'nope' for json-file log driver", 0, "start failed"),
            (
                "failed",
                "starting container failed: endpoint with name config.1.x already exists in network secret",
                128,
                "start failed",
            ),
            (
                "failed",
                // moby/moby daemon/container_operations_unix.go
                "starting container failed: unable to get secret from secret store: secret x not found",
                128,
                "secret or config not usable",
            ),
            (
                "rejected",
                "node is missing network attachments, ip addresses may be exhausted",
                0,
                "network addresses used up",
            ),
            ("rejected", "assigned node no longer meets constraints", 0, "node no longer fits"),
            ("failed", "something that no release has said before", 0, "other"),
            ("pending", "", 0, "not assigned"),
            ("preparing", "", 0, "preparing"),
            ("ready", "", 0, "restart pause"),
            ("starting", "", 0, "starting"),
            ("orphaned", "", 0, "node lost"),
        ] {
            assert_eq!(reason(state, error, exit_code), Some(expected), "{state} {error}");
        }
        assert_eq!(reason("running", "", 0), None);
        assert_eq!(reason("complete", "", 0), None);
    }

    /// Recorded from real Swarms; the reason of each was given by hand, not by the code.
    #[derive(serde::Deserialize)]
    struct Recorded {
        engines: Vec<String>,
        case: String,
        state: String,
        error: String,
        exit_code: i64,
        reason: String,
    }

    #[test]
    fn recorded_texts_of_engines_are_classified() {
        let recorded: Vec<Recorded> =
            serde_json::from_str(include_str!("../tests/reasons.json")).unwrap();
        let wrong = recorded.iter().filter_map(|it| {
            // Texts of tasks are cut when they are read.
            let error: String = it.error.chars().take(300).collect();
            let is = reason(&it.state, &error, it.exit_code).unwrap_or("none");
            let Recorded { engines, case, error, reason, .. } = it;
            (is != reason).then(|| format!("{engines:?} {case}: {is}, not {reason}: {error}"))
        });
        let wrong: Vec<_> = wrong.collect();
        assert!(recorded.len() > 100 && wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn each_reason_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        let known: BTreeSet<_> = Reason::ALL.into_iter().collect();
        let used = FILTERS.iter().chain(TEXTS).map(|(_, reason)| *reason);
        assert!(used.into_iter().all(|reason| known.contains(&reason)));
    }
}
