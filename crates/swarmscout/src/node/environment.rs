//! What the node part finds where it was started: the host's file systems, the Docker Engine, its
//! node.

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
use swarmscout_refresh::{Backoff, RefreshContext};
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

/// Asks the Engine of this node what it is, until it answers.
pub(super) async fn ask_engine(mut engine: LocalEngine, known: watch::Sender<NodeIdentity>) {
    let mut backoff = Backoff::default();
    loop {
        if let Ok(info) = engine.info().await {
            known.send_modify(|known| {
                let text = |text: String| Some(text).filter(|text| !text.is_empty());
                known.docker = text(info.engine_version);
                known.node.node_name = text(info.name).or(known.node.node_name.take());
                known.node.node_id = known.node.node_id.take().or(text(info.node));
            });
            return;
        }
        tokio::time::sleep(backoff.failed(LONGEST_PAUSE)).await;
    }
}

/// Which managers to follow, as which node.
pub(super) async fn manager(
    args: &NodeArgs,
    port: u16,
    engine: Option<&EngineConfig>,
    context: &RefreshContext,
) -> anyhow::Result<ClientSettings> {
    let mut node: Vec<_> = node_id(args).map(NodeRef::Id).into_iter().collect();
    if let Some(config) = engine
        && let Ok(mut engine) = LocalEngine::new(config, context)
        && let Ok(info) = engine.info().await
        && !info.node.is_empty()
    {
        node.push(NodeRef::Id(info.node));
    }
    let container = OwnContainer::read().map(|own| own.id().to_owned());
    node.extend(container.filter(|id| is_container_id(id)).map(NodeRef::Container));
    node.extend(Some(hostname()).filter(|name| !name.is_empty()).map(NodeRef::Name));
    let registration = Registration { port, overlay: None };
    let mut settings = ClientSettings::new(args.managers.clone(), node, registration);
    if let Some(file) = &args.manager_http_config {
        settings.http = swarmscout_config::load_http_config(file)?;
    }
    let more = args.container_labels.iter().map(String::as_str);
    settings.labels = AllowedLabels::with(more).map_err(|error| anyhow!("{error}"))?;
    Ok(settings)
}
