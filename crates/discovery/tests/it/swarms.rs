//! What the manager reports about the Swarms that sources read, against simulated ones.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use swarmscout_discovery::config::{
    BuildContext, DockerSwarmConfig, EngineConfig, Events, Filter, OverlayPort, Role,
};
use swarmscout_discovery::{JobConfig, Manager, SdConfig};
use swarmscout_model::PromDuration;
use swarmscout_net::config::HttpConfig;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{ServiceSpec, Swarm as Simulated};
use swarmscout_simulator::swarmkit::ControlSocket;
use swarmscout_swarm::{Feed, FeedKind, Swarm};
use tokio::time::timeout;

/// A manager with its two sockets where dockerd has them.
struct World {
    folder: PathBuf,
    swarm: Simulated,
    engine: Engine,
    control: ControlSocket,
}

impl World {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("swarms-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("docker/swarm")).unwrap();
        let swarm = Simulated::new(1);
        let node = swarm.add_manager("manager-1");
        swarm.create_service(ServiceSpec::new("web", "demo:1").replicas(3));
        let listen = Listen::Unix(folder.join("docker.sock"));
        let engine = Engine::start(listen, &swarm, &node).unwrap();
        let control = folder.join("docker/swarm/control.sock");
        let control = ControlSocket::start(control, &swarm, &node).unwrap();
        Self { folder, swarm, engine, control }
    }

    fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.display())
    }

    fn job(&self, name: &str, config: DockerSwarmConfig) -> JobConfig {
        let engine = EngineConfig { hosts: vec![self.host()], ..config.engine };
        JobConfig::new(name, vec![SdConfig::DockerSwarm(DockerSwarmConfig { engine, ..config })])
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn config(role: Role) -> DockerSwarmConfig {
    let engine = EngineConfig {
        hosts: Vec::new(),
        port: 80,
        filters: Vec::new(),
        refresh_interval: PromDuration::from_secs(3600),
        http: HttpConfig::default(),
    };
    DockerSwarmConfig {
        engine,
        role,
        match_first_network: false,
        overlay_port: OverlayPort::default(),
        events: Events::default(),
        swarmkit_socket: None,
    }
}

/// Tasks that a filter selects.
fn filtered(name: &str, value: &str) -> DockerSwarmConfig {
    let filter = Filter { name: name.to_owned(), values: vec![value.to_owned()] };
    let mut config = config(Role::Tasks);
    config.engine.filters.push(filter);
    config
}

/// The feed, as soon as it is like that.
async fn feed_when(swarm: &Swarm, like: impl FnMut(&Arc<Feed>) -> bool) -> Arc<Feed> {
    let mut feed = swarm.feed.clone();
    timeout(Duration::from_secs(30), feed.wait_for(like)).await.unwrap().unwrap().clone()
}

#[tokio::test]
async fn reports_the_newest_of_a_swarm_that_several_jobs_read() {
    let world = World::new("newest");
    let mut manager = Manager::new(BuildContext::new("test"));
    let jobs = [("a", Role::Tasks), ("b", Role::Nodes)];
    manager.apply(Vec::from(jobs.map(|(name, role)| world.job(name, config(role)))));
    let swarms = manager.swarms().borrow().clone();
    let [swarm] = &*swarms else { panic!("{swarms:?}") };
    let feed = feed_when(swarm, |feed| feed.kind == FeedKind::Watch).await;
    assert_eq!((&*feed.swarm, &feed.reason, feed.starts), (&*world.host(), &None, 1));
    assert_eq!(feed.objects[0], 1);
    // The job of nodes is not woken for it.
    world.swarm.set_time(SystemTime::now());
    world.swarm.create_service(ServiceSpec::new("db", "demo:1"));
    let feed = feed_when(swarm, |feed| feed.objects[1..3] == [2, 4]).await;
    assert!(feed.changes >= 2 && feed.late.is_some(), "{feed:?}");
    assert!(swarm.status().unwrap().as_of.is_some());

    // The feed in use is known although refreshes fail now.
    world.engine.server.refuse();
    world.control.refuse();
    let feed = feed_when(swarm, |feed| feed.kind == FeedKind::Poll).await;
    assert!(
        feed.reason.as_ref().unwrap().ends_with("the server closed the connection"),
        "{feed:?}"
    );

    manager.apply(Vec::new());
    manager.shutdown().await;
    assert!(swarm.status().is_none());
}

#[tokio::test]
async fn state_metrics_read_a_swarm_whole_that_sources_read_by_filters_of_the_engine() {
    let world = World::new("whole");
    let context = BuildContext { state_metrics: true, ..BuildContext::new("test") };
    let mut manager = Manager::new(context);
    // Only the Engine knows which tasks these are.
    manager.apply(vec![world.job("a", filtered("_up-to-date", "false"))]);
    let swarms = manager.swarms().borrow().clone();
    let whole: Vec<_> = swarms.iter().filter(|swarm| swarm.is_whole).collect();
    let [whole] = whole[..] else { panic!("{swarms:?}") };
    assert_eq!(&*whole.feed.borrow().swarm, &*world.host());
    let mut known = whole.known.clone();
    let known = timeout(Duration::from_secs(30), known.wait_for(|known| known.value.is_some()));
    let snapshot = known.await.unwrap().unwrap().value.clone().unwrap();
    assert_eq!((snapshot.nodes.len(), snapshot.tasks.len()), (1, 3));

    manager.apply(Vec::new());
    manager.shutdown().await;
    assert!(whole.status().is_none());
}

#[tokio::test]
async fn swarms_that_are_read_in_different_ways_are_distinguished() {
    let world = World::new("apart");
    let mut manager = Manager::new(BuildContext::new("test"));
    manager.apply(vec![
        world.job("a", config(Role::Tasks)),
        world.job("b", filtered("desired-state", "running")),
        world.job("c", filtered("_up-to-date", "true")),
        world.job("d", DockerSwarmConfig { events: Events::Events, ..config(Role::Nodes) }),
        world.job(
            "e",
            DockerSwarmConfig { swarmkit_socket: Some("/x".into()), ..config(Role::Nodes) },
        ),
    ]);
    let swarms = manager.swarms().borrow().clone();
    let names = swarms.iter().map(|swarm| swarm.feed.borrow().swarm.replace(&world.host(), "…"));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "…",
            r#"… events poll role tasks filters {"_up-to-date":{"true":true}}"#,
            "… events events",
            "… swarmkit_socket /x",
        ]
    );
}
