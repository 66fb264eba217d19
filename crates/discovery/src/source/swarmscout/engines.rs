//! Containers of a plain engine (Compose), as if they were tasks of services: then the same code
//! makes targets of them.
//!
//! Each engine is a source of its own: one that does not answer keeps its last targets, and takes
//! no other with it.

use std::sync::Arc;

use swarmscout_docker::EngineConfig;
use swarmscout_docker::engine::{
    Attachment, Container, Hosts, Info, LabelMap, List, Lists, Mode, Network, Node, Port, Query,
    STACK_LABEL, Service, Task,
};
use swarmscout_model::PromDuration;
use swarmscout_net::Host;
use swarmscout_swarm::Snapshot;
use tokio::sync::watch;

use super::config::{CopiedLabel, SwarmscoutOptions};
use super::finder::EndpointFinder;
use super::presets::PRESET_LABEL;
use crate::config::BuildContext;
use crate::source::moby::ById;
use crate::source::replica::SnapshotFinder as _;
use crate::source::{SourceConfig, is_socket};
use crate::storage::Identity;
use crate::{BoxDiscoverer, BoxFuture, Discoverer, Error, Groups, RefreshScope, Refreshed};

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const ONEOFF: &str = "com.docker.compose.oneoff";
/// Containers of Swarm's tasks have them: the managers know them.
const TASK: &str = "com.docker.swarm.task.id";
const TASK_NAME: &str = "com.docker.swarm.task.name";
const TASK_SERVICE: &str = "com.docker.swarm.service.name";

/// One of `engines` of `swarmscout_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainEngineConfig {
    /// The engine, and how to query it.
    pub engine: EngineConfig,
    /// The name of its node. `None`: as the engine calls itself.
    pub node: Option<Arc<str>>,
    /// Which targets are made of its containers.
    pub options: SwarmscoutOptions,
}

impl SourceConfig for PlainEngineConfig {
    fn mechanism(&self) -> &'static str {
        "swarmscout"
    }

    fn describe(&self) -> String {
        format!("engine {}{}", self.engine.describe(), self.options.describe())
    }

    fn refresh_interval(&self) -> Option<PromDuration> {
        Some(self.engine.refresh_interval)
    }

    fn engine(&self) -> Option<&EngineConfig> {
        Some(&self.engine)
    }

    fn identity(&self) -> Option<Identity> {
        let mut identity = Identity::new("swarmscout engine");
        identity.add(self.node.as_deref().unwrap_or_default());
        self.options.identify(&mut identity);
        identity.engine(&self.engine);
        Some(identity)
    }

    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error> {
        Ok(Box::new(PlainEngine::new(self, context)?))
    }
}

impl PlainEngineConfig {
    /// The same for the part on a node that has no manager: all containers of its Engine, those of the
    /// Swarm's tasks too. Each refresh publishes the containers there, as tasks.
    pub fn build_for_node(
        &self,
        context: &BuildContext,
        containers: watch::Sender<Snapshot>,
    ) -> Result<BoxDiscoverer, Error> {
        let engine = PlainEngine::new(self, context)?;
        Ok(Box::new(PlainEngine { for_node: Some(containers), ..engine }))
    }
}

#[derive(Debug)]
struct PlainEngine {
    hosts: Hosts,
    query: Query,
    finder: EndpointFinder,
    copied_labels: Arc<[CopiedLabel]>,
    node: Option<Arc<str>>,
    display_name: String,
    /// Where its published ports are.
    address: Arc<str>,
    /// See [`PlainEngineConfig::build_for_node`].
    for_node: Option<watch::Sender<Snapshot>>,
}

impl PlainEngine {
    fn new(config: &PlainEngineConfig, context: &BuildContext) -> Result<Self, Error> {
        let surroundings = watch::channel(Arc::default()).1;
        let finder = EndpointFinder::new(&config.options, surroundings, context).of_engine();
        let is_remote = !config.engine.hosts.iter().any(|host| is_socket(host));
        let address = config.engine.hosts.first().filter(|_| is_remote);
        let address = address.and_then(|host| Some(Arc::from(Host::parse(host).ok()?.hostname())));
        Ok(Self {
            hosts: Hosts::new(&config.engine, &context.refresh)?,
            query: Query::new(List::Containers, &[List::Networks], &[]).with_info(),
            finder: if is_remote { finder.of_remote_engine() } else { finder },
            copied_labels: Arc::clone(&context.copied_labels),
            node: config.node.clone(),
            display_name: config.engine.describe(),
            address: address.unwrap_or_else(|| "localhost".into()),
            for_node: None,
        })
    }
}

/// Refuses an engine whose containers others know better.
fn check(host: &str, info: &Info) -> Result<(), Error> {
    if info.is_classic_master {
        let text = format!("{host} is a master of a classic Swarm: write swarm_sd_configs");
        return Err(Error::Other(text));
    }
    if info.state == "active" && !info.manager {
        let managers = info.managers.join(", ");
        let text = format!(
            "{host} is a worker of a Swarm: write a manager into hosts instead ({managers})"
        );
        return Err(Error::Other(text));
    }
    Ok(())
}

impl Discoverer for PlainEngine {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(async {
            let listed = self.hosts.list(&self.query).await?;
            let info = listed.value.info.as_deref();
            if let Some(info) = info.filter(|_| self.for_node.is_none()) {
                check(&self.display_name, info)?;
            }
            let name = info.map(|info| info.name.as_str()).filter(|name| !name.is_empty());
            let node = self.node.as_deref().or(name).unwrap_or(&self.address);
            let with_tasks = self.for_node.is_some();
            let (lists, copied) = (&listed.value.lists, &self.copied_labels);
            let snapshot = snapshot(lists, node, &self.address, copied, with_tasks);
            if let Some(containers) = &self.for_node {
                containers.send_replace(snapshot.clone());
            }
            let (groups, mut problems) = self.finder.find(&snapshot, None)?;
            problems.extend(listed.problems);
            Ok(Refreshed { value: groups, as_of: listed.as_of, problems })
        })
    }
}

/// What a container is of, as if it were a task of a service.
struct Place<'a> {
    service: Arc<str>,
    stack: &'a str,
    /// 0: it has none.
    slot: i64,
}

impl<'a> Place<'a> {
    fn of(container: &'a Container) -> Self {
        let label = |key| container.labels.get(key).unwrap_or_default();
        let service = label(TASK_SERVICE);
        if !label(TASK).is_empty() && !service.is_empty() {
            // `shop_web.2.<task>`, of a global service `agent.<node>.<task>`.
            let place = label(TASK_NAME).strip_prefix(service).unwrap_or_default();
            let slot = place.trim_start_matches('.').split('.').next().unwrap_or_default();
            let slot = slot.parse().unwrap_or_default();
            return Self { service: service.into(), stack: label(STACK_LABEL), slot };
        }
        let (stack, service) = (label(PROJECT), label(SERVICE));
        let service = if stack.is_empty() || service.is_empty() {
            let name = container.name.as_deref().unwrap_or(&container.id);
            name.trim_start_matches('/').into()
        } else {
            format!("{stack}_{service}").into()
        };
        Self { service, stack, slot: label(NUMBER).parse().unwrap_or_default() }
    }
}

/// The containers as tasks of services on one node.
fn snapshot(
    lists: &Lists,
    node: &str,
    address: &Arc<str>,
    copied_labels: &[CopiedLabel],
    with_tasks: bool,
) -> Snapshot {
    let node: Arc<str> = node.into();
    let by_id: ById<&Container> =
        lists.containers.iter().map(|container| (container.id.clone(), &**container)).collect();
    let mut found = Lists {
        nodes: vec![Arc::new(Node {
            id: Arc::clone(&node),
            hostname: Arc::clone(&node),
            address: Arc::clone(address),
            ..Node::default()
        })],
        networks: lists.networks.clone(),
        ..Lists::default()
    };
    for container in &lists.containers {
        let label = |key| container.labels.get(key).unwrap_or_default();
        let is_of_managers = !label(TASK).is_empty() && !with_tasks;
        if is_of_managers || label(ONEOFF).eq_ignore_ascii_case("true") {
            continue;
        }
        let Place { service: name, stack, slot } = Place::of(container);
        let ports: Vec<_> = ports(container).collect();
        // What a service has in a Swarm: the rest are labels of the container.
        let labels = [(STACK_LABEL, stack), (PRESET_LABEL, label(PRESET_LABEL))];
        let copied = copied_labels.iter().map(|copied| (&*copied.key, label(&copied.key)));
        let labels = labels.into_iter().chain(copied).filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        found.services.push(Arc::new(Service {
            id: Arc::clone(&name),
            name: Arc::clone(&name),
            labels: Arc::new(LabelMap::new(labels)),
            mode: Mode::Unknown,
            image: Arc::clone(&container.image),
            ports: ports.iter().filter(|port| port.published != 0).cloned().collect(),
            ..Service::default()
        }));
        found.tasks.push(Arc::new(Task {
            id: Arc::clone(&container.id),
            service: name,
            node: Arc::clone(&node),
            slot,
            labels: Arc::clone(&container.labels),
            desired_state: "running".into(),
            state: "running".into(),
            container: Arc::clone(&container.id),
            host_ports: ports,
            attachments: attachments(container, &by_id, &lists.networks),
            ..Task::default()
        }));
    }
    Snapshot::from(&found)
}

fn ports(container: &Container) -> impl Iterator<Item = Port> {
    container.ports.iter().map(|port| Port {
        protocol: Arc::clone(&port.protocol),
        target: port.private.into(),
        // No other machine reaches a port of the loopback interface.
        published: if port.ip.is_some_and(|ip| ip.is_loopback()) { 0 } else { port.public.into() },
        mode: "host".into(),
        ..Port::default()
    })
}

/// The networks of a container, or of the one whose network it uses.
fn attachments(
    container: &Container,
    by_id: &ById<&Container>,
    networks: &[Arc<Network>],
) -> Vec<Attachment> {
    let mut owner = container;
    // Two containers may use each other's network.
    for _ in 0..by_id.len() {
        let Some(id) = owner.network_mode.strip_prefix("container:") else { break };
        let Some(next) = by_id.get(id) else { break };
        owner = next;
    }
    let attachment = |(name, endpoint): &(Arc<str>, Option<_>)| {
        let endpoint: &swarmscout_docker::engine::Endpoint = endpoint.as_ref()?;
        let known = networks.iter().find(|network| network.id == endpoint.network);
        Some(Attachment {
            network: Arc::clone(&endpoint.network),
            name: Arc::clone(name),
            driver: match &**name {
                "host" => "host",
                "none" => "null",
                _ => "",
            }
            .into(),
            ingress: known.is_some_and(|network| network.ingress),
            addresses: endpoint.address.into_iter().collect(),
        })
    };
    owner.networks.iter().filter_map(attachment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarmscout_docker::engine::{ContainerPort, Endpoint};

    fn container(id: &str, labels: &str, networks: &[(&str, &str)]) -> Container {
        let pairs = labels.split_whitespace().map(|pair| {
            let (key, value) = pair.split_once('=').unwrap();
            (key.replace("c/", "com.docker.compose."), value.to_owned())
        });
        let network = |(name, address): &(&str, &str)| {
            let address = address.parse().ok();
            let network = format!("id-{name}").into();
            (Arc::from(*name), Some(Endpoint { network, address }))
        };
        Container {
            id: id.into(),
            name: Some(format!("/{id}").into()),
            labels: Arc::new(LabelMap::new(pairs.collect())),
            networks: networks.iter().map(network).collect(),
            ..Container::default()
        }
    }

    /// `instance address` of each target; services without targets are left out.
    #[track_caller]
    fn check_targets(containers: Vec<Container>, is_remote: bool, expected: &[&str]) {
        let containers = containers.into_iter().map(Arc::new).collect();
        let lists = Lists { containers, ..Lists::default() };
        let team = CopiedLabel { key: "com.example.team".into(), name: "team".into() };
        let context = BuildContext { copied_labels: [team].into(), ..BuildContext::new("test") };
        let snapshot = snapshot(&lists, "pi1", &"192.0.2.1".into(), &context.copied_labels, false);
        let surroundings = watch::channel(Arc::default()).1;
        let options = SwarmscoutOptions::default();
        let finder = EndpointFinder::new(&options, surroundings, &context).of_engine();
        let mut finder = if is_remote { finder.of_remote_engine() } else { finder };
        let (groups, _) = finder.find(&snapshot, None).unwrap();
        let shown = groups.iter().flat_map(|group| {
            group.targets.iter().map(|target| {
                let label = |name| target.get(name).unwrap_or_default().to_owned();
                let unreachable = label("__meta_swarmscout_unreachable");
                let mark = if unreachable.is_empty() { "" } else { " unreachable" };
                let of_group = |name| group.labels.get(name).unwrap_or_default();
                let (job, team) = (of_group("job"), of_group("team"));
                let mark = if team.is_empty() { mark.to_owned() } else { format!(" {team}{mark}") };
                format!("{job} {} {}{mark}", label("instance"), label("__address__"))
            })
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn containers_of_compose_are_slots_of_services() {
        let web = "prometheus.io/port=80 c/project=shop c/service=web com.example.team=front";
        let one = container("a", &format!("{web} c/container-number=1"), &[("shop", "10.0.0.2")]);
        let two = container("b", &format!("{web} c/container-number=2"), &[("shop", "10.0.0.3")]);
        let run = container("c", &format!("{web} c/oneoff=True"), &[("shop", "10.0.0.4")]);
        let task = "prometheus.io/port=80 com.docker.swarm.task.id=x";
        let task = container("d", task, &[("net", "10.0.0.5")]);
        let alone = container("alone", "prometheus.io/port=80", &[("bridge", "10.0.0.6")]);
        let expected = [
            "alone alone.pi1 10.0.0.6:80",
            "shop_web shop_web.1 10.0.0.2:80 front",
            "shop_web shop_web.2 10.0.0.3:80 front",
        ];
        check_targets(vec![two, run, task, one, alone], false, &expected);
    }

    #[test]
    fn tasks_of_a_swarm_are_called_as_the_swarm_calls_them() {
        let of = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(key, value)| {
                let key = key.replace("s/", "com.docker.swarm.");
                (key.replace("c/", "com.docker.compose."), (*value).to_owned())
            });
            let labels = Arc::new(LabelMap::new(labels.collect()));
            let container = Container { labels, ..container("id", "", &[]) };
            let Place { service, stack, slot } = Place::of(&container);
            format!("{service} {stack} {slot}")
        };
        let stack = (STACK_LABEL, "shop");
        let service = ("s/service.name", "shop_web");
        let (task, name) = (("s/task.id", "t1"), ("s/task.name", "shop_web.2.t1"));
        for (labels, expected) in [
            (&[task, service, name, stack][..], "shop_web shop 2"),
            (&[task, service, ("s/task.name", "shop_web.n1.t1")], "shop_web  0"),
            (&[task, service, ("s/task.name", "other.2.t1")], "shop_web  0"),
            (&[task, service], "shop_web  0"),
            // Without a task of the Swarm, anybody may have written these labels.
            (&[service, name], "id  0"),
            (&[("c/project", "p"), ("c/service", "s"), ("c/container-number", "3")], "p_s p 3"),
            (&[], "id  0"),
        ] {
            assert_eq!(of(labels), expected, "{labels:?}");
        }
    }

    /// Nothing is attached to an overlay network without a Swarm.
    #[test]
    fn a_container_without_an_address_is_to_publish_its_port() {
        let labelled = |id, networks: &[_]| container(id, "prometheus.io/port=80", networks);
        let containers = [
            labelled("0123456789abcdef", &[]),
            labelled("b", &[("lan", "")]),
            labelled("c", &[("none", "")]),
        ];
        let containers = containers.into_iter().map(Arc::new).collect();
        let lists = Lists { containers, ..Lists::default() };
        let snapshot = snapshot(&lists, "pi1", &"192.0.2.1".into(), &[], false);
        let context = BuildContext::new("test");
        let surroundings = watch::channel(Arc::default()).1;
        let options = SwarmscoutOptions::default();
        let mut finder = EndpointFinder::new(&options, surroundings, &context).of_engine();
        let (_, problems) = finder.find(&snapshot, None).unwrap();
        let mut details: Vec<_> = problems.iter().map(|problem| &*problem.detail).collect();
        details.sort_unstable();
        let expected = [
            "it runs without a network (--network none, network_mode: none), so it has no address: start it \
             in a network",
            "publish its port (ports: in its Compose file), or attach it to a network of the scraper \
             (docker network connect NETWORK 0123456789ab)",
            "the Engine reports no address of it on lan: publish its port (ports: in its Compose file)",
        ];
        assert_eq!(details, expected);
    }

    #[test]
    fn a_remote_engine_is_reached_by_published_ports_alone() {
        let labelled = |id| container(id, "prometheus.io/port=80", &[("bridge", "10.0.0.2")]);
        let port = |public, ip: &str| ContainerPort {
            private: 80,
            public,
            ip: ip.parse().ok(),
            protocol: "tcp".into(),
        };
        let published = Container { ports: vec![port(8080, "0.0.0.0")], ..labelled("a") };
        let local = Container { ports: vec![port(8081, "127.0.0.1")], ..labelled("b") };
        let host = container("c", "prometheus.io/port=80", &[("host", "")]);
        let expected =
            ["a a.pi1 192.0.2.1:8080", "b b.pi1 10.0.0.2:80 unreachable", "c c.pi1 192.0.2.1:80"];
        check_targets(vec![published, local, host], true, &expected);
    }

    #[test]
    fn engines_that_others_know_better_are_refused() {
        let worker = Info {
            state: "active".to_owned(),
            managers: vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()],
            ..Info::default()
        };
        let manager = Info { manager: true, ..worker.clone() };
        let master = Info { is_classic_master: true, ..Info::default() };
        let refused =
            |info: &Info| check("tcp://pi1:2375", info).err().map(|error| error.to_string());
        assert_eq!(refused(&Info::default()), None);
        assert_eq!(refused(&manager), None);
        let text = "tcp://pi1:2375 is a worker of a Swarm: write a manager into hosts instead \
                    (192.0.2.1, 192.0.2.2)";
        assert_eq!(refused(&worker).as_deref(), Some(text));
        let text = "tcp://pi1:2375 is a master of a classic Swarm: write swarm_sd_configs";
        assert_eq!(refused(&master).as_deref(), Some(text));
    }

    #[test]
    fn presets_and_shared_networks_count() {
        let image = "prom/node-exporter:v1".into();
        let exporter = Container { image, ..container("e", "", &[("host", "")]) };
        let mut sidecar = container("s", "prometheus.io/port=81", &[]);
        sidecar.network_mode = "container:m".into();
        let main = container("m", "", &[("net", "10.0.0.9")]);
        let expected = ["e pi1 192.0.2.1:9100", "s s.pi1 10.0.0.9:81"];
        check_targets(vec![exporter, sidecar, main], false, &expected);
    }
}
