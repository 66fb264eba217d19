//! What the node part finds where it was started: the host's file systems, the Docker Engine, its
//! node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use swarmscout_docker::EngineConfig;
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_node::roots::Roots;

use crate::cli::NodeArgs;

/// Where `docker` finds its Engine.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Labels of containers that become labels of their series: those that dashboards and rules use.
const DEFAULT_LABELS: [&str; 8] = [
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.stack.namespace",
    "com.docker.swarm.node.id",
    "com.docker.swarm.service.id",
    "com.docker.swarm.service.name",
    "com.docker.swarm.task.id",
    "com.docker.swarm.task.name",
];

/// Where the host's file systems are: as the flags say, else below `/host` if something is mounted
/// there, else those of this process.
pub(super) fn roots(args: &NodeArgs) -> Roots {
    let find = |given: &Option<PathBuf>, bind: &str, own: PathBuf| match given {
        Some(path) => path.clone(),
        None if Path::new(bind).is_dir() => PathBuf::from(bind),
        None => own,
    };
    let Roots { procfs, sysfs, rootfs } = Roots::default();
    Roots {
        procfs: find(&args.procfs, "/host/proc", procfs),
        sysfs: find(&args.sysfs, "/host/sys", sysfs),
        rootfs: find(&args.rootfs, "/host/root", rootfs),
    }
}

/// The Engine to ask, if any: the one that was given, else the default socket if it is there.
pub(super) fn engine(args: &NodeArgs) -> Option<EngineConfig> {
    let host = match &args.docker_host {
        Some(host) if host.is_empty() => return None,
        Some(host) => host.clone(),
        None if Path::new(DEFAULT_SOCKET).exists() => format!("unix://{DEFAULT_SOCKET}"),
        None => return None,
    };
    Some(EngineConfig {
        hosts: vec![host],
        port: 80,
        filters: Vec::new(),
        refresh_interval: PromDuration::from_secs(60),
        http: HttpConfig::default(),
    })
}

/// The labels of containers that become labels of their series: those of Swarm and Compose, and
/// what the flag adds.
pub(super) fn labels(args: &NodeArgs) -> Arc<[String]> {
    let own = DEFAULT_LABELS.iter().map(|name| (*name).to_owned());
    let more = args.container_labels.iter().filter(|name| !DEFAULT_LABELS.contains(&&***name));
    own.chain(more.cloned()).collect()
}

/// The name of this machine; empty where it is not known.
pub(super) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
