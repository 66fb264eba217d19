use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use swarmscout_discovery::manager::JobState;
use swarmscout_discovery::{JobConfig, JobStatus};
use swarmscout_docker::engine::{Lists, ManagerStatus, Mode, Node, Service, Task, TaskFailure};
use swarmscout_model::relabel::RelabelRule;
use swarmscout_model::target_list::UNREACHABLE;
use swarmscout_model::{DurationHistogram, PoolSpec, TargetGroup};
use swarmscout_publish::testing::{group, rule, set};
use swarmscout_swarm::{Feed, FeedKind, ListScope, Snapshot};

use super::*;
use crate::doctor::{ObservedJob, PUBLISH_A_PORT, SHARE_A_NETWORK};

/// A node of `manager/reachable/ready` or `worker//down`; the first manager leads.
fn node(number: usize, text: &str) -> Arc<Node> {
    let [role, reachability, state] = [0, 1, 2].map(|place| text.split('/').nth(place).unwrap());
    let manager = (role == "manager").then(|| ManagerStatus {
        leader: number == 0,
        reachability: reachability.into(),
        ..ManagerStatus::default()
    });
    Arc::new(Node {
        id: format!("id{number}").into(),
        hostname: format!("pi{number}").into(),
        state: state.into(),
        manager,
        ..Node::default()
    })
}

fn service(name: &str, replicas: u64, restart: &str) -> Arc<Service> {
    Arc::new(Service {
        id: name.into(),
        name: format!("shop_{name}").into(),
        mode: Mode::Replicated,
        replicas,
        restart_condition: restart.into(),
        ..Service::default()
    })
}

fn task(number: usize, service: &str, state: &str) -> Arc<Task> {
    Arc::new(Task {
        id: format!("{service}{number}").into(),
        service: service.into(),
        slot: i64::try_from(number).unwrap(),
        node: "id0".into(),
        state: state.into(),
        desired_state: "running".into(),
        ..Task::default()
    })
}

/// A Swarm that was confirmed two seconds before `now`.
fn swarm(lists: &Lists, scope: ListScope, now: Instant) -> SwarmState {
    let feed = Feed { kind: FeedKind::Watch, ..Feed::new("unix:///d.sock".into()) };
    SwarmState {
        feed: Arc::new(feed),
        snapshot: Some(Arc::new(Snapshot { scope, ..Snapshot::from(lists) })),
        as_of: now.checked_sub(Duration::from_secs(2)),
        tasks: None,
    }
}

fn source(mechanism: &'static str, swarm: Option<&str>, age: Option<Instant>) -> SourceStatus {
    SourceStatus {
        mechanism,
        name: mechanism.into(),
        display_name: "tcp://10.0.0.1:2375".into(),
        as_of: age,
        restored: false,
        is_refreshed: true,
        error: None,
        problems: Arc::default(),
        without_address: None,
        refreshes: 1,
        failures: 0,
        durations: Arc::new(DurationHistogram::default()),
        groups: 1,
        targets: 3,
        swarm: swarm.map(Arc::from),
    }
}

fn job(
    name: &str,
    pool: &PoolSpec,
    groups: &[Arc<TargetGroup>],
    source: SourceStatus,
) -> ObservedJob {
    let status = JobStatus { sources: vec![source], ..JobStatus::default() };
    ObservedJob {
        config: Arc::new(JobConfig::new(name, Vec::new())),
        state: JobState { set: Arc::new(set(pool, groups)), status: Arc::new(status) },
    }
}

fn text(report: &StatusReport) -> String {
    let mut text = format!("{}\n", report.health);
    for Finding { severity, check, subject, problem, examples, .. } in &report.findings {
        writeln!(text, "{severity:?} {check}: {subject}: {problem} {examples:?}").unwrap();
    }
    text
}

fn healthy() -> Lists {
    Lists {
        nodes: vec![node(0, "manager/reachable/ready"), node(1, "worker//ready")],
        services: vec![service("web", 2, "any"), service("cron", 1, "none")],
        tasks: vec![task(1, "web", "running"), task(2, "web", "running")],
        ..Lists::default()
    }
}

#[test]
fn a_healthy_swarm_is_one_line() {
    let now = Instant::now();
    let groups = [group("s", "__meta_dockerswarm_service_name=shop_web", &["10.0.1.1:80"])];
    let read = source("swarmscout", Some("unix:///d.sock"), Some(now));
    let subject = Subject {
        jobs: vec![job("swarm", &PoolSpec::new("swarm"), &groups, read)],
        swarms: vec![swarm(&healthy(), ListScope::everything(), now)],
        ..Subject::default()
    };
    let report = StatusReport::of(&subject, now);
    assert!(report.is_ok());
    expect![[r#"
        {
          "health": "OK  2 nodes, 2 services, 1 target",
          "swarms": [
            {
              "swarm": "unix:///d.sock",
              "nodes": {
                "ready": 2,
                "all": 2
              },
              "managers": {
                "reachable": 1,
                "all": 1,
                "leader": "pi0"
              },
              "services": {
                "asWanted": 2,
                "all": 2
              },
              "tasks": {
                "running": 2,
                "wanted": 2
              },
              "feed": "watch",
              "feedReason": "",
              "ageSeconds": 2.0
            }
          ],
          "classicNodes": null,
          "sources": {
            "up": 1,
            "failing": 0,
            "waiting": 0
          },
          "otherSources": [],
          "targets": {
            "active": 1,
            "unreachable": 0,
            "dropped": 0,
            "refused": 0,
            "duplicates": 0
          },
          "findings": [],
          "lastDoctor": null
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&report).unwrap());
}

/// SwarmKit rejects a task that cannot start, and waits before it makes the next one.
#[test]
fn a_global_service_is_wanted_on_each_ready_node_that_fits() {
    let now = Instant::now();
    let global = Service { mode: Mode::Global, ..Service::clone(&service("agent", 0, "any")) };
    let rejected = Task {
        desired_state: "shutdown".into(),
        node: "id1".into(),
        ..Task::clone(&task(2, "agent", "rejected"))
    };
    let active = |(number, text): (usize, &&str)| {
        let node = node(number, text);
        Arc::new(Node { availability: "active".into(), ..Node::clone(&node) })
    };
    let nodes = ["manager/reachable/ready", "worker//ready", "worker//down"];
    let lists = Lists {
        nodes: nodes.iter().enumerate().map(active).collect(),
        services: vec![Arc::new(global)],
        tasks: vec![task(1, "agent", "running"), Arc::new(rejected)],
        ..Lists::default()
    };
    let swarms = vec![swarm(&lists, ListScope::everything(), now)];
    let report = StatusReport::of(&Subject { swarms, ..Subject::default() }, now);
    let tasks = report.swarms[0].tasks.as_ref().map(|tasks| (tasks.running, tasks.wanted));
    assert_eq!(tasks, Some((1, 2)));
    expect![[r#"
        2 of 3 nodes ready, 0 of 1 service as wanted, 0 targets: 1 error, 2 warnings
        Error node_not_ready: node pi2: the managers see it as down: what runs on it is unknown []
        Warning tasks_missing: service shop_agent: 1 of 2 tasks run: rejected []
        Warning no_targets: targets: no job has a target []
    "#]]
    .assert_eq(&text(&report));
}

/// What an exporter of state metrics and the alerts say of jobs.
#[test]
fn a_run_that_failed_is_not_as_wanted() {
    let now = Instant::now();
    let job = |name: &str, replicas| Service {
        mode: Mode::ReplicatedJob,
        ..Service::clone(&service(name, replicas, "none"))
    };
    let ended = |number, service: &str, state: &str, code| {
        let failure = TaskFailure { exit_code: code, ..TaskFailure::default() };
        Arc::new(Task {
            desired_state: if code == 0 { "complete" } else { "shutdown" }.into(),
            failure: (code != 0).then(|| Box::new(failure)),
            ..Task::clone(&task(number, service, state))
        })
    };
    let lists = Lists {
        nodes: vec![node(0, "manager/reachable/ready")],
        services: vec![
            Arc::new(job("done", 2)),
            Arc::new(job("backup", 2)),
            Arc::new(Service { max_concurrent: 1, ..job("half", 3) }),
            service("cron", 1, "none"),
            service("nightly", 1, "none"),
        ],
        tasks: vec![
            ended(1, "done", "complete", 0),
            ended(2, "done", "complete", 0),
            ended(1, "backup", "complete", 0),
            ended(2, "backup", "failed", 3),
            ended(1, "half", "complete", 0),
            task(2, "half", "running"),
            ended(1, "cron", "failed", 1),
            ended(1, "nightly", "complete", 0),
        ],
        ..Lists::default()
    };
    let swarms = vec![swarm(&lists, ListScope::everything(), now)];
    let report = StatusReport::of(&Subject { swarms, ..Subject::default() }, now);
    expect![[r#"
        1 of 1 node ready, 3 of 5 services as wanted, 0 targets: 3 warnings
        Warning run_failed: service shop_backup: its last run failed (1 of 2 tasks): exit code 3 []
        Warning run_failed: service shop_cron: its last run failed (1 of 1 task): exit code 1 []
        Warning no_targets: targets: no job has a target []
    "#]]
    .assert_eq(&text(&report));
    let tasks = report.swarms[0].tasks.as_ref().map(|tasks| (tasks.running, tasks.wanted));
    assert_eq!(tasks, Some((1, 2)));

    // Without the tasks that ended it is not known.
    let lists = Lists {
        tasks: vec![task(2, "half", "running")],
        services: lists.services[2..].to_vec(),
        ..lists
    };
    let running = ListFilter::Filtered(r#"{"desired-state":{"running":true}}"#.into());
    let scope = ListScope { tasks: running, ..ListScope::everything() };
    let swarms = vec![swarm(&lists, scope, now)];
    let report = StatusReport::of(&Subject { swarms, ..Subject::default() }, now);
    expect![[r#"
        1 of 1 node ready, 3 of 3 services as wanted, 0 targets: 1 warning
        Warning no_targets: targets: no job has a target []
    "#]]
    .assert_eq(&text(&report));
}

/// A task that cannot start is rejected, and its successor waits. Only the former says why.
#[test]
fn missing_tasks_have_the_reason_of_the_last_one_that_failed() {
    let now = Instant::now();
    let rejected = |number, text: &str| {
        let failure = TaskFailure { error: text.into(), exit_code: 0 };
        Arc::new(Task {
            id: format!("old{number}").into(),
            desired_state: "shutdown".into(),
            state_since: 1,
            failure: Some(Box::new(failure)),
            ..Task::clone(&task(number, "web", "rejected"))
        })
    };
    let next = |number| {
        let (desired_state, message) = ("ready".into(), "preparing".into());
        Arc::new(Task { desired_state, message, ..Task::clone(&task(number, "web", "preparing")) })
    };
    let lists = Lists {
        nodes: vec![node(0, "manager/reachable/ready"), node(1, "worker//down")],
        services: vec![service("web", 2, "any"), service("lost", 1, "any")],
        tasks: vec![
            task(1, "web", "running"),
            // This one was replaced with success.
            rejected(1, "no space left on device"),
            rejected(2, "No such image: shop/web:2"),
            next(2),
            Arc::new(Task { node: "id1".into(), ..Task::clone(&task(1, "lost", "running")) }),
        ],
        ..Lists::default()
    };
    let swarms = vec![swarm(&lists, ListScope::everything(), now)];
    let report = StatusReport::of(&Subject { swarms, ..Subject::default() }, now);
    expect![[r#"
        1 of 2 nodes ready, 0 of 2 services as wanted, 0 targets: 2 errors, 2 warnings
        Error node_not_ready: node pi1: the managers see it as down: what runs on it is unknown []
        Error tasks_missing: service shop_lost: 0 of 1 tasks run: the managers do not reach pi1: what runs there is unknown []
        Warning tasks_missing: service shop_web: 1 of 2 tasks run: the last task that failed on node pi0 says: No such image: shop/web:2 ["preparing (preparing)"]
        Warning no_targets: targets: no job has a target []
    "#]].assert_eq(&text(&report));
}

#[test]
fn what_is_wrong_is_counted_and_found() {
    let now = Instant::now();
    let lists = Lists {
        nodes: vec![
            node(0, "manager/reachable/ready"),
            node(1, "manager/reachable/ready"),
            node(2, "manager/unreachable/down"),
            node(3, "worker//ready"),
        ],
        services: vec![service("web", 2, "any"), service("api", 1, "any")],
        tasks: vec![task(1, "web", "running"), task(1, "api", "running")],
        ..Lists::default()
    };
    let far = format!("{UNREACHABLE}=far __meta_dockerswarm_node_role=worker");
    let of = |name: &str, more: &str, targets: &[&str]| {
        group(name, &format!("__meta_dockerswarm_service_name=shop_{name} {more}"), targets)
    };
    let groups = [
        of("web", &far, &["10.0.1.1:80", "10.0.1.2:80"]),
        of("api", "", &["10.0.2.1:80", &format!("10.0.2.2:80 {far}")]),
        of("db", "", &["10.0.3.1:5432"]),
    ];
    let rules = [rule("drop", "__meta_dockerswarm_service_name", "shop_db")];
    let pool = PoolSpec { relabel: rules.into(), ..PoolSpec::new("swarm") };
    let read = source("swarmscout", Some("unix:///d.sock"), Some(now));
    let failing = SourceStatus { error: Some("refused".into()), ..source("docker", None, None) };
    let subject = Subject {
        jobs: vec![
            job("swarm", &pool, &groups, read),
            job("docker", &PoolSpec::new("docker"), &[], failing),
            job("new", &PoolSpec::new("new"), &[], source("http", None, None)),
        ],
        swarms: vec![swarm(&lists, ListScope::everything(), now)],
        ..Subject::default()
    };
    let report = StatusReport::of(&subject, now);
    expect![[r#"
        1 of 3 sources up, 3 of 4 nodes ready, 1 of 2 services as wanted, 1 of 4 targets reachable: 2 errors, 4 warnings
        Error source_never_answered: source docker tcp://10.0.0.1:2375: refused; it has never answered []
        Error node_not_ready: node pi2: the managers see it as down: what runs on it is unknown []
        Warning unreachable: 2 services: 3 targets cannot be reached: far ["service shop_api: 1 target", "service shop_web: 2 targets"]
        Warning source_waiting: source http tcp://10.0.0.1:2375: it has not answered yet []
        Warning quorum_at_risk: Swarm unix:///d.sock: 2 of 3 managers are reachable: with one less, the Swarm has no quorum []
        Warning tasks_missing: service shop_web: 1 of 2 tasks run: no node is ready and active []
    "#]].assert_eq(&text(&report));
    let expected =
        TargetTotals { active: 4, unreachable: 3, dropped: 1, refused: 0, duplicates: 0 };
    assert_eq!(report.targets, expected);
    assert_eq!(report.sources, SourceCounts { up: 1, failing: 1, waiting: 1 });
    let others = report.other_sources.iter().map(|source| (&*source.mechanism, source.state));
    let expected = [("docker", SourceState::Failing), ("http", SourceState::Waiting)];
    assert_eq!(others.collect::<Vec<_>>(), expected);
}

/// A job with `role: nodes` reads no services, and one with a filter not all nodes.
#[test]
fn lists_that_are_not_read_are_not_counted() {
    let now = Instant::now();
    let check = |scope: ListScope, expected: &Expect| {
        let subject = Subject {
            jobs: Vec::new(),
            swarms: vec![swarm(&healthy(), scope, now)],
            ..Subject::default()
        };
        let report = StatusReport::of(&subject, now);
        let SwarmHealth { nodes, managers, services, tasks, .. } = &report.swarms[0];
        let text = format!("{}\n{nodes:?}\n{managers:?}\n{services:?}\n{tasks:?}\n", report.health);
        expected.assert_eq(&text);
    };
    let everything = ListScope::everything;
    let nodes = ListScope { nodes: ListFilter::All, ..ListScope::default() };
    check(
        nodes,
        &expect![[r#"
            2 of 2 nodes ready, 0 targets: 1 warning
            Some(NodeCounts { ready: 2, all: 2 })
            Some(ManagerCounts { reachable: 1, all: 1, leader: "pi0" })
            None
            None
        "#]],
    );
    let filtered = ListFilter::Filtered(r#"{"role":{"worker":true}}"#.into());
    let no_task = ListScope { nodes: filtered, tasks: ListFilter::Nothing, ..everything() };
    check(
        no_task,
        &expect![[r#"
            2 services, 0 targets: 1 warning
            None
            None
            Some(ServiceCounts { as_wanted: None, all: 2 })
            None
        "#]],
    );
}

#[test]
fn the_nodes_of_a_classic_swarm_are_those_that_its_master_reports() {
    let now = Instant::now();
    let of = |number: u8, status: &str| {
        format!(
            "10.0.0.{number}:9104 instance=10.0.0.{number}:2375 \
             __meta_swarm_node_name=node-{number} {status}"
        )
    };
    let nodes = [
        of(1, "__meta_swarm_node_status=Healthy"),
        of(2, "__meta_swarm_node_status=Pending __meta_swarm_node_error=refused"),
    ];
    let nodes = nodes.each_ref().map(|text| &**text);
    let read = source("swarm", None, now.checked_sub(Duration::from_secs(3)));
    let jobs = ["a", "b"]
        .map(|name| job(name, &PoolSpec::new(name), &[group("nodes", "", &nodes)], read.clone()));
    let report = StatusReport::of(
        &Subject { jobs: jobs.into(), swarms: Vec::new(), ..Subject::default() },
        now,
    );
    expect![[r#"
        1 of 2 nodes ready, 4 targets: 1 error
        Error node_not_ready: node node-2: the classic master sees it as Pending: refused []
    "#]]
    .assert_eq(&text(&report));
    assert_eq!(report.classic_nodes, Some(NodeCounts { ready: 1, all: 2 }));
    let ages = report.other_sources.iter().map(|source| source.age_seconds);
    assert_eq!(ages.collect::<Vec<_>>(), [Some(3.0)]);

    // A master before 1.0.0 reports no state.
    let old = job("old", &PoolSpec::new("old"), &[group("nodes", "", &[&of(1, "")])], read);
    let report = StatusReport::of(
        &Subject { jobs: vec![old], swarms: Vec::new(), ..Subject::default() },
        now,
    );
    assert_eq!((report.classic_nodes, &*report.health), (None, "OK  1 target"));
}

/// Without a Swarm there are no overlay networks.
#[test]
fn the_advice_depends_on_whether_there_is_a_swarm() {
    let now = Instant::now();
    let fixes = ["", " __meta_dockerswarm_node_role=worker"].map(|role| {
        let labels = format!("{UNREACHABLE}=far{role}");
        let groups = [group("s", &labels, &["10.0.1.1:80"])];
        let read = source("swarmscout", None, Some(now));
        let jobs = vec![job("swarm", &PoolSpec::new("swarm"), &groups, read)];
        let report =
            StatusReport::of(&Subject { jobs, swarms: Vec::new(), ..Subject::default() }, now);
        report.findings.into_iter().map(|finding| finding.fix).collect::<String>()
    });
    assert_eq!(fixes, [PUBLISH_A_PORT, SHARE_A_NETWORK]);
}

#[test]
fn missing_and_restored_targets_are_found() {
    let now = Instant::now();
    let check = |rules: Vec<RelabelRule>, targets: &[&str], restored: bool, expected: &Expect| {
        let pool = PoolSpec { relabel: rules.into(), ..PoolSpec::new("a") };
        let read = SourceStatus { restored, ..source("http", None, Some(now)) };
        let jobs = vec![job("a", &pool, &[group("s", "", targets)], read)];
        let report =
            StatusReport::of(&Subject { jobs, swarms: Vec::new(), ..Subject::default() }, now);
        expected.assert_eq(&text(&report));
    };
    check(
        Vec::new(),
        &[],
        false,
        &expect![[r#"
        0 targets: 1 warning
        Warning no_targets: targets: no job has a target []
    "#]],
    );
    check(
        vec![rule("drop", "__address__", "h:1")],
        &["h:1"],
        false,
        &expect![[r#"
        0 targets: 1 warning
        Warning no_targets: targets: no job has a target: rules drop or break all 1 []
    "#]],
    );
    check(
        Vec::new(),
        &["h:1", "h:2"],
        true,
        &expect![[r#"
        0 of 1 source up, 2 targets: 1 warning
        Warning source_waiting: source http tcp://10.0.0.1:2375: it has not answered since the start; its targets are from before []
    "#]],
    );
}
