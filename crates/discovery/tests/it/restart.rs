//! A program that is started again while the manager of its Swarm is down.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use swarmscout_discovery::config::{
    BuildContext, DockerSwarmConfig, EngineConfig, Events, OverlayPort, Role,
};
use swarmscout_discovery::storage::Storage;
use swarmscout_discovery::{JobConfig, Manager, SdConfig, TargetSet};
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_simulator::Listen;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn manager(storage: &Path) -> Manager {
    let mut context = BuildContext::new("test");
    context.storage = Some(Storage::new(storage, &context));
    Manager::new(context)
}

/// A job for each role, looked at every second.
fn jobs(host: &str) -> Vec<JobConfig> {
    let job = |role: Role| {
        let config = DockerSwarmConfig {
            engine: EngineConfig {
                hosts: vec![host.to_owned()],
                port: 80,
                filters: Vec::new(),
                refresh_interval: PromDuration::from_secs(1),
                http: HttpConfig::default(),
            },
            role,
            match_first_network: false,
            overlay_port: OverlayPort::Published,
            events: Events::Poll,
            swarmkit_socket: None,
        };
        JobConfig::new(role.as_str(), vec![SdConfig::DockerSwarm(config)])
    };
    [Role::Nodes, Role::Services, Role::Tasks].map(job).into()
}

/// The sets of all jobs, each as soon as it is like that.
async fn sets_when(manager: &Manager, like: fn(&TargetSet) -> bool) -> Vec<Arc<TargetSet>> {
    let jobs = Arc::clone(&manager.jobs().borrow());
    let mut sets = Vec::new();
    for job in &*jobs {
        let mut set = job.set.clone();
        sets.push(Arc::clone(&*set.wait_for(|set| like(set)).await.unwrap()));
    }
    sets
}

fn shown(sets: &[Arc<TargetSet>]) -> Vec<Vec<String>> {
    let of = |set: &Arc<TargetSet>| {
        set.active().map(|(_, target)| format!("{:?}", target.labels)).collect()
    };
    sets.iter().map(of).collect()
}

#[tokio::test]
async fn every_role_has_its_targets_until_the_manager_is_back() {
    let scratch =
        Scratch(std::env::temp_dir().join(format!("swarmscout-restart-{}", std::process::id())));
    let swarm = Swarm::new(1);
    let node = swarm.add_manager("manager-1");
    swarm.add_worker("worker-1");
    let network = swarm.create_network("front");
    let web = ServiceSpec::new("web", "demo:1").replicas(200).publish(80, 8080).network(&network);
    let web = swarm.create_service(web);
    let engine = Engine::start(Listen::Tcp, &swarm, &node).unwrap();
    let host = engine.server.url().replace("http://", "tcp://");

    let mut before = manager(&scratch.0);
    before.apply(jobs(&host));
    let found = shown(&sets_when(&before, TargetSet::is_complete).await);
    assert!(found.iter().all(|targets| !targets.is_empty()));
    before.shutdown().await;

    engine.server.refuse();
    let mut after = manager(&scratch.0);
    after.apply(jobs(&host));
    let down = |set: &TargetSet| set.is_complete() && set.sources[0].error.is_some();
    let restored = sets_when(&after, down).await;
    assert_eq!(shown(&restored), found);
    for set in &restored {
        assert!(set.sources[0].restored && set.sources[0].looks > 0);
        let error = set.sources[0].error.as_deref().unwrap();
        assert!(error.contains("connection refused"), "{error}");
    }

    engine.server.accept().unwrap();
    let back = sets_when(&after, |set| !set.sources[0].restored).await;
    for (back, restored) in back.iter().zip(&restored) {
        assert!(Arc::ptr_eq(&back.groups, &restored.groups), "{}", back.job.name());
        assert!(back.sources[0].as_of > restored.sources[0].as_of);
        assert_eq!(back.sources[0].error, None);
    }

    // Of a change, no more is made anew than what changed.
    swarm.label_service(&web, "label", "x");
    let labelled = |set: &TargetSet| {
        let is = |labels: &swarmscout_model::Labels| labels.iter().any(|(_, value)| value == "x");
        let has = |group: &swarmscout_model::TargetGroup| {
            is(&group.labels) || group.targets.iter().any(is)
        };
        set.groups.iter().any(|group| has(&group.relabelled.group)) || &**set.job.name() == "nodes"
    };
    let changed = sets_when(&after, labelled).await;
    assert!(Arc::ptr_eq(&changed[0].groups, &restored[0].groups));
    after.shutdown().await;
}
