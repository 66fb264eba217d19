//! What the node part finds where it was started: the host's file systems, the Docker Engine, its
//! node.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use swarmscout_discovery::config::OwnContainer;
use swarmscout_docker::EngineConfig;
use swarmscout_docker::engine::LocalEngine;
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_node::host::Identity;
use swarmscout_node::roots::Roots;
use swarmscout_node_tasks::{
    AllowedLabels, ClientSettings, DEFAULT_LABELS, NodeRef, Registration, is_container_id,
};
use swarmscout_refresh::Backoff;
use swarmscout_server::hostname;
use tokio::sync::watch;

use super::metrics::NodeIdentity;
use crate::cli::NodeArgs;

/// The longest pause after an Engine did not answer.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Where `docker` finds its Engine.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The ID of the node, set as `{{.Node.ID}}` for a service.
const NODE_ID: &str = "SWARMSCOUT_NODE_ID";

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

/// The node's ID, if it was given. A service that is not a Swarm's has the template as it stands.
pub(super) fn node_id(args: &NodeArgs) -> Option<String> {
    let given = args.node_id.clone().or_else(|| std::env::var(NODE_ID).ok());
    given.filter(|id| !id.is_empty() && !id.contains("{{"))
}

/// Which node this is, as far as it is known at the start.
pub(super) fn identity(args: &NodeArgs) -> NodeIdentity {
    let node_name = Some(hostname()).filter(|name| !name.is_empty());
    NodeIdentity { node: Identity { node_id: node_id(args), node_name }, docker: None }
}

/// What may name this node in its Swarm without the Engine, the surest first.
pub(super) fn names(args: &NodeArgs) -> Vec<NodeRef> {
    let container = OwnContainer::read().map(|own| own.id().to_owned());
    let container = container.filter(|id| is_container_id(id)).map(NodeRef::Container);
    let host = Some(hostname()).filter(|name| !name.is_empty()).map(NodeRef::Name);
    node_id(args).map(NodeRef::Id).into_iter().chain(container).chain(host).collect()
}

/// Asks the Engine of this node what it is, until it answers. `names` are published with the node's ID
/// in front; without it after a first request that failed, so that managers are asked all the same.
pub(super) async fn ask_engine(
    mut engine: LocalEngine,
    mut names: Vec<NodeRef>,
    known: watch::Sender<NodeIdentity>,
    publish: watch::Sender<Vec<NodeRef>>,
) {
    let mut backoff = Backoff::default();
    loop {
        if let Ok(info) = engine.info().await {
            let text = |text: String| Some(text).filter(|text| !text.is_empty());
            let node = text(info.node);
            if let Some(by_engine) = node.clone().map(NodeRef::Id)
                && !names.contains(&by_engine)
            {
                names.insert(0, by_engine);
            }
            publish.send_replace(names);
            known.send_modify(|known| {
                known.docker = text(info.engine_version);
                known.node.node_name = text(info.name).or(known.node.node_name.take());
                known.node.node_id = known.node.node_id.take().or(node);
            });
            return;
        }
        publish.send_if_modified(|published| {
            let is_first = published.is_empty();
            if is_first {
                published.clone_from(&names);
            }
            is_first
        });
        tokio::time::sleep(backoff.failed(LONGEST_PAUSE)).await;
    }
}

/// Which managers to follow, as which node.
pub(super) fn manager(
    args: &NodeArgs,
    port: u16,
    names: watch::Receiver<Vec<NodeRef>>,
) -> anyhow::Result<ClientSettings> {
    let mut settings = ClientSettings::new(args.managers.clone(), names);
    // Another part of this node listens elsewhere.
    settings.registration = (!args.peers.only).then_some(Registration { port, overlay: None });
    if let Some(file) = &args.manager_http_config {
        settings.http = swarmscout_config::load_http_config(file)?;
    }
    let more = args.container_labels.iter().map(String::as_str);
    settings.labels = AllowedLabels::with(more).map_err(|error| anyhow!("{error}"))?;
    Ok(settings)
}

/// Whether this process is in the network of the host, from where it reaches containers. Also if that
/// cannot be known (`hidepid`): then a fetch says what is wrong.
pub(super) fn is_in_host_network(roots: &Roots) -> bool {
    // The kernel numbers the files of each network once, so that no right is needed to compare them.
    let number = |process: &Path| Some(std::fs::metadata(process.join("net/dev")).ok()?.ino());
    let [own, host] = [Path::new("/proc/self"), &roots.procfs.join("1")].map(number);
    own.is_none() || host.is_none() || own == host
}
