use std::sync::Arc;

use expect_test::{Expect, expect};
use futures_util::FutureExt as _;
use swarmscout_discovery::manager::JobState;
use swarmscout_discovery::{JobConfig, JobStatus};
use swarmscout_docker::engine::{Attachment, Lists, Mode, Node, Service, Task, TaskFailure};
use swarmscout_model::PoolSpec;
use swarmscout_publish::testing::{group, replace, rule, set};
use swarmscout_swarm::{Feed, Snapshot};

mod whole;

use super::*;
use crate::doctor::{ObservedJob, SHARE_A_NETWORK, SwarmState};

/// Explains an object of a Swarm that nothing is asked of.
fn explain(subject: &Subject, object: &str) -> Result<Explanation, NotFound> {
    super::explain(subject, object).now_or_never().expect("it waits for nothing")
}

/// A Swarm with the service `shop_web`, two tasks of it on `pi1`, and the service `idle`.
fn swarm() -> SwarmState {
    let service = |id: &str, name: &str| {
        let replicas = if name == "idle" { 0 } else { 2 };
        let (id, name, mode) = (id.into(), name.into(), Mode::Replicated);
        Arc::new(Service { id, name, mode, replicas, ..Service::default() })
    };
    let task = |number: u8| {
        let attachment = Attachment {
            name: "shop_net".into(),
            addresses: vec![[10, 0, 1, number].into()],
            ..Attachment::default()
        };
        Arc::new(Task {
            id: format!("task{number}").into(),
            service: "service1".into(),
            slot: number.into(),
            node: "node1".into(),
            state: "running".into(),
            desired_state: "running".into(),
            attachments: vec![attachment],
            ..Task::default()
        })
    };
    let node = Node {
        id: "node1".into(),
        hostname: "pi1".into(),
        state: "ready".into(),
        ..Node::default()
    };
    let lists = Lists {
        nodes: vec![Arc::new(node)],
        services: vec![service("service1", "shop_web"), service("service2", "idle")],
        tasks: vec![task(1), task(2)],
        ..Lists::default()
    };
    SwarmState {
        feed: Arc::new(Feed::new("unix:///d.sock".into())),
        snapshot: Some(Arc::new(Snapshot::from(&lists))),
        as_of: None,
        tasks: None,
    }
}

fn subject(pool: &PoolSpec) -> Subject {
    let of = |number: u8| {
        format!(
            "10.0.1.{number}:80 __meta_dockerswarm_task_id=task{number} \
             __meta_dockerswarm_node_id=node1"
        )
    };
    let targets = [of(1), of(2)];
    let targets = [&*targets[0], &*targets[1]];
    let group = group("s", "__meta_dockerswarm_service_id=service1", &targets);
    let state =
        JobState { set: Arc::new(set(pool, &[group])), status: Arc::new(JobStatus::default()) };
    let job = ObservedJob { config: Arc::new(JobConfig::new("swarm", Vec::new())), state };
    Subject { jobs: vec![job], swarms: vec![swarm()], ..Subject::default() }
}

fn check(subject: &Subject, object: &str, expected: &Expect) {
    let text = match explain(subject, object) {
        Ok(explanation) => serde_json::to_string_pretty(&explanation).unwrap(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&text);
}

fn verdict(rules: Vec<swarmscout_model::relabel::RelabelRule>, object: &str) -> String {
    let pool = PoolSpec { relabel: rules.into(), ..PoolSpec::new("swarm") };
    explain(&subject(&pool), object).unwrap().verdict
}

#[test]
fn a_task_is_explained_from_the_swarm_to_its_labels() {
    let rules = vec![replace("__address__", "(.*):80", "__address__", "$1:8080")];
    let pool = PoolSpec { relabel: rules.into(), ..PoolSpec::new("swarm") };
    check(
        &subject(&pool),
        "task/task2",
        &expect![[r#"
            {
              "object": {
                "kind": "task",
                "id": "task2",
                "name": "shop_web.2"
              },
              "swarm": "unix:///d.sock",
              "facts": [
                {
                  "name": "state",
                  "value": "running, wanted running"
                },
                {
                  "name": "node",
                  "value": "pi1"
                },
                {
                  "name": "network shop_net",
                  "value": "10.0.1.2"
                }
              ],
              "problems": [],
              "failures": [],
              "moreFailures": 0,
              "settings": [],
              "jobs": [
                {
                  "job": "swarm",
                  "path": "/sd/swarm",
                  "counts": {
                    "active": 1
                  },
                  "unreachable": 0,
                  "targets": [
                    {
                      "fate": "active",
                      "url": "http://10.0.1.2:8080/metrics",
                      "reason": "",
                      "discovered": {
                        "__address__": "10.0.1.2:80",
                        "__always_scrape_classic_histograms__": "false",
                        "__convert_classic_histograms_to_nhcb__": "false",
                        "__meta_dockerswarm_node_id": "node1",
                        "__meta_dockerswarm_service_id": "service1",
                        "__meta_dockerswarm_task_id": "task2",
                        "__metrics_path__": "/metrics",
                        "__scheme__": "http",
                        "__scrape_interval__": "1m",
                        "__scrape_native_histograms__": "false",
                        "__scrape_timeout__": "10s",
                        "job": "swarm"
                      },
                      "moreDiscovered": 0,
                      "steps": [
                        "relabel_configs[0] replace: __address__ = \"10.0.1.2:8080\""
                      ],
                      "labels": {
                        "instance": "10.0.1.2:8080",
                        "job": "swarm"
                      },
                      "moreLabels": 0
                    }
                  ]
                }
              ],
              "verdict": "1 target of task shop_web.2 is listed for scraping (job swarm)."
            }"#]],
    );
}

#[test]
fn the_verdict_is_one_sentence() {
    for (object, expected) in [
        ("shop_web", expect!["2 targets of service shop_web are listed for scraping (job swarm)."]),
        ("shop_web.2", expect!["1 target of task shop_web.2 is listed for scraping (job swarm)."]),
        (
            "service/service1",
            expect!["2 targets of service shop_web are listed for scraping (job swarm)."],
        ),
        ("pi1", expect!["2 targets of node pi1 are listed for scraping (job swarm)."]),
        ("10.0.1.2", expect!["1 target of address 10.0.1.2 is listed for scraping (job swarm)."]),
        (
            "10.0.1.2:80",
            expect!["1 target of address 10.0.1.2:80 is listed for scraping (job swarm)."],
        ),
        (
            "10.0.9.9:80",
            expect!["No job has a target of address 10.0.9.9:80: no job discovers it."],
        ),
        (
            "http://10.0.1.2:80/metrics",
            expect!["1 target of address 10.0.1.2:80 is listed for scraping (job swarm)."],
        ),
        (
            "shop_web.2/admin",
            expect!["1 target of task shop_web.2 is listed for scraping (job swarm)."],
        ),
        (
            "idle",
            expect![
                "No job has a target of service idle: it is scaled to 0 (docker service scale idle=1 starts a task)."
            ],
        ),
    ] {
        expected.assert_eq(&verdict(Vec::new(), object));
    }
    let drop = vec![rule("drop", "__address__", "10.*")];
    expect![[r#"None of the 2 targets of service shop_web in job swarm is scraped: relabel_configs[0]: drop (__address__ =~ "10.*")."#]].assert_eq(&verdict(drop, "shop_web"));
}

#[test]
fn a_name_that_is_not_there_gets_advice() {
    let subject = subject(&PoolSpec::new("swarm"));
    for (object, expected) in [
        (
            "web",
            expect![[
                r#"no service, node or task "web" in unix:///d.sock; is it service/shop_web?"#
            ]],
        ),
        (
            "service/nothing",
            expect![[
                r#"no service "nothing" in unix:///d.sock; write service/NAME, task/ID, node/NAME or an address"#
            ]],
        ),
        (
            "service/",
            expect![[
                r#"no service "" in unix:///d.sock; write service/NAME, task/ID, node/NAME or an address"#
            ]],
        ),
        (
            "address/",
            expect![[
                r#"no address "" in unix:///d.sock; write service/NAME, task/ID, node/NAME or an address"#
            ]],
        ),
        (
            "task/web",
            expect![[
                r#"no task "web" in unix:///d.sock; write service/NAME, task/ID, node/NAME or an address"#
            ]],
        ),
        (
            "service",
            expect![[r#""service" means several objects: service/service1, service/service2"#]],
        ),
    ] {
        expected.assert_eq(&explain(&subject, object).unwrap_err().to_string());
    }
}

#[test]
fn some_unreachable_targets_are_not_all() {
    let of = |number: u8, unreachable: &str| {
        format!(
            "10.0.1.{number}:80 __meta_dockerswarm_node_id=node1 \
             __meta_dockerswarm_node_role=worker{unreachable}"
        )
    };
    let unreachable = format!(" {}=blocked", swarmscout_model::target_list::UNREACHABLE);
    for (numbers, expected) in [
        (
            1..=1,
            expect![
                "12 targets of node pi1 are listed for scraping (job swarm), but 1 of them cannot be reached: blocked"
            ],
        ),
        (
            1..=12,
            expect![
                "12 targets of node pi1 are listed for scraping (job swarm), but cannot be reached: blocked"
            ],
        ),
    ] {
        let targets = (0..12)
            .rev()
            .map(|n| of(n, if numbers.contains(&(n + 1)) { &unreachable } else { "" }));
        let targets: Vec<_> = targets.collect();
        let targets: Vec<_> = targets.iter().map(|target| &**target).collect();
        let group = group("s", "", &targets);
        let mut subject = subject(&PoolSpec::new("swarm"));
        subject.jobs[0].state.set = Arc::new(set(&PoolSpec::new("swarm"), &[group]));
        let verdict = explain(&subject, "pi1").unwrap().verdict;
        let fix = format!("; {SHARE_A_NETWORK}.");
        expected.assert_eq(verdict.strip_suffix(&fix).expect("it has a fix"));
    }
}

/// A Swarm of these services and tasks, on the nodes `pi1`, which is ready, and `pi2`, which is down.
fn of_lists(services: Vec<Service>, tasks: Vec<Task>) -> Subject {
    let node = |id: &str, hostname: &str, state: &str| {
        let (id, hostname, state) = (id.into(), hostname.into(), state.into());
        Arc::new(Node { id, hostname, state, ..Node::default() })
    };
    let lists = Lists {
        nodes: vec![node("node1", "pi1", "ready"), node("node2", "pi2", "down")],
        services: services.into_iter().map(Arc::new).collect(),
        tasks: tasks.into_iter().map(Arc::new).collect(),
        ..Lists::default()
    };
    let swarm = SwarmState { snapshot: Some(Arc::new(Snapshot::from(&lists))), ..swarm() };
    Subject { swarms: vec![swarm], ..Subject::default() }
}

fn shown(subject: &Subject, object: &str) -> String {
    let Explanation { facts, problems, verdict, .. } = explain(subject, object).unwrap();
    let facts = facts.into_iter().map(|fact| format!("{}: {}\n", fact.name, fact.value));
    let problems = problems.into_iter().map(|problem| format!("problem: {problem}\n"));
    facts.chain(problems).chain([verdict]).collect()
}

/// Docker goes on to report it as running.
#[test]
fn what_is_on_a_node_that_is_down_does_not_run_for_sure() {
    let service = Service {
        id: "service1".into(),
        name: "agent".into(),
        mode: Mode::Replicated,
        replicas: 2,
        ..Service::default()
    };
    let task = |slot: i64, node: &str| Task {
        id: format!("task{slot}").into(),
        service: "service1".into(),
        slot,
        node: node.into(),
        state: "running".into(),
        desired_state: "running".into(),
        ..Task::default()
    };
    let subject = of_lists(vec![service], vec![task(1, "node1"), task(2, "node2")]);
    expect![[r#"
        state: down
        platform: /
        tasks: unknown: 1 ran when it was last seen
        problem: the managers see it as down: what runs there is unknown, and the Swarm starts its tasks on other nodes (start its Docker Engine; if it is gone for good: docker node rm pi2)
        No job has a target of node pi2: the managers see it as down: what runs there is unknown, and the Swarm starts its tasks on other nodes (start its Docker Engine; if it is gone for good: docker node rm pi2)."#]].assert_eq(&shown(&subject, "node/pi2"));
    expect![[r#"
        state: ready
        platform: /
        tasks: 1 running
        No job has a target of node pi1: no job discovers it."#]]
    .assert_eq(&shown(&subject, "node/pi1"));
    expect![[r#"
        state: running, wanted running
        node: pi2
        problem: its node pi2 is down for the managers: whether it runs is unknown
        No job has a target of task agent.2: its node pi2 is down for the managers: whether it runs is unknown."#]].assert_eq(&shown(&subject, "agent.2"));
    expect![[r#"
        mode: replicated
        tasks: 1 running of 2 wanted
        problem: only 1 of its 2 tasks runs: the managers do not reach pi2: what runs there is unknown
        No job has a target of service agent: only 1 of its 2 tasks runs: the managers do not reach pi2: what runs there is unknown."#]].assert_eq(&shown(&subject, "service/agent"));
}

#[test]
fn a_job_whose_run_failed_has_not_finished() {
    let job = |id: &str, max_concurrent| Service {
        id: id.into(),
        name: id.into(),
        mode: Mode::ReplicatedJob,
        replicas: 2,
        max_concurrent,
        ..Service::default()
    };
    let task = |slot: i64, service: &str, state: &str, desired_state: &str| Task {
        id: format!("{service}{slot}").into(),
        service: service.into(),
        slot,
        node: "node1".into(),
        state: state.into(),
        desired_state: desired_state.into(),
        failure: (state == "failed")
            .then(|| Box::new(TaskFailure { exit_code: 3, ..TaskFailure::default() })),
        ..Task::default()
    };
    let tasks = vec![
        task(1, "broken", "complete", "complete"),
        task(2, "broken", "failed", "shutdown"),
        task(1, "half", "complete", "complete"),
        task(2, "half", "starting", "complete"),
        task(1, "done", "complete", "complete"),
        task(2, "done", "complete", "complete"),
    ];
    let subject = of_lists(vec![job("broken", 0), job("half", 1), job("done", 2)], tasks);
    expect![[r#"
        mode: replicated job
        tasks: 0 running of 1 wanted, 1 completed, 1 failed
        problem: its last run failed (1 of 2 tasks): exit code 3
        No job has a target of service broken: its last run failed (1 of 2 tasks): exit code 3."#]]
    .assert_eq(&shown(&subject, "broken"));
    expect![[r#"
        mode: replicated job
        tasks: 0 running of 1 wanted, 1 completed
        problem: no task of this job runs: starting
        No job has a target of service half: no task of this job runs: starting."#]]
    .assert_eq(&shown(&subject, "half"));
    expect![[r#"
        mode: replicated job
        tasks: 0 running of 0 wanted, 2 completed
        problem: it is a job that has finished (2 tasks are complete), and only a task that runs has targets
        No job has a target of service done: it is a job that has finished (2 tasks are complete), and only a task that runs has targets."#]].assert_eq(&shown(&subject, "service/done"));
}

#[test]
fn a_service_whose_failed_tasks_are_not_known_gets_advice() {
    let service = Service {
        id: "service1".into(),
        name: "crash".into(),
        mode: Mode::Replicated,
        replicas: 1,
        ..Service::default()
    };
    let lists = Lists { services: vec![Arc::new(service)], ..Lists::default() };
    let swarm = SwarmState { snapshot: Some(Arc::new(Snapshot::from(&lists))), ..swarm() };
    let subject = Subject { swarms: vec![swarm], ..Subject::default() };
    expect![
        "No job has a target of service crash: its task does not run: no node is ready and active."
    ]
    .assert_eq(&explain(&subject, "crash").unwrap().verdict);
}
