//! `engines` of `swarmscout_sd_configs`, over sockets: all of them together are the targets.

use std::time::Duration;

use expect_test::expect;
use swarmscout_discovery::config::{
    BuildContext, EngineConfig, Events, Preset, SwarmscoutConfig, SwarmscoutOptions,
};
use swarmscout_discovery::manager::{Job, JobState};
use swarmscout_discovery::source::swarmscout::PlainEngineConfig;
use swarmscout_discovery::{JobConfig, Manager, SdConfig};
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_simulator::Listen;
use swarmscout_simulator::classic::{Cluster, Master};
use swarmscout_simulator::engine::{Condition, Engine};
use swarmscout_simulator::swarm::{Container, Swarm};

/// Far more than anything here takes.
const GUARD: Duration = Duration::from_secs(30);

/// An Engine in no Swarm.
struct Plain {
    seed: u64,
    machine: Swarm,
    node: String,
    engine: Engine,
}

impl Plain {
    fn start(seed: u64) -> Self {
        let machine = Swarm::new(seed);
        let node = machine.add_manager("pi");
        let engine = Engine::start(Listen::Tcp, &machine, &node).unwrap();
        engine.set_condition(Condition::Standalone);
        Self { seed, machine, node, engine }
    }

    /// A container of the Compose project `shop`.
    fn run(&self, service: &str, number: u8) {
        let labels = [
            ("com.docker.compose.project", "shop"),
            ("com.docker.compose.service", service),
            ("com.docker.compose.container-number", &*number.to_string()),
            ("prometheus.io/port", "8080"),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let container = Container {
            name: format!("shop-{service}-{number}"),
            image: "shop/web:1".to_owned(),
            labels: labels.into_iter().collect(),
            networks: vec![("bridge".to_owned(), format!("172.17.{}.{number}", self.seed))],
            network_mode: "bridge".to_owned(),
            ports: Vec::new(),
            state: "running",
        };
        self.machine.run_container(&self.node, container);
    }
}

fn engine(url: &str) -> EngineConfig {
    EngineConfig {
        hosts: vec![url.to_owned()],
        port: 0,
        filters: Vec::new(),
        refresh_interval: PromDuration::from_millis(50),
        http: HttpConfig::default(),
    }
}

fn options() -> SwarmscoutOptions {
    SwarmscoutOptions { presets: vec![Preset::NodeExporter], ..SwarmscoutOptions::default() }
}

fn plain(url: &str, node: Option<&str>) -> SdConfig {
    let node = node.map(Into::into);
    SdConfig::PlainEngine(PlainEngineConfig { engine: engine(url), node, options: options() })
}

/// Runs a job with these sources.
fn start(sources: Vec<SdConfig>) -> (Manager, Job) {
    let mut context = BuildContext::new("test");
    context.refresh.patience = GUARD;
    let mut manager = Manager::new(context);
    manager.apply(vec![JobConfig::new("swarm", sources)]);
    let job = manager.jobs().borrow()[0].clone();
    (manager, job)
}

async fn until(job: &mut Job, is: impl Fn(&JobState) -> bool) -> JobState {
    tokio::time::timeout(GUARD, job.wait_for(is)).await.unwrap().unwrap()
}

/// `job instance node address` of each target.
fn targets(state: &JobState) -> Vec<String> {
    let groups = state.set.groups.iter();
    let active = groups.flat_map(|group| &group.relabelled.active);
    let mut targets: Vec<_> = active
        .map(|target| {
            let names = ["job", "instance", "node", "__address__"];
            names.map(|name| target.labels.get(name).unwrap_or_default()).join(" ")
        })
        .collect();
    targets.sort();
    targets
}

#[tokio::test]
async fn an_engine_that_is_down_keeps_its_targets_and_the_others_are_fresh() {
    let (first, second) = (Plain::start(1), Plain::start(2));
    // The same project on both.
    first.run("web", 1);
    second.run("web", 1);
    let urls = [&first, &second].map(|plain| plain.engine.server.url().to_owned());
    let sources = vec![plain(&urls[0], Some("pi1")), plain(&urls[1], None)];
    let (manager, mut job) = start(sources);
    let both =
        ["shop_web shop_web.1 pi 172.17.2.1:8080", "shop_web shop_web.1 pi1 172.17.1.1:8080"];
    let state = until(&mut job, |job| job.set.is_complete()).await;
    assert_eq!(targets(&state), both);
    let group = &state.set.groups[0].relabelled.group;
    let labels = group.targets[0].iter().chain(group.labels.iter());
    let labels = labels.filter_map(|(name, value)| {
        let name = name.strip_prefix("__meta_dockerswarm_")?;
        (!name.contains("container")).then(|| format!("{name}={value}"))
    });
    let labels = labels.collect::<Vec<_>>().join("\n") + "\n";
    expect![[r#"
        node_address=127.0.0.1
        node_hostname=pi1
        node_id=pi1
        task_desired_state=running
        task_id=76d4e9db876be1ab279f0e3fcadbdcdc213e365d985ff64f706da8b1c49aa972
        task_slot=1
        task_state=running
        service_id=shop_web
        service_label_com_docker_stack_namespace=shop
        service_name=shop_web
    "#]]
    .assert_eq(&labels);

    second.engine.server.refuse();
    until(&mut job, |job| job.status.sources.iter().any(|one| one.error.is_some())).await;
    first.run("db", 2);
    let state = until(&mut job, |job| targets(job).len() == 3).await;
    assert_eq!(targets(&state), ["shop_db shop_db.2 pi1 172.17.1.2:8080", both[0], both[1]]);

    second.engine.server.accept().unwrap();
    second.machine.remove_container(&second.node, "shop-web-1");
    let state = until(&mut job, |job| targets(job).len() == 2).await;
    assert_eq!(targets(&state), ["shop_db shop_db.2 pi1 172.17.1.2:8080", both[1]]);
    manager.shutdown().await;
}

/// The error of the only source.
async fn error(source: SdConfig) -> String {
    let (manager, mut job) = start(vec![source]);
    let state = until(&mut job, |job| job.status.sources[0].error.is_some()).await;
    assert_eq!(targets(&state), [""; 0]);
    manager.shutdown().await;
    state.status.sources[0].error.as_ref().unwrap().to_string()
}

#[tokio::test]
async fn a_worker_and_a_classic_master_are_refused() {
    let swarm = Swarm::new(1);
    swarm.add_manager("manager-1");
    let worker = swarm.add_worker("worker-1");
    let worker = Engine::start(Listen::Tcp, &swarm, &worker).unwrap();
    let text = error(plain(worker.server.url(), None)).await;
    assert!(text.contains("is a worker of a Swarm: write a manager into hosts"), "{text}");

    let master = Master::start(Listen::Tcp, &Cluster::of(2), (1, 2, 9)).unwrap();
    let text = error(plain(master.server.url(), None)).await;
    assert!(text.contains("swarm_sd_configs"), "{text}");
    // The same in place of a manager.
    let config = SwarmscoutConfig {
        engine: engine(master.server.url()),
        events: Events::Auto,
        swarmkit_socket: None,
        options: options(),
    };
    let text = error(SdConfig::Swarmscout(config)).await;
    assert!(text.contains("swarm_sd_configs"), "{text}");
}
