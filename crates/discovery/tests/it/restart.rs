//! A program that is started again while the manager of its Swarm is down.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use swarmscout_discovery::config::{
    BuildContext, DockerSwarmConfig, EngineConfig, Events, OverlayPort, Role,
};
use swarmscout_discovery::manager::JobState;
use swarmscout_discovery::storage::Storage;
use swarmscout_discovery::{JobConfig, Manager, SdConfig};
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

/// A job for each role, refreshed every second.
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

/// The states of all jobs, each as soon as it is like that.
async fn all_when(manager: &Manager, like: fn(&JobState) -> bool) -> Vec<JobState> {
    let jobs = Arc::clone(&manager.jobs().borrow());
    let mut states = Vec::new();
    for job in &*jobs {
        states.push(job.clone().wait_for(like).await.unwrap());
    }
    states
}

fn shown(jobs: &[JobState]) -> Vec<Vec<String>> {
    let of = |job: &JobState| {
        job.set.active().map(|(_, target)| format!("{:?}", target.labels)).collect()
    };
    jobs.iter().map(of).collect()
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
    let found = shown(&all_when(&before, |job| job.set.is_complete()).await);
    assert!(found.iter().all(|targets| !targets.is_empty()));
    before.shutdown().await;

    engine.server.refuse();
    let mut after = manager(&scratch.0);
    after.apply(jobs(&host));
    let down = |job: &JobState| job.set.is_complete() && job.status.sources[0].error.is_some();
    let restored = all_when(&after, down).await;
    assert_eq!(shown(&restored), found);
    for job in &restored {
        let source = &job.status.sources[0];
        assert!(source.restored && source.refreshes > 0);
        let error = source.error.as_deref().unwrap();
        assert!(error.contains("connection refused"), "{error}");
    }

    engine.server.accept().unwrap();
    let back = all_when(&after, |job| !job.status.sources[0].restored).await;
    for (back, restored) in back.iter().zip(&restored) {
        assert!(Arc::ptr_eq(&back.set.groups, &restored.set.groups), "{}", back.set.pool.name());
        let (source, before) = (&back.status.sources[0], &restored.status.sources[0]);
        assert!(source.as_of > before.as_of);
        assert_eq!(source.error, None);
    }

    // A change rebuilds only the groups that it concerns.
    swarm.label_service(&web, "label", "x");
    let labelled = |job: &JobState| {
        let set = &job.set;
        let is = |labels: &swarmscout_model::Labels| labels.iter().any(|(_, value)| value == "x");
        let has = |group: &swarmscout_model::TargetGroup| {
            is(&group.labels) || group.targets.iter().any(is)
        };
        set.groups.iter().any(|group| has(&group.relabelled.group)) || &**set.pool.name() == "nodes"
    };
    let changed = all_when(&after, labelled).await;
    assert!(Arc::ptr_eq(&changed[0].set.groups, &restored[0].set.groups));
    after.shutdown().await;
}
