//! The Swarm of the demo: three managers, three workers, a shop, and an exporter behind every
//! address at which a target is to be found.
//!
//! Nodes and tasks have addresses in 127.0.0.0/8, which belongs to the machine itself on
//! Linux: so the targets are those of a real overlay network in all but the first byte, and answer.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use anyhow::Context as _;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{NodeState, ServiceSpec, Swarm, TaskState};

use super::exporters::{Exporters, with_free_ports};

/// `127.98.0.0/16` in place of the usual `10.0.1.0/24`.
const OVERLAY: [u8; 2] = [127, 98];

/// The first bytes of a network that the scraper is not in.
const OTHER_OVERLAY: [u8; 2] = [127, 96];

/// The label that says at which port a service exposes its metrics, as blogs have it.
const BLOG_LABEL: &str = "prometheus.port";

/// Ours, which no rule of the job `swarm-tasks` reads.
const PORT_LABEL: &str = "prometheus.io/port";

/// A Swarm with everything that answers for it.
#[derive(Debug)]
pub(super) struct SwarmMode {
    pub(super) swarm: Swarm,
    /// The managers' engines, in the order in which discovery tries them.
    managers: Vec<Manager>,
    exporters: Exporters,
    ports: Ports,
    services: BTreeMap<&'static str, String>,
    overlay: String,
}

#[derive(Debug)]
struct Manager {
    node: String,
    engine: Engine,
}

/// Ports that nothing else on this machine uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// Of the Docker engines' own metrics, 9323 if possible.
    pub(super) engines: u16,
    /// Of the services' metrics, 8080 if possible.
    services: u16,
}

impl SwarmMode {
    /// Starts engines, services and exporters.
    pub(super) fn start() -> anyhow::Result<Self> {
        with_free_ports([9323, 8080], |[engines, services]| {
            Self::start_with(Ports { engines, services })
        })
    }

    fn start_with(ports: Ports) -> anyhow::Result<Self> {
        let swarm = Swarm::new(1);
        swarm.set_time(SystemTime::now());
        let overlay = swarm.create_network_with("monitoring", |network| {
            network.subnet = Some(OVERLAY);
        });
        let mut nodes = Vec::new();
        for (i, (name, manager)) in (11_u8..).zip([
            ("manager-1", true),
            ("manager-2", true),
            ("manager-3", true),
            ("worker-1", false),
            ("worker-2", false),
            ("worker-3", false),
        ]) {
            let node = if manager { swarm.add_manager(name) } else { swarm.add_worker(name) };
            let address = Ipv4Addr::new(127, 97, 0, i).to_string();
            swarm.edit_node(&node, |node| {
                if let Some(status) = &mut node.manager_status {
                    status.addr = format!("{address}:2377");
                }
                node.status.addr = address;
            });
            swarm.label_node(&node, "zone", ["a", "b", "c"][usize::from(i % 3)]);
            nodes.push(node);
        }
        let managers = nodes[..3]
            .iter()
            .map(|node| {
                let engine = Engine::start(Listen::Tcp, &swarm, node)?;
                Ok(Manager { node: node.clone(), engine })
            })
            .collect::<io::Result<_>>()
            .context("cannot listen on 127.0.0.1 for the Docker engines of the demo")?;
        let mut demo = Self {
            swarm,
            managers,
            exporters: Exporters::default(),
            ports,
            services: BTreeMap::new(),
            overlay,
        };
        demo.deploy("shop_web", "shop/web:1.0", 3);
        demo.deploy("shop_api", "shop/api:1.0", 2);
        demo.deploy("shop_cart", "shop/cart:1.0", 1);
        // A database has no metrics of its own: its tasks are dropped.
        let database = ServiceSpec::new("shop_db", "postgres:17").network(&demo.overlay);
        demo.create(database.label("com.docker.stack.namespace", "shop"), "shop_db");
        let port = demo.ports.services.to_string();
        let labelled = |name, network: &str| {
            let spec = ServiceSpec::new(name, &format!("{}:1.0", name.replace('_', "/")));
            let spec = spec.network(network).label("com.docker.stack.namespace", "shop");
            spec.label(PORT_LABEL, &port)
        };
        let search = labelled("shop_search", &demo.overlay).replicas(2);
        // No node has this label.
        let report = labelled("shop_report", &demo.overlay).constraint("node.labels.disk==ssd");
        // In a network of its own, where nothing answers to the scraper.
        let back = demo.swarm.create_network_with("shop_back", |network| {
            network.subnet = Some(OTHER_OVERLAY);
        });
        let mail = labelled("shop_mail", &back);
        demo.create(search, "shop_search");
        demo.create(report, "shop_report");
        demo.create(mail, "shop_mail");
        demo.sync()?;
        Ok(demo)
    }

    /// `tcp://127.0.0.1:1234` of each manager.
    pub(super) fn hosts(&self) -> Vec<String> {
        let hosts = self.managers.iter().filter_map(|manager| manager.engine.server.addr());
        hosts.map(|addr| format!("tcp://{addr}")).collect()
    }

    pub(super) fn ports(&self) -> Ports {
        self.ports
    }

    /// Creates a service whose tasks expose metrics.
    pub(super) fn deploy(&mut self, name: &'static str, image: &str, replicas: u64) {
        let spec = ServiceSpec::new(name, image)
            .replicas(replicas)
            .network(&self.overlay)
            .label("com.docker.stack.namespace", "shop")
            .label(BLOG_LABEL, &self.ports.services.to_string());
        self.create(spec, name);
    }

    fn create(&mut self, spec: ServiceSpec, name: &'static str) {
        let spec = spec.constraint("node.role==worker");
        let id = self.swarm.create_service(spec);
        self.services.insert(name, id);
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(id) = self.services.remove(name) {
            self.swarm.remove_service(&id);
        }
    }

    pub(super) fn scale(&self, name: &str, replicas: u64) {
        if let Some(id) = self.services.get(name) {
            self.swarm.scale(id, replicas);
        }
    }

    pub(super) fn update(&self, name: &str, image: &str) {
        if let Some(id) = self.services.get(name) {
            self.swarm.update_service(id, |spec| spec.set_image(image));
        }
    }

    pub(super) fn drain(&self, hostname: &str) {
        if let Some(node) = self.node(hostname) {
            self.swarm.drain_node(&node);
        }
    }

    pub(super) fn activate(&self, hostname: &str) {
        if let Some(node) = self.node(hostname) {
            self.swarm.activate_node(&node);
        }
    }

    /// The machine goes away, and with it the engine that answers.
    pub(super) fn stop_manager(&self, hostname: &str) {
        let Some(node) = self.node(hostname) else { return };
        self.swarm.stop_node(&node);
        for manager in self.managers.iter().filter(|manager| manager.node == node) {
            manager.engine.server.refuse();
        }
    }

    pub(super) fn restore_manager(&self, hostname: &str) -> io::Result<()> {
        let Some(node) = self.node(hostname) else { return Ok(()) };
        self.swarm.restore_node(&node);
        let mut managers = self.managers.iter().filter(|manager| manager.node == node);
        managers.try_for_each(|manager| manager.engine.server.accept())
    }

    fn node(&self, hostname: &str) -> Option<String> {
        let nodes = self.swarm.nodes();
        let node = nodes.into_iter().find(|node| node.description.hostname == hostname);
        node.map(|node| node.meta.id)
    }

    /// What happens now happens at this machine's time.
    pub(super) fn set_time(&self) {
        self.swarm.set_time(SystemTime::now());
    }

    /// Starts and ends exporters, so that there is one where a target is to be found.
    pub(super) fn sync(&mut self) -> anyhow::Result<()> {
        let mut wanted = BTreeMap::new();
        for node in self.swarm.nodes() {
            if node.status.state == NodeState::Ready
                && let Ok(ip) = node.status.addr.parse()
            {
                let addr = SocketAddr::new(ip, self.ports.engines);
                wanted.insert(addr, node.description.hostname);
            }
        }
        for (name, service) in &self.services {
            let tasks = self.swarm.tasks_of(service);
            for task in tasks.iter().filter(|task| task.status.state == TaskState::Running) {
                let attachments = task.networks_attachments.iter();
                let addresses = attachments.flat_map(|attachment| &attachment.addresses);
                let ips = addresses.filter_map(|address| address.split('/').next()?.parse().ok());
                for ip in ips.filter(|ip: &Ipv4Addr| ip.octets().starts_with(&OVERLAY)) {
                    let addr = SocketAddr::from((ip, self.ports.services));
                    wanted.insert(addr, format!("{name}.{}", task.slot));
                }
            }
        }
        for manager in &self.managers {
            manager.engine.server.forget_requests();
        }
        self.exporters.keep(wanted)
    }
}
