//! The client of SwarmKit's control socket over real sockets: a simulated manager's, and others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use swarmscout_docker::Error;
use swarmscout_docker::engine::{GenericResource, Hosts, List, Query};
use swarmscout_docker::swarmkit::{Change, Connection, ControlSocket, Method, Object};
use swarmscout_docker::testing::Listing;
use swarmscout_refresh::RefreshContext;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::objects::{Json, Platform};
use swarmscout_simulator::swarm::{ServiceSpec, Swarm, TaskState};
use swarmscout_simulator::swarmkit::{ControlSocket as Simulated, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::time::Instant;

/// A folder of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("swarmkit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A manager and a worker with one service, and the control socket of the manager.
struct Manager {
    folder: Folder,
    swarm: Swarm,
    node: String,
    service: String,
    socket: Simulated,
}

impl Manager {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let swarm = Swarm::new(1);
        let node = swarm.add_manager("manager-1");
        swarm.add_worker("worker-1");
        let network = swarm.create_network("front");
        let service = ServiceSpec::new("web", "demo:1").replicas(3).network(&network);
        let mut service = service.constraint("node.role==manager");
        let task = &mut service.task_template;
        task.placement.max_replicas = 5;
        let (architecture, os) = ("amd64".to_owned(), "linux".to_owned());
        task.placement.platforms.push(Platform { architecture, os });
        task.resources = Json::new(
            r#"{"Reservations":{"NanoCPUs":500000000,"MemoryBytes":1048576,"GenericResources":[{"DiscreteResourceSpec":{"Kind":"gpu","Value":2}}]}}"#,
        );
        task.restart_policy = Some(Json::new(r#"{"Condition":"on-failure"}"#));
        let service = swarm.create_service(service);
        let socket = Simulated::start(folder.socket(), &swarm, &node).unwrap();
        Self { folder, swarm, node, service, socket }
    }

    async fn connect(&self) -> Connection {
        connect(&self.folder.socket(), soon()).await.unwrap()
    }
}

async fn connect(path: &Path, deadline: Instant) -> Result<Connection, Error> {
    ControlSocket::new(path, &RefreshContext::new("test")).connect(deadline).await
}

/// Far more than an answer takes.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A short deadline, for tests that expect no answer.
fn hardly() -> Instant {
    Instant::now() + Duration::from_millis(200)
}

/// The error without the folder, and without how long exactly was waited.
fn anonymous(folder: &Folder, error: &Error) -> String {
    let text = error.to_string().replace(&folder.0.display().to_string(), "…");
    match text.split_once(" within ") {
        Some((before, _)) => format!("{before} within …"),
        None => text,
    }
}

/// Objects by kind and ID. The Engine does not report when a network changed.
fn by_id(listing: Listing) -> BTreeMap<(&'static str, Arc<str>), String> {
    let networks = listing.networks.into_iter().filter(|network| &*network.scope == "swarm");
    let networks = networks.map(|network| {
        let id = Arc::clone(&network.id);
        let mut network = Arc::unwrap_or_clone(network);
        network.updated = 0;
        (("network", id), format!("{network:?}"))
    });
    (listing.nodes.iter().map(|n| (("node", Arc::clone(&n.id)), format!("{n:?}"))))
        .chain(listing.services.iter().map(|s| (("service", Arc::clone(&s.id)), format!("{s:?}"))))
        .chain(listing.tasks.iter().map(|t| (("task", Arc::clone(&t.id)), format!("{t:?}"))))
        .chain(networks)
        .collect()
}

#[tokio::test]
async fn a_listing_is_what_the_engine_lists() {
    let manager = Manager::new("listing");
    manager.swarm.create_plugin_service("plugin");
    let failed = manager.swarm.tasks()[0].meta.id.clone();
    manager.swarm.edit_task(&failed, |task| {
        task.status.state = TaskState::Failed;
        task.status.err = "task: non-zero exit (3)".to_owned();
        if let Some(container) = &mut task.status.container_status {
            container.exit_code = 3;
        }
    });
    let engine = Engine::start(Listen::Tcp, &manager.swarm, &manager.node).unwrap();
    let config = swarmscout_docker::EngineConfig {
        hosts: vec![engine.server.url().to_owned()],
        port: 80,
        filters: Vec::new(),
        refresh_interval: swarmscout_model::PromDuration::from_secs(60),
        http: swarmscout_net::HttpConfig::default(),
    };
    let mut hosts = Hosts::new(&config, &RefreshContext::new("test")).unwrap();
    let query = Query::new(List::Tasks, &[List::Nodes, List::Services, List::Networks], &[]);
    let lists = hosts.list(&query).await.unwrap().value.lists;
    let of_the_engine = Listing {
        nodes: lists.nodes,
        services: lists.services,
        tasks: lists.tasks,
        networks: lists.networks,
        problems: Vec::new(),
    };
    let mut connection = manager.connect().await;
    let listing = connection.list(soon()).await.unwrap();
    assert_eq!(
        (listing.services.len(), listing.tasks.len(), &listing.problems[..]),
        (1, 3, &[][..])
    );
    let service = &listing.services[0];
    assert_eq!((service.replicas, &*service.restart_condition), (3, "on-failure"));
    assert_eq!(
        (&*service.placement.constraints[0], service.placement.max_replicas),
        ("node.role==manager", 5)
    );
    assert_eq!(&*service.placement.platforms[0].architecture, "amd64");
    let reserved = &service.reservations;
    assert_eq!((reserved.nano_cpus, reserved.memory_bytes), (500_000_000, 1_048_576));
    let gpu = GenericResource { kind: "gpu".into(), count: 2 };
    assert_eq!((&service.generic_resources[..], service.networks.len()), (&[gpu][..], 1));
    let failures = listing.tasks.iter().filter_map(|task| task.failure.as_ref());
    let failures: Vec<_> = failures.map(|failure| (&*failure.error, failure.exit_code)).collect();
    assert_eq!(failures, [("task: non-zero exit (3)", 3)]);
    assert!(listing.tasks.iter().all(|task| task.created > 0 && task.state_since > 0));
    assert_eq!(by_id(listing), by_id(of_the_engine));

    assert!(connection.knows_node(&manager.node, soon()).await.unwrap());
    assert!(!connection.knows_node("another", soon()).await.unwrap());
    assert!(!connection.knows_node("", soon()).await.unwrap());
    let node = connection.node(&manager.node, soon()).await.unwrap().unwrap();
    assert!(node.manager.as_ref().is_some_and(|manager| manager.leader));
    let known: Vec<_> = Method::ALL.iter().map(|method| method.path()).collect();
    let calls = manager.socket.calls();
    assert!(calls.iter().all(|call| known.contains(&&**call)), "{calls:?}");
    assert_eq!(calls[0], Method::ListTasks.path());
    assert_eq!(manager.socket.pings(), 0);
}

#[tokio::test]
async fn changes_of_each_kind_are_reported() {
    let manager = Manager::new("changes");
    let mut connection = manager.connect().await;
    let mut watch = connection.watch(soon()).await.unwrap();
    // The watch keeps the connection.
    drop(connection);
    let swarm = &manager.swarm;
    swarm.label_node(&manager.node, "a", "b");
    let network = swarm.create_network("back");
    swarm.remove_network(&network);
    swarm.label_service(&manager.service, "a", "b");
    swarm.create_plugin_service("plugin");
    swarm.remove_service(&manager.service);
    let (mut seen, mut tasks) = (Vec::new(), 0);
    while tasks < 3 {
        for change in watch.next().await.unwrap() {
            let (what, object) = match change {
                Change::Changed(object) => ("changed", object),
                Change::Removed(object) => ("removed", object),
            };
            seen.push(match object {
                Object::Node(node) => {
                    assert!(node.labels.get("a").is_some() && node.manager.is_none());
                    format!("{what} node {}", node.hostname)
                }
                Object::Service(service) => format!("{what} service {}", service.name),
                Object::Network(network) => format!("{what} network {}", network.name),
                Object::Task(task) => {
                    assert_eq!(*task.service, *manager.service);
                    tasks += u32::from(what == "removed");
                    format!("{what} task")
                }
            });
        }
    }
    seen.dedup();
    expect![[r#"
        changed node manager-1
        changed network back
        removed network back
        changed service web
        removed service web
        changed task
        removed task
        changed task
        removed task
        changed task
        removed task"#]]
    .assert_eq(&seen.join("\n"));
    assert_eq!(watch.take_problems(), []);
}

/// How a watch ends, and how lists fail, with these faults.
#[tokio::test]
async fn every_fault_has_its_message() {
    #[track_caller]
    fn check(manager: &Manager, error: &Error, expected: &Expect) {
        expected.assert_eq(&anonymous(&manager.folder, error));
    }
    let manager = Manager::new("faults");
    for (fault, expected) in [
        (
            Fault::End(0, String::new()),
            expect!["unix://…/control.sock: the watch ended: this Engine stops"],
        ),
        (
            Fault::End(1, "context canceled".to_owned()),
            expect!["unix://…/control.sock: this Engine stops, or is not a manager any more"],
        ),
        (
            Fault::End(14, "something else".to_owned()),
            expect![
                "unix://…/control.sock: /docker.swarmkit.v1.Watch/Watch refused: Unavailable: something else"
            ],
        ),
        (
            Fault::Reset,
            expect![
                "request to unix://…/control.sock failed: stream error received: unexpected internal error encountered"
            ],
        ),
    ] {
        let mut watch = manager.connect().await.watch(soon()).await.unwrap();
        manager.socket.faults().set(fault);
        let error = watch.next().await.unwrap_err();
        manager.socket.faults().clear();
        check(&manager, &error, &expected);
    }
    for (fault, expected) in [
        (Fault::HangLists, expect!["no complete answer from unix://…/control.sock within …"]),
        (
            Fault::Refuse(2, "raft: no elected cluster leader".to_owned()),
            expect![
                "unix://…/control.sock: the Swarm has no leader: more than half of its managers must be up"
            ],
        ),
        (
            Fault::Refuse(4, "context deadline exceeded".to_owned()),
            expect![
                "unix://…/control.sock: this manager cannot reach the leader of its Swarm in time"
            ],
        ),
        (
            Fault::Refuse(12, "unknown method".to_owned()),
            expect![
                "unix://…/control.sock: there is no /docker.swarmkit.v1.Control/ListTasks here: this is not a control socket of SwarmKit, or of a much older one"
            ],
        ),
        (
            Fault::Refuse(13, "x".repeat(301)),
            expect![
                "unix://…/control.sock: /docker.swarmkit.v1.Control/ListTasks refused: Internal: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            ],
        ),
    ] {
        let mut connection = manager.connect().await;
        let deadline = if fault == Fault::HangLists { hardly() } else { soon() };
        manager.socket.faults().set(fault);
        let error = connection.list(deadline).await.unwrap_err();
        check(&manager, &error, &expected);
        manager.socket.faults().clear();
    }
}

#[tokio::test]
async fn a_manager_that_goes_is_reported() {
    let manager = Manager::new("gone");
    let mut connection = manager.connect().await;
    let mut watch = connection.watch(soon()).await.unwrap();
    manager.socket.restart().unwrap();
    let error = watch.next().await.unwrap_err();
    let broke_off = |error: &Error| {
        // Closed, or reset: both happen.
        let text = anonymous(&manager.folder, error);
        assert!(text.starts_with("request to unix://…/control.sock failed: "), "{text}");
    };
    broke_off(&error);
    broke_off(&connection.list(soon()).await.unwrap_err());
    // The new socket is at the same path.
    assert_eq!(manager.connect().await.list(soon()).await.unwrap().tasks.len(), 3);
    manager.socket.refuse();
    let error = connect(&manager.folder.socket(), soon()).await.unwrap_err();
    expect!["cannot connect to unix://…/control.sock: connection refused: nothing listens on this socket: the Engine is down, or made a new one when it started: in a container, mount the folder (/var/run/docker/swarm), not the socket"].assert_eq(&anonymous(&manager.folder, &error));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let manager = Manager::new("large");
    let context = RefreshContext { max_answer: 1000, ..RefreshContext::new("test") };
    let socket = ControlSocket::new(manager.folder.socket(), &context);
    let error = socket.connect(soon()).await.unwrap().list(soon()).await.unwrap_err();
    expect!["answer of unix://…/control.sock is larger than 1000 bytes"]
        .assert_eq(&anonymous(&manager.folder, &error));
}

#[tokio::test]
async fn a_socket_of_another_kind_is_reported() {
    async fn check(folder: &Folder, expected: &Expect) {
        let error = connect(&folder.socket(), soon()).await.unwrap_err();
        expected.assert_eq(&anonymous(folder, &error));
    }
    let folder = Folder::new("none");
    check(&folder, &expect![[r#"cannot connect to unix://…/control.sock: no such socket: only the Engine of a manager has it; in a container, mount its folder (volumes: ["/var/run/docker/swarm:/var/run/docker/swarm"]); if it is not at docker/swarm/control.sock beside docker.sock, name it with swarmkit_socket"#]]).await;
    std::fs::create_dir(folder.socket()).unwrap();
    check(&folder, &expect!["cannot connect to unix://…/control.sock: is a folder, not a socket: Docker makes one where a mounted socket did not exist; remove it and start the engine"]).await;
    std::fs::remove_dir(folder.socket()).unwrap();

    let listener = UnixListener::bind(folder.socket()).unwrap();
    let path = folder.socket();
    // The server does not greet back.
    let silent = tokio::join!(listener.accept(), connect(&path, hardly()));
    expect!["no complete answer from unix://…/control.sock within …"]
        .assert_eq(&anonymous(&folder, &silent.1.unwrap_err()));
    let greeted = async |greeting: &[u8]| {
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting).await.unwrap();
            stream.shutdown().await.unwrap();
            // Everything received is read, so that closing does not reset.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let ((), connected) = tokio::join!(answer, connect(&path, soon()));
        anonymous(&folder, &connected.unwrap_err())
    };
    expect!["cannot connect to unix://…/control.sock: received corrupt message of type InvalidContentType: this is not a control socket of SwarmKit, which speaks TLS (it is called control.sock, not docker.sock)"].assert_eq(&greeted(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
    expect!["cannot connect to unix://…/control.sock: the server closed the connection before the answer was complete"].assert_eq(&greeted(b"").await);
    drop(listener);
    check(&folder, &expect!["cannot connect to unix://…/control.sock: connection refused: nothing listens on this socket: the Engine is down, or made a new one when it started: in a container, mount the folder (/var/run/docker/swarm), not the socket"]).await;
}
