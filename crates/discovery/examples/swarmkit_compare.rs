//! Checks that SwarmKit's control socket and the Engine API of a manager report the same objects.
//!
//! ```text
//! cargo run -p swarmscout-discovery --example swarmkit_compare -- SOCKET ENGINE-URL
//! ```
//!
//! Keeps a set of objects: one listing, and every change that the watch reports. Each line of
//! standard input is a command, and its answer is one line:
//!
//! - `agree SECONDS`: waits until that set, a new listing of the socket, and the lists of the Engine
//!   are the same, object by object. Otherwise prints what differs, and ends with code 1.
//! - `state STATE`: waits until the watch reports a task in this state, and prints it.

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::collections::BTreeMap;
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use swarmscout_discovery::config::EngineConfig;
use swarmscout_docker::engine::{Hosts, List, Network, Node, Query};
use swarmscout_docker::swarmkit::{Change, Connection, ControlSocket, Object, Watch};
use swarmscout_docker::testing::Listing;
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_refresh::RefreshContext;
use tokio::sync::mpsc;
use tokio::time::Instant;

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(socket), Some(engine)) = (arguments.next(), arguments.next()) else {
        return Err("usage: swarmkit_compare SOCKET ENGINE-URL".into());
    };
    let (lines, mut asked) = mpsc::channel(1);
    std::thread::spawn(move || {
        std::io::stdin()
            .lock()
            .lines()
            .map_while(Result::ok)
            .all(|line| lines.blocking_send(line).is_ok())
    });
    let mut pair = Pair::connect(&socket, engine).await?;
    println!("ready: {}", pair.reported.count());
    loop {
        tokio::select! {
            changes = pair.watch.next() => pair.reported.apply(changes?),
            line = asked.recv() => match line {
                None => return Ok(ExitCode::SUCCESS),
                Some(line) => if !pair.answer(&line).await? {
                    return Ok(ExitCode::FAILURE);
                }
            },
        }
    }
}

/// Both ways to one manager.
struct Pair {
    connection: Connection,
    watch: Watch,
    reported: Objects,
    engine: Hosts,
    query: Query,
}

/// Objects by ID, of each kind.
#[derive(Clone, Debug, Default, PartialEq)]
struct Objects(BTreeMap<String, Object>);

impl Pair {
    async fn connect(socket: &str, engine: String) -> Result<Self, Error> {
        let context = RefreshContext::new("swarmkit-compare");
        let mut connection = ControlSocket::new(socket, &context).connect(soon()).await?;
        let watch = connection.watch(soon()).await?;
        let listing = connection.list(soon()).await?;
        let engine = EngineConfig {
            hosts: vec![engine],
            port: 80,
            http: HttpConfig::default(),
            filters: Vec::new(),
            refresh_interval: PromDuration::from_millis(60_000),
        };
        Ok(Self {
            connection,
            watch,
            reported: Objects::listed(listing)?,
            engine: Hosts::new(&engine, &context)?,
            query: Query::new(List::Tasks, &[List::Nodes, List::Services, List::Networks], &[]),
        })
    }

    /// `false` if the answer is no.
    async fn answer(&mut self, line: &str) -> Result<bool, Error> {
        match line.split_once(' ') {
            Some(("agree", seconds)) => {
                let within = Duration::from_secs(seconds.parse()?);
                self.agree(Instant::now() + within).await
            }
            Some(("state", state)) => loop {
                let changes = self.watch.next().await?;
                let task = changes.iter().find_map(|change| match change {
                    Change::Changed(Object::Task(task)) if &*task.state == state => Some(task),
                    _ => None,
                });
                if let Some(task) = task {
                    println!("{state}: {} version {}", task.id, task.version);
                }
                let found = task.is_some();
                self.reported.apply(changes);
                if found {
                    return Ok(true);
                }
            },
            _ => Err(format!("unknown command {line:?}").into()),
        }
    }

    async fn agree(&mut self, deadline: Instant) -> Result<bool, Error> {
        let started = Instant::now();
        loop {
            let engine = self.of_the_engine().await?;
            let listed = Objects::listed(self.connection.list(soon()).await?)?;
            self.catch_up().await?;
            if engine == listed && engine == self.reported {
                println!("agreed after {:?}: {}", started.elapsed(), engine.count());
                return Ok(true);
            }
            if Instant::now() > deadline {
                println!("Engine and listing:\n{}", engine.difference(&listed));
                println!("Engine and watch:\n{}", engine.difference(&self.reported));
                return Ok(false);
            }
        }
    }

    /// Applies changes until none arrives for a moment, then requests what a watch never reports.
    async fn catch_up(&mut self) -> Result<(), Error> {
        while let Ok(changes) =
            tokio::time::timeout(Duration::from_millis(200), self.watch.next()).await
        {
            self.reported.apply(changes?);
        }
        let nodes: Vec<_> = self.reported.nodes().map(|node| Arc::clone(&node.id)).collect();
        for id in nodes {
            if let Some(node) = self.connection.node(&id, soon()).await? {
                let manager = node.manager.clone();
                self.reported.with_manager(&id, manager);
            }
        }
        Ok(())
    }

    async fn of_the_engine(&mut self) -> Result<Objects, Error> {
        let listed = self.engine.list(&self.query).await?;
        let lists = listed.value.lists;
        let listing = Listing {
            nodes: lists.nodes,
            services: lists.services,
            tasks: lists.tasks,
            networks: lists.networks.into_iter().filter(|n| &*n.scope == "swarm").collect(),
            problems: listed.problems,
        };
        Objects::listed(listing)
    }
}

impl Objects {
    fn listed(listing: Listing) -> Result<Self, Error> {
        if !listing.problems.is_empty() {
            return Err(format!("problems: {:?}", listing.problems).into());
        }
        let objects = (listing.nodes.into_iter().map(Object::Node))
            .chain(listing.services.into_iter().map(Object::Service))
            .chain(listing.tasks.into_iter().map(Object::Task))
            .chain(listing.networks.into_iter().map(Object::Network));
        Ok(Self(objects.map(comparable).map(|object| (key(&object), object)).collect()))
    }

    /// Objects that are older than the known ones change nothing.
    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Removed(object) => drop(self.0.remove(&key(&object))),
                Change::Changed(object) => {
                    let known = self.0.get(&key(&object));
                    if known.is_none_or(|known| version(known) <= version(&object)) {
                        let known = known.and_then(|known| match known {
                            Object::Node(node) => node.manager.clone(),
                            _ => None,
                        });
                        let (key, object) = (key(&object), comparable(object));
                        self.0.insert(key.clone(), object);
                        self.with_manager(key.trim_start_matches("node "), known);
                    }
                }
            }
        }
    }

    fn with_manager(
        &mut self,
        id: &str,
        manager: Option<swarmscout_docker::engine::ManagerStatus>,
    ) {
        if let Some(Object::Node(node)) = self.0.get_mut(&format!("node {id}")) {
            *node = Arc::new(Node { manager, ..Node::clone(node) });
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.0.values().filter_map(|object| match object {
            Object::Node(node) => Some(node),
            _ => None,
        })
    }

    fn count(&self) -> String {
        let count = |kind: &str| self.0.keys().filter(|key| key.starts_with(kind)).count();
        format!(
            "{} nodes, {} services, {} tasks, {} networks",
            count("node "),
            count("service "),
            count("task "),
            count("network ")
        )
    }

    fn difference(&self, other: &Self) -> String {
        let mut lines = Vec::new();
        for (key, object) in &self.0 {
            match other.0.get(key) {
                Some(same) if same == object => {}
                differs => lines.push(format!("{key}\n  {object:?}\n  {differs:?}")),
            }
        }
        let more = other.0.keys().filter(|key| !self.0.contains_key(*key));
        lines.extend(more.map(|key| format!("{key}: only there")));
        lines.join("\n")
    }
}

/// The Engine does not report when a network changed.
fn comparable(object: Object) -> Object {
    match object {
        Object::Network(network) => {
            Object::Network(Arc::new(Network { updated: 0, ..Network::clone(&network) }))
        }
        object => object,
    }
}

fn key(object: &Object) -> String {
    match object {
        Object::Node(node) => format!("node {}", node.id),
        Object::Service(service) => format!("service {}", service.id),
        Object::Task(task) => format!("task {}", task.id),
        Object::Network(network) => format!("network {}", network.id),
    }
}

fn version(object: &Object) -> u64 {
    match object {
        Object::Node(node) => node.version,
        Object::Service(service) => service.version,
        Object::Task(task) => task.version,
        Object::Network(_) => 0,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}
