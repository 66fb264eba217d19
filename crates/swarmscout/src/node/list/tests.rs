//! Against a simulated Engine.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::SystemTime;

use expect_test::expect;
use serde_json::Value;
use swarmscout_model::{PromDuration, TargetList};
use swarmscout_net::HttpConfig;
use swarmscout_node::facts::Facts;
use swarmscout_publish::list::{Form, ListQuery};
use swarmscout_publish::testing::http_sd;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::{Condition, Engine};
use swarmscout_simulator::swarm::{Container, ServiceSpec, Swarm};
use tokio::task::JoinSet;

use super::answer::Listing;
use super::containers::Reader;
use super::*;

/// The port of the node part by which it is asked.
const OWN: u16 = 9466;

/// All ports at which it listens.
const OWN_PORTS: [u16; 2] = [OWN, 9470];

struct Machine {
    swarm: Swarm,
    node: String,
    engine: Engine,
    facts: watch::Sender<Arc<FactsSet>>,
    reachable: watch::Sender<Arc<Reachable>>,
    publishing: JoinSet<()>,
}

impl Machine {
    fn start(name: &str) -> Self {
        let swarm = Swarm::new(1);
        // Tasks run on the worker.
        swarm.drain_node(&swarm.add_manager("manager"));
        let node = swarm.add_worker("pi");
        let socket = format!("swarmscout-list-{}-{name}", std::process::id());
        let socket: PathBuf = std::env::temp_dir().join(socket);
        let engine = Engine::start(Listen::Unix(socket), &swarm, &node).unwrap();
        let (facts, reachable) = (watch::Sender::default(), watch::Sender::default());
        Self { swarm, node, engine, facts, reachable, publishing: JoinSet::new() }
    }

    /// A container with an endpoint at this port.
    fn run(&self, name: &str, port: &str, network: (&str, &str), ports: &[(u16, u16)]) {
        let labels = [("prometheus.io/port".to_owned(), port.to_owned())];
        self.swarm.run_container(
            &self.node,
            Container {
                name: name.to_owned(),
                image: "shop/web:1".to_owned(),
                labels: labels.into_iter().filter(|(_, port)| !port.is_empty()).collect(),
                networks: vec![(network.0.to_owned(), network.1.to_owned())],
                network_mode: network.0.to_owned(),
                ports: ports.iter().map(|(private, public)| (*private, *public, "tcp")).collect(),
                state: "running",
            },
        );
    }

    fn config(&self) -> EngineConfig {
        EngineConfig {
            hosts: vec![self.engine.server.url().to_owned()],
            port: 80,
            filters: Vec::new(),
            refresh_interval: PromDuration::from_secs(3600),
            http: HttpConfig::default(),
        }
    }

    async fn list(&mut self) -> OwnList {
        let facts = self.facts.subscribe();
        let spec =
            ListSpec { engine: self.config(), facts, ports: OWN_PORTS.into(), has_way: true };
        let context = RefreshContext::new("test");
        let (list, publish) = OwnList::start(spec, &context, self.reachable.clone());
        self.publishing.spawn(publish);
        list.job.clone().wait_for(|job| job.set.is_complete()).await.unwrap();
        list
    }

    /// What events of the Engine would report: these containers run, each in the network behind `@`.
    fn report(&self, containers: &[&str]) {
        let facts = containers.iter().map(|container| {
            let (id, network) = container.split_once('@').unwrap_or((container, "bridge"));
            let facts = Facts {
                id: id.to_owned(),
                pid: Some(7),
                state: Some(ContainerState::Running),
                started: Some(SystemTime::UNIX_EPOCH),
                networks: vec![network.to_owned()],
                ..Facts::default()
            };
            (id.to_owned(), Arc::new(facts))
        });
        let containers: HashMap<_, _> = facts.collect();
        self.facts.send_replace(Arc::new(FactsSet { containers, ..FactsSet::default() }));
    }
}

fn reader(by_reach: bool) -> Reader {
    Reader { scheme: "https", host: "10.0.0.12".to_owned(), port: OWN, by_reach }
}

fn query(form: Form) -> ListQuery {
    ListQuery { list: TargetList::Normal, form, wait: None }
}

fn pieces(list: &OwnList, form: Form, reader: &Reader) -> Vec<Vec<u8>> {
    Listing::new(list.set(), query(form), reader.clone(), OWN_PORTS.into()).collect()
}

fn read(list: &OwnList, form: Form, reader: &Reader) -> Vec<u8> {
    pieces(list, form, reader).concat()
}

/// Address and labels of each target, sorted.
fn targets(list: &[u8]) -> Vec<(String, String)> {
    let list: Value = serde_json::from_slice(list).unwrap();
    let groups = list.as_array().unwrap().iter();
    let mut all: Vec<_> = groups
        .flat_map(|group| {
            let addresses = group["targets"].as_array().unwrap().iter();
            addresses.map(|it| (it.as_str().unwrap().to_owned(), group["labels"].to_string()))
        })
        .collect();
    all.sort();
    all
}

/// A line for each target: address, scheme, path with the container's name in place of its ID.
fn shown(list: &OwnList, reader: &Reader) -> String {
    let all = targets(&read(list, Form::Full, reader));
    let mut lines: Vec<_> = all
        .iter()
        .map(|(address, labels)| {
            let labels: Value = serde_json::from_str(labels).unwrap();
            let label = |name: &str| labels[name].as_str().unwrap_or("-");
            let (instance, scheme) = (label("instance"), label("__scheme__"));
            let path = label("__metrics_path__");
            let path = path.replace(label("__meta_dockerswarm_task_container_id"), "<id>");
            let is_known = ["10.0.0.12:", "172.17."].iter().any(|it| address.starts_with(it));
            let address = if is_known { address } else { "<overlay>" };
            format!("{instance} {address} {scheme} {path}\n")
        })
        .collect();
    lines.sort();
    lines.concat()
}

fn run_all(machine: &Machine) {
    machine.run("web", "8080", ("bridge", "172.17.0.2"), &[]);
    machine.run("db", "5432", ("bridge", "172.17.0.3"), &[(5432, 15432)]);
    machine.run("exporter", "9100", ("host", ""), &[]);
    machine.run("node", "9466", ("host", ""), &[]);
    machine.run("node-too", "9470", ("host", ""), &[]);
    machine.run("quiet", "", ("bridge", "172.17.0.4"), &[]);
}

#[tokio::test]
async fn the_list_is_that_of_the_program_for_this_engine() {
    let mut machine = Machine::start("program");
    machine.engine.set_condition(Condition::Standalone);
    run_all(&machine);
    let own = machine.list().await;
    let mut manager = Manager::new(BuildContext::new("test"));
    let options = SwarmscoutOptions::default();
    let source = PlainEngineConfig { engine: machine.config(), node: None, options };
    manager.apply(vec![JobConfig::new(SUCCESSOR, vec![SdConfig::PlainEngine(source)])]);
    let mut job = manager.jobs().borrow()[0].clone();
    let program = job.wait_for(|job| job.set.is_complete()).await.unwrap().set;
    let here = Reader { scheme: "http", host: "localhost".to_owned(), port: OWN, by_reach: false };
    let list = |form| targets(&read(&own, form, &here));
    assert_eq!(list(Form::Full), targets(&http_sd(&program, false, false)));
    assert_eq!(list(Form::Raw), targets(&http_sd(&program, true, false)));
    let without_meta = list(Form::WithoutMeta);
    assert!(without_meta.len() == 5 && !format!("{without_meta:?}").contains("__meta_"));
}

#[tokio::test]
async fn readers_get_the_way_that_they_have() {
    let mut machine = Machine::start("readers");
    run_all(&machine);
    // A task of the Swarm on this worker.
    let network = machine.swarm.create_network("front");
    let spec = ServiceSpec::new("shop_api", "shop/api:1").network(&network);
    machine.swarm.create_service(spec.container_label("prometheus.io/port", "80"));
    let own = machine.list().await;
    expect![[r#"
        db.pi 10.0.0.12:15432 - -
        exporter.pi 10.0.0.12:9100 - -
        node-too.pi 10.0.0.12:9470 https -
        node.pi 10.0.0.12:9466 https -
        shop_api.1 <overlay> - -
        web.pi 172.17.0.2:8080 - -
    "#]]
    .assert_eq(&shown(&own, &reader(false)));
    expect![[r#"
        db.pi 10.0.0.12:9466 https /reach/<id>/http/5432/metrics
        exporter.pi 10.0.0.12:9466 https /reach/<id>/http/9100/metrics
        node-too.pi 10.0.0.12:9470 https -
        node.pi 10.0.0.12:9466 https -
        shop_api.1 10.0.0.12:9466 https /reach/<id>/http/80/metrics
        web.pi 10.0.0.12:9466 https /reach/<id>/http/8080/metrics
    "#]]
    .assert_eq(&shown(&own, &reader(true)));
    // What reach may fetch is what has such a path.
    let reachable = Arc::clone(&machine.reachable.borrow());
    let allowed = reachable.tasks().flat_map(|task| {
        let target = |target: &swarmscout_reach::ReachTarget| {
            let path = target.paths().next().unwrap();
            format!("/reach/{}/{}/{}{path}", task.id, target.scheme(), target.port())
        };
        task.targets.iter().map(target).collect::<Vec<_>>()
    });
    let mut allowed: Vec<_> = allowed.collect();
    allowed.sort();
    let all = targets(&read(&own, Form::Full, &reader(true)));
    let mut listed: Vec<_> = all
        .iter()
        .filter_map(|(_, labels)| {
            let labels: Value = serde_json::from_str(labels).unwrap();
            let path = labels["__metrics_path__"].as_str()?;
            path.starts_with("/reach/").then(|| path.to_owned())
        })
        .collect();
    listed.sort();
    assert_eq!(allowed, listed);
    let on_host = reachable.tasks().filter(|task| task.host_network).count();
    assert_eq!((listed.len(), on_host), (4, 1));
}

#[tokio::test]
async fn a_change_is_listed_soon_and_a_failed_engine_keeps_the_last_list() {
    let mut machine = Machine::start("changes");
    machine.run("web", "8080", ("bridge", "172.17.0.2"), &[]);
    let own = machine.list().await;
    machine.run("api", "8081", ("bridge", "172.17.0.3"), &[]);
    machine.report(&["a", "b"]);
    let mut job = own.job.clone();
    job.wait_for(|job| job.set.counts.active == 2).await.unwrap();
    machine.run("db", "8082", ("front", "172.18.0.2"), &[]);
    machine.report(&["a", "b@front"]);
    job.wait_for(|job| job.set.counts.active == 3).await.unwrap();
    machine.engine.server.refuse();
    machine.report(&["b"]);
    job.wait_for(|job| job.status.sources[0].error.is_some()).await.unwrap();
    assert_eq!(own.set().counts.active, 3);
    assert_eq!(own.state().map(|(targets, _)| targets), Some(3));
}

#[tokio::test]
async fn a_large_list_is_written_in_pieces() {
    let mut machine = Machine::start("pieces");
    for number in 0..200 {
        machine.run(&format!("web-{number}"), "80", ("bridge", "172.17.0.2"), &[(80, number + 1)]);
    }
    let own = machine.list().await;
    let pieces = pieces(&own, Form::Full, &reader(true));
    // None holds more than one target beyond its size.
    let largest = pieces.iter().map(Vec::len).max().unwrap_or_default();
    assert!(pieces.len() > 2 && largest < (66 << 10), "{} {largest}", pieces.len());
    assert_eq!(targets(&pieces.concat()).len(), 200);
}
