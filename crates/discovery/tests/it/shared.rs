//! However many jobs read a Swarm, it gets the requests of one of them. And a change that a watch
//! reports does not wait for a listing.

use std::sync::Arc;

use swarmscout_discovery::config::{
    BuildContext, DockerSwarmConfig, EngineConfig, Events, Filter, OverlayPort, Role,
};
use swarmscout_discovery::manager::JobState;
use swarmscout_discovery::{JobConfig, Manager, SdConfig};
use swarmscout_model::relabel::RawRule;
use swarmscout_model::{Labels, NameScheme, PromDuration, TargetSet};
use swarmscout_net::HttpConfig;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
use swarmscout_simulator::swarmkit::ControlSocket;
use swarmscout_simulator::{Fault, Listen};
use swarmscout_swarm::FeedKind;

/// A Swarm with a manager that answers at both of its sockets.
struct Simulated {
    engine: Engine,
    control: ControlSocket,
    swarm: Swarm,
    service: String,
}

impl Simulated {
    fn start(name: &str) -> Self {
        let swarm = Swarm::new(1);
        let manager = swarm.add_manager("manager-1");
        swarm.add_worker("worker-1");
        let network = swarm.create_network("front");
        let service = ServiceSpec::new("web", "demo:1").replicas(3).network(&network);
        let service = swarm.create_service(service);
        swarm.create_service(ServiceSpec::new("agent", "demo:1").global().network(&network));
        let folder = std::env::temp_dir();
        let path = folder.join(format!("shared-{}-{name}.sock", std::process::id()));
        let control = ControlSocket::start(path, &swarm, &manager).unwrap();
        let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
        Self { engine, control, swarm, service }
    }

    /// A source that refreshes once, and then only follows changes.
    fn source(&self, role: Role, filters: &[(&str, &str)], events: Events) -> SdConfig {
        let filters = filters.iter().map(|(name, value)| Filter {
            name: (*name).to_owned(),
            values: vec![(*value).to_owned()],
        });
        SdConfig::DockerSwarm(DockerSwarmConfig {
            engine: EngineConfig {
                hosts: vec![self.engine.server.url().to_owned()],
                port: 80,
                filters: filters.collect(),
                refresh_interval: PromDuration::from_secs(3600),
                http: HttpConfig::default(),
            },
            role,
            match_first_network: false,
            overlay_port: OverlayPort::Published,
            events,
            swarmkit_socket: Some(self.control.path().to_owned()),
        })
    }

    /// Lets these jobs refresh and, where a watch reports it, follow a change. Returns the
    /// requests, in any order.
    async fn asked_for(&self, jobs: Vec<JobConfig>, feed: FeedKind, label: &str) -> Vec<String> {
        self.engine.server.forget_requests();
        self.control.forget_calls();
        let mut manager = Manager::new(BuildContext::new("test"));
        manager.apply(jobs);
        let jobs = Arc::clone(&manager.jobs().borrow());
        let swarms = Arc::clone(&manager.swarms().borrow());
        let [swarm] = &*swarms else { panic!("{swarms:?}") };
        for job in &*jobs {
            let ready = job.clone().wait_for(|job| job.set.is_ready()).await;
            let JobState { set, status } = ready.unwrap();
            assert_eq!(status.sources[0].swarm, Some(Arc::clone(&swarm.feed.borrow().swarm)));
            assert!(set.counts.active > 0, "{}", job.config.name());
        }
        assert_eq!(swarm.feed.borrow().kind, feed);
        if feed == FeedKind::Watch {
            self.swarm.label_service(&self.service, "label", label);
            for job in jobs.iter().filter(|job| !job.config.name().starts_with("nodes")) {
                let mut set = job.set.clone();
                set.wait_for(|set| shows(set, label)).await.unwrap();
            }
        }
        drop(jobs);
        manager.shutdown().await;
        let requests = self.engine.server.requests().into_iter();
        let requests = requests.map(|request| format!("{} {}", request.path, request.query));
        let mut asked: Vec<_> = requests.chain(self.control.calls()).collect();
        asked.sort_unstable();
        asked
    }
}

/// Whether a service has this label, or a task of it.
fn shows(set: &TargetSet, label: &str) -> bool {
    let has = |labels: &Labels| labels.get("__meta_dockerswarm_service_label_label") == Some(label);
    set.groups.iter().any(|group| {
        let group = &group.relabelled.group;
        has(&group.labels) || group.targets.iter().any(has)
    })
}

/// Keeps what has a label of this name, and gives it another one.
fn job(name: &str, source: SdConfig, kept: &str) -> JobConfig {
    let keep = RawRule {
        source_labels: Some(vec![kept.to_owned()]),
        regex: Some(".+".to_owned()),
        action: Some("keep".to_owned()),
        ..RawRule::default()
    };
    let set = RawRule {
        target_label: Some("number".to_owned()),
        replacement: Some(name.to_owned()),
        ..RawRule::default()
    };
    let rules = [keep, set].map(|rule| rule.check(NameScheme::Utf8).unwrap());
    let mut job = JobConfig::new(name, vec![source]);
    job.pool.relabel = Arc::from(rules);
    job
}

/// Jobs that read the Swarm in ten ways ask for what one asks for.
async fn check(name: &str, events: Events, feed: FeedKind) {
    let swarm = Simulated::start(name);
    let tasks = |name: &str, filters: &[(&str, &str)]| {
        job(name, swarm.source(Role::Tasks, filters, events), "__meta_dockerswarm_task_id")
    };
    let services = |name: &str, filters: &[(&str, &str)]| {
        job(name, swarm.source(Role::Services, filters, events), "__meta_dockerswarm_service_id")
    };
    let nodes = |name: &str, filters: &[(&str, &str)]| {
        job(name, swarm.source(Role::Nodes, filters, events), "__meta_dockerswarm_node_id")
    };
    let one = swarm.asked_for(vec![tasks("tasks", &[])], feed, "one").await;
    let ten = vec![
        tasks("tasks", &[]),
        tasks("tasks-2", &[]),
        tasks("tasks-3", &[("desired-state", "running")]),
        tasks("tasks-4", &[("service", "web")]),
        services("services", &[]),
        services("services-2", &[("name", "web")]),
        services("services-3", &[("mode", "replicated")]),
        nodes("nodes", &[]),
        nodes("nodes-2", &[("role", "manager")]),
        nodes("nodes-3", &[("name", "worker-1")]),
    ];
    let asked = swarm.asked_for(ten, feed, "ten").await;
    assert!(one.iter().any(|request| request.contains("/tasks")), "{one:?}");
    assert_eq!(asked, one);
}

#[tokio::test]
async fn ten_jobs_ask_for_what_one_asks_for() {
    check("poll", Events::Poll, FeedKind::Poll).await;
    check("events", Events::Events, FeedKind::Events).await;
}

#[tokio::test]
async fn ten_jobs_watch_once() {
    check("watch", Events::Watch, FeedKind::Watch).await;
}

/// A listing of a large Swarm takes seconds. Here it never ends.
#[tokio::test]
async fn a_change_reported_during_a_listing_is_not_late() {
    let swarm = Simulated::start("late");
    let job = |role, name| JobConfig::new(name, vec![swarm.source(role, &[], Events::Watch)]);
    let mut manager = Manager::new(BuildContext::new("test"));
    manager.apply(vec![job(Role::Services, "services")]);
    let mut services = manager.jobs().borrow()[0].clone();
    let before = services.wait_for(|job| job.set.is_ready()).await.unwrap();
    swarm.engine.server.faults().set_for("/tasks", Fault::HangInBody);
    let asked = swarm.engine.server.request_count();
    // A list that no job needed so far.
    manager.apply(vec![job(Role::Services, "services"), job(Role::Tasks, "tasks")]);
    swarm.engine.server.requested(asked + 1).await;
    swarm.swarm.label_service(&swarm.service, "label", "new");
    let after = services.wait_for(|job| shows(&job.set, "new")).await.unwrap();
    let (before, after) = (&before.status.sources[0], &after.status.sources[0]);
    assert_eq!((after.refreshes, after.failures), (before.refreshes, 0));
    manager.shutdown().await;
}

/// A service on no network: its tasks run, and give no target.
#[tokio::test]
async fn running_tasks_without_an_address_are_named_while_they_run() {
    let simulated = Simulated::start("alone");
    let alone = simulated.swarm.create_service(ServiceSpec::new("alone", "demo:1").replicas(2));
    let job = |name, role| JobConfig::new(name, vec![simulated.source(role, &[], Events::Watch)]);
    let mut manager = Manager::new(BuildContext::new("test"));
    manager.apply(vec![job("nodes", Role::Nodes), job("tasks", Role::Tasks)]);
    let jobs = Arc::clone(&manager.jobs().borrow());
    let (mut nodes, mut tasks) = (jobs[0].clone(), jobs[1].clone());
    let lines = |job: &JobState| -> Option<String> {
        let found = job.status.sources[0].without_address.as_ref()?;
        Some(found.services.iter().map(ToString::to_string).collect())
    };
    let text = "service \"alone\": 2 running tasks have no address that the Swarm knows: they are \
                on no network";
    let found = tasks.wait_for(|job| lines(job).as_deref() == Some(text)).await.unwrap();
    assert_eq!((found.set.counts.active, &found.status.sources[0].error), (5, &None));
    assert!(found.status.sources[0].problems.is_empty());
    simulated.swarm.remove_service(&alone);
    tasks.wait_for(|job| lines(job).as_deref() == Some("")).await.unwrap();
    assert_eq!(lines(&nodes.wait_for(|job| job.set.is_ready()).await.unwrap()), None);
    manager.shutdown().await;
}
