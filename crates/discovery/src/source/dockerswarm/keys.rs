//! The keys of a Swarm of swarm mode.

use std::path::PathBuf;

use swarmscout_config_decoder::{Address, Cx, FilePath, HttpKeys, section};
use swarmscout_model::PromDuration;
use swarmscout_swarm::Role;

use super::{DockerSwarmConfig, OverlayPort};
use crate::SdConfig;
use crate::source::SourceKeys;
use crate::source::keys::{FilterKeys, check_events, check_hosts, engine};

section! {
    /// A Swarm of swarm mode.
    pub DockerSwarmSdKeys: "moby.DockerSwarmSDConfig", "dockerswarm_sd_config" {
        /// How `http://` and `https://` hosts are spoken to.
        inline http: HttpKeys = HttpKeys::default();
        /// A manager: `unix://`, `tcp://`, `http://` or `https://`. Exactly one of `host` and `hosts`.
        key host: Address = Address::default();
        /// Several managers of one Swarm: asked in turn until one answers.
        key hosts: Vec<Address> = Vec::new(), ours;
        /// `services`, `tasks` or `nodes`, required.
        key role: String = String::new(), always;
        /// Port of targets without a published one.
        key port: i64 = 80, always;
        /// Which objects of the role are wanted.
        key filters: Vec<FilterKeys> = Vec::new(), always;
        /// How often the manager is asked.
        key refresh_interval: PromDuration = PromDuration::from_secs(60);
        /// Targets on the first network by name only; `ingress` counts as the last.
        key match_first_network: bool = false, ours;
        /// Port of targets on overlay networks: `published`, as in Prometheus, or `target`, the one the container listens on.
        key overlay_port: String = "published".into(), ours;
        /// How changes are learned: `auto`, the best that there is, or only `watch` (SwarmKit's control socket), `events` (the Engine's) or `poll`.
        key events: String = "auto".into(), ours;
        /// SwarmKit's control socket, where it is not `docker/swarm/control.sock` beside a `unix://` host.
        key swarmkit_socket: FilePath = FilePath::default(), ours;
    }
}

impl SourceKeys for DockerSwarmSdKeys {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = self.http.client(cx);
        let at = &self.at;
        let host = (!self.host.0.is_empty()).then_some(&self.host);
        match (host, self.hosts.is_empty()) {
            (None, true) if !at.failed("host") && !at.failed("hosts") => {
                cx.error(at.key("host"), "host missing");
            }
            (Some(_), false) => {
                cx.error(at.key("hosts"), "at most one of host & hosts must be configured");
            }
            _ => {}
        }
        let key = if host.is_some() { "host" } else { "hosts" };
        let addresses = host.map_or(&self.hosts[..], std::slice::from_ref);
        cx.within(key, |cx| check_hosts(addresses, key, &self.http, &http, cx));
        // What is wrong is noted: the role that stands in for it is never used.
        let role = match self.role.as_str() {
            "services" => Role::Services,
            "tasks" => Role::Tasks,
            "nodes" => Role::Nodes,
            _ if at.failed("role") => Role::Nodes,
            "" => {
                cx.error(at.key("role"), "role missing (one of: tasks, services, nodes)");
                Role::Nodes
            }
            role => {
                let text = format!("invalid role {role}, expected tasks, services, or nodes");
                cx.error(at.key("role"), text);
                Role::Nodes
            }
        };
        let overlay_port = match self.overlay_port.as_str() {
            "published" => OverlayPort::Published,
            "target" => OverlayPort::Target,
            other => {
                let text = format!("invalid overlay_port {other}, expected published or target");
                cx.error(at.key("overlay_port"), text);
                OverlayPort::default()
            }
        };
        let events = check_events(&self.events, at, cx);
        let engine =
            engine(self.port, &self.filters, self.refresh_interval, addresses, at, http, cx);
        SdConfig::DockerSwarm(DockerSwarmConfig {
            engine,
            role,
            match_first_network: self.match_first_network,
            overlay_port,
            events,
            swarmkit_socket: (!self.swarmkit_socket.0.is_empty())
                .then(|| PathBuf::from(&self.swarmkit_socket.0)),
        })
    }
}
