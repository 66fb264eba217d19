//! Objects of a simulated Swarm, from its Engine to the verdict.

use std::time::{Duration, SystemTime};

use swarmscout_discovery::config::{
    BuildContext, EngineConfig, Events, Scraper, SwarmscoutConfig, SwarmscoutOptions,
};
use swarmscout_discovery::{Manager, SdConfig};
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_simulator::engine::Engine;
use swarmscout_simulator::swarm::{Mode, ServiceSpec, Swarm, TaskState};
use swarmscout_simulator::{Fault, Listen};

use super::*;

/// A Swarm with the network `front`, and `back`, in which the scraper is not.
struct Site {
    swarm: Swarm,
    engine: Engine,
    front: String,
    back: String,
}

impl Site {
    fn new() -> Self {
        let swarm = Swarm::new(1);
        swarm.set_time(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
        let manager = swarm.add_manager("manager-1");
        let front = swarm.create_network("front");
        let back = swarm.create_network("back");
        let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
        Self { swarm, engine, front, back }
    }

    /// A service on `front` with these labels, `p/` for our prefix.
    fn service(&self, name: &str, labels: &str) -> String {
        self.swarm.create_service(spec(name, labels).network(&self.front))
    }

    /// What is known once a job has read the Swarm. It is no longer read then.
    async fn subject(&self) -> Subject {
        let engine = EngineConfig {
            hosts: vec![self.engine.server.url().to_owned()],
            port: 0,
            filters: Vec::new(),
            refresh_interval: PromDuration::from_secs(3600),
            http: HttpConfig::default(),
        };
        let options = SwarmscoutOptions {
            scraper: Scraper::Networks(vec!["front".into()]),
            presets: Vec::new(),
            ..SwarmscoutOptions::default()
        };
        let config =
            SwarmscoutConfig { engine, events: Events::Poll, swarmkit_socket: None, options };
        let mut manager = Manager::new(BuildContext::new("test"));
        manager.apply(vec![JobConfig::new("swarm", vec![SdConfig::Swarmscout(config)])]);
        let mut job = manager.jobs().borrow()[0].clone();
        job.wait_for(|job| job.set.is_complete()).await.unwrap();
        let swarms = manager.swarms().borrow().iter().filter_map(SwarmState::of).collect();
        let subject = Subject { jobs: vec![ObservedJob::of(&job)], swarms, ..Subject::default() };
        manager.shutdown().await;
        subject
    }
}

fn spec(name: &str, labels: &str) -> ServiceSpec {
    let labels = labels.split_whitespace().filter_map(|label| label.split_once('='));
    labels.fold(ServiceSpec::new(name, "demo:1"), |spec, (key, value)| {
        spec.label(&key.replace("p/", "prometheus.io/"), value)
    })
}

async fn verdict_of(subject: &Subject, object: &str) -> String {
    match super::super::explain(subject, object).await {
        Ok(explanation) => explanation.verdict,
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn the_verdict_says_why_and_what_to_do() {
    let site = Site::new();
    site.service("healthy", "p/port=80");
    let worker = site.swarm.add_worker("drained");
    site.swarm.drain_node(&worker);
    let worker = site.swarm.add_worker("down");
    site.swarm.stop_node(&worker);
    site.swarm.add_worker("idle");
    site.service("probed", "p/probe=https://shop.example.com/");
    site.service("both", "p/port=80 p/probe=https://shop.example.com/");
    site.service("inside", "p/port=80 p/class=internal");
    site.service("some", "p/port=80 p/admin.port=81 p/admin.class=internal");
    site.service("off", "p/scrape=false p/port=80");
    site.service("silent", "");
    site.service("wrong", "p/port=http");
    site.service("elsewhere", "p/port=80 p/network=gone");
    site.swarm.create_service(spec("alone", "p/port=80"));
    site.swarm.create_service(spec("apart", "p/port=80").network(&site.back));
    site.swarm.create_service(spec("zero", "p/port=80").replicas(0));
    let job = Mode::ReplicatedJob { max_concurrent: 2, total_completions: 2 };
    site.swarm.create_service(spec("backup", "p/port=80").mode(job));
    // Of what failed, only the Swarm knows.
    let cron = spec("cron", "p/port=80 swarm.cronjob.enable=true");
    let cron = site.swarm.create_service(cron);
    let failed = site.swarm.tasks_of(&cron)[0].meta.id.clone();
    site.swarm.edit_task(&failed, |task| {
        task.desired_state = TaskState::Shutdown;
        task.status.state = TaskState::Failed;
        task.status.err = "task: non-zero exit (3)".to_owned();
        let container = task.status.container_status.as_mut().expect("it ran");
        container.exit_code = 3;
    });
    let never = spec("never", "p/port=80 swarm.cronjob.enable=true").replicas(0);
    site.swarm.create_service(never);
    site.swarm.create_service(spec("fits", "p/port=80").constraint("node.labels.gpu==yes"));
    let global = spec("nowhere", "p/port=80").constraint("node.labels.gpu==yes").global();
    site.swarm.create_service(global);
    let published = spec("forgotten", "p/port=80").network(&site.back).publish_on_host(80, 0);
    let forgotten = site.swarm.create_service(published);
    let task = site.swarm.tasks_of(&forgotten)[0].meta.id.clone();
    site.swarm.edit_task(&task, |task| task.status.port_status.ports.clear());
    // Both publish the port on their node.
    let on_host = |name| spec(name, "p/port=9100").network(&site.swarm.host_network());
    let first = site.swarm.create_service(on_host("first").constraint("node.role==manager"));
    let second = site.swarm.create_service(on_host("second").constraint("node.role==manager"));
    let loser = if first < second { "second" } else { "first" };

    let subject = site.subject().await;
    let objects = [
        "healthy",
        "probed",
        "probed.1",
        "both",
        "inside",
        "some",
        "off",
        "silent",
        "wrong",
        "elsewhere",
        "alone",
        "apart",
        "zero",
        "backup",
        "cron",
        "never",
        "fits",
        "nowhere",
        "forgotten",
        "node/drained",
        "node/down",
        "node/idle",
        "node/manager-1",
    ];
    let mut text = String::new();
    for object in objects {
        text += &verdict_of(&subject, object).await;
        text += "\n";
    }
    expect![[r#"
        1 target of service healthy is listed for scraping (job swarm).
        1 probe of service probed is listed in /sd/swarm?probes=1 for a blackbox exporter, and nothing of it is scraped.
        No job has a target of task probed.1: its labels declare probes only.
        Targets of service both are listed for scraping: 1 in job swarm, 1 probe in /sd/swarm?probes=1.
        1 target of service inside is listed for scraping, but only for a Prometheus that reads /sd/swarm?class=internal.
        Targets of service some are listed for scraping: 1 in job swarm, 1 in /sd/swarm?class=internal.
        No job has a target of service off: the label prometheus.io/scrape switches the service off.
        No job has a target of service silent: no label declares an endpoint: write prometheus.io/port with the port of its metrics under deploy.labels of the service (labels of an image are not visible to a manager).
        No job has a target of service wrong: invalid port: prometheus.io/port="http": write a number from 1 to 65535.
        1 target of service elsewhere is listed for scraping (job swarm), but network of the label not attached: gone is not a network of its tasks, which are on front: another address is taken.
        No job has a target of service alone: task on no network: attach the service to a network of the scraper (docker service update --network-add NETWORK alone).
        1 target of service apart is listed for scraping (job swarm), but cannot be reached: the scraper shares no network with the task; attach the service to a network of the scraper (docker service update --network-add front apart), or the scraper to network back (docker service update --network-add back SCRAPER). With a node part on each node (swarmscout node), reach: node needs no network.
        No job has a target of service zero: it is scaled to 0 (docker service scale zero=1 starts a task).
        No job has a target of service backup: it is a job that has finished (2 tasks are complete), and only a task that runs has targets.
        No job has a target of service cron: its last run failed (1 of 1 task): exit code 3.
        No job has a target of service never: it runs on a schedule, and no task of it runs now.
        No job has a target of service fits: its task does not run: no node satisfies the constraint node.labels.gpu==yes; no suitable node (scheduling constraints not satisfied on 4 nodes).
        No job has a target of service nowhere: no node has a task of it: no node satisfies the constraint node.labels.gpu==yes.
        1 target of service forgotten is listed for scraping (job swarm), but cannot be reached: the managers do not know the published port of the task, and the scraper shares no network with it; published port unknown to the Swarm: managers forget the ports that nodes picked, for example after a loss of the quorum: publish a fixed port, or docker service update --force forgotten.
        No job has a target of node drained: it is drained: the Swarm runs no task on it, so only what runs outside of the Swarm has targets there (docker node update --availability active drained ends that).
        No job has a target of node down: the managers see it as down: what runs there is unknown, and the Swarm starts its tasks on other nodes (start its Docker Engine; if it is gone for good: docker node rm down).
        Targets of node idle are listed for scraping: 1 in job swarm, 1 in /sd/swarm?class=internal, but 1 of those in job swarm cannot be reached: the managers do not know the published port of the task, and the scraper shares no network with it; attach the service to a network of the scraper (docker service update --network-add NETWORK SERVICE), or the scraper to one of the service; if they share one, name it in the label prometheus.io/network. With a node part on each node (swarmscout node), reach: node needs no network.
        Targets of node manager-1 are listed for scraping: 6 in job swarm, 1 in /sd/swarm?class=internal, but 1 of those in job swarm cannot be reached: the scraper shares no network with the task; attach the service to a network of the scraper (docker service update --network-add NETWORK SERVICE), or the scraper to one of the service; if they share one, name it in the label prometheus.io/network. With a node part on each node (swarmscout node), reach: node needs no network.
    "#]].assert_eq(&text);
    let text = verdict_of(&subject, loser).await;
    let expected = format!("No job has a target of service {loser}: address of another target");
    assert!(text.starts_with(&expected), "{text}");
}

#[tokio::test]
async fn failed_tasks_are_asked_for_if_something_is_missing() {
    let site = Site::new();
    let web = site.service("web", "p/port=80");
    let gone = site.swarm.tasks_of(&web)[0].meta.id.clone();
    site.swarm.kill_task(&gone);
    site.service("healthy", "p/port=80");
    let new = site.swarm.tasks_of(&web).iter().find(|task| task.is_live()).unwrap().meta.id.clone();
    site.swarm.edit_task(&new, |task| task.status.state = TaskState::Starting);
    let subject = site.subject().await;

    let explanation = super::super::explain(&subject, "web").await.unwrap();
    expect!["No job has a target of service web: its task does not run: the last task that failed on node manager-1 says: exit code 137; starting (started)."].assert_eq(&explanation.verdict);
    expect![[r#"
        [
            FailedTask {
                id: "v5ju3aoz9r0elyvra09zvwhpf",
                name: "web.1",
                node: "manager-1",
                state: "failed",
                exit_code: 137,
                error: "task: non-zero exit (137)",
                at: "2027-01-15T08:00:00Z",
            },
        ]
    "#]]
    .assert_debug_eq(&explanation.failures);

    // It is gone from the replica.
    expect!["No job has a target of task web.1: it is failed (exit code 137); task/iba54qvqtil1nfnh4g5eje8sn took its place."].assert_eq(&verdict_of(&subject, &format!("task/{gone}")).await);
    expect!["No job has a target of task web.1: it is failed (exit code 137); task/iba54qvqtil1nfnh4g5eje8sn took its place."].assert_eq(&verdict_of(&subject, &gone[..12]).await);

    // What is as it should be needs no request.
    site.engine.server.forget_requests();
    expect!["1 target of service healthy is listed for scraping (job swarm)."]
        .assert_eq(&verdict_of(&subject, "healthy").await);
    assert_eq!(site.engine.server.requests().len(), 0);

    // A proxy may refuse it.
    site.engine.server.faults().set_for("/tasks", Fault::Status(403, "Forbidden".to_owned()));
    let explanation = super::super::explain(&subject, "web").await.unwrap();
    expect!["No job has a target of service web: its task does not run: starting (started)."]
        .assert_eq(&explanation.verdict);
    let url = site.engine.server.url();
    let problems = explanation.problems.join("\n").replace(url, "tcp://engine");
    expect![[r#"
        its task does not run: starting (started)
        its failed tasks are not known: tcp://engine: access to /tasks is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it"#]].assert_eq(&problems);
    let missing = verdict_of(&subject, &format!("task/{gone}")).await;
    assert!(missing.starts_with("no task"), "{missing}");
}

/// Far more than anybody needs to see: the answer stays small.
#[tokio::test]
async fn an_answer_has_a_bounded_size() {
    let site = Site::new();
    let long = "x".repeat(64 << 10);
    let mut big = spec("big", "p/port=80").network(&site.front).replicas(12);
    for number in 0..300 {
        big = big.label(&format!("prometheus.io/label.l{number}"), "value");
    }
    for number in 0..50 {
        big = big.label(&format!("prometheus.io/typo{number}"), &long);
        big = big.label(&format!("other{number}-{}", &long[..2000]), &long);
        big = big.constraint(&format!("node.labels.{number}!={}", &long[..2000]));
        big = big.publish(1000 + number, 10_000 + number);
    }
    site.swarm.create_service(big);
    let mut subject = site.subject().await;
    // Rules that change every label.
    let mut pool = PoolSpec::new("swarm");
    let map = swarmscout_model::relabel::RawRule {
        regex: Some("__meta_dockerswarm_(.*)".to_owned()),
        action: Some("labelmap".to_owned()),
        ..Default::default()
    };
    pool.relabel = vec![map.check(swarmscout_model::NameScheme::Utf8).unwrap(); 10].into();
    let groups = &subject.jobs[0].state.set.groups;
    let groups: Vec<_> = groups.iter().map(|group| Arc::clone(&group.relabelled.group)).collect();
    subject.jobs = (0..4)
        .map(|number| {
            let config = subject.jobs[0].config.clone();
            let pool =
                PoolSpec { relabel: pool.relabel.clone(), ..PoolSpec::new(&*format!("{number}")) };
            let set = Arc::new(set(&pool, &groups));
            let status = Arc::clone(&subject.jobs[0].state.status);
            ObservedJob { config, state: JobState { set, status } }
        })
        .collect();
    for object in ["big", "big.1", "manager-1", "10.0.1.2:80"] {
        let explanation = super::super::explain(&subject, object).await.unwrap();
        let bytes = serde_json::to_vec(&explanation).unwrap().len();
        assert!(bytes < 512 << 10, "{object}: {bytes} bytes");
    }
}
