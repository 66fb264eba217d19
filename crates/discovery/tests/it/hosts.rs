//! Refreshes over real sockets: versions, failover, faults, and requests.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use swarmscout_discovery::config::{
    BuildContext, DockerConfig, DockerSwarmConfig, EngineConfig, Events, Filter, OverlayPort, Role,
};
use swarmscout_discovery::source::docker::Docker;
use swarmscout_discovery::source::dockerswarm::DockerSwarm;
use swarmscout_discovery::{Discoverer, Error, Groups, Refreshed};
use swarmscout_docker::engine::{Action, EventKind, Hosts, List, Query};
use swarmscout_model::PromDuration;
use swarmscout_net::HttpConfig;
use swarmscout_refresh::RefreshScope;
use swarmscout_simulator::engine::{Condition, Engine, Recording, Release};
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
use swarmscout_simulator::{Fault, Listen, Response};

/// A manager's Swarm with one service, and the IDs of a manager and a worker.
fn swarm(seed: u64) -> (Swarm, String, String) {
    let swarm = Swarm::new(seed);
    let manager = swarm.add_manager("manager-1");
    let worker = swarm.add_worker("worker-1");
    let network = swarm.create_network("front");
    swarm.create_service(ServiceSpec::new("web", "demo:1").replicas(3).network(&network));
    (swarm, manager, worker)
}

/// The engine of a manager of a Swarm with this seed.
fn manager(seed: u64) -> Engine {
    let (swarm, manager, _) = swarm(seed);
    Engine::start(Listen::Tcp, &swarm, &manager).unwrap()
}

fn recorded(recording: Recording) -> Engine {
    Engine::recorded(Listen::Tcp, recording).unwrap()
}

fn engine_config(engines: &[&Engine], filters: &[(&str, &[&str])]) -> EngineConfig {
    let filters = filters.iter().map(|(name, values)| Filter {
        name: (*name).to_owned(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    });
    EngineConfig {
        hosts: engines.iter().map(|engine| engine.server.url().to_owned()).collect(),
        port: 80,
        filters: filters.collect(),
        refresh_interval: PromDuration::from_secs(1),
        http: HttpConfig::default(),
    }
}

/// Far more than an answer takes, however busy the machine is.
fn context() -> BuildContext {
    within(Duration::from_mins(1))
}

fn within(patience: Duration) -> BuildContext {
    let mut context = BuildContext::new("test");
    context.refresh.patience = patience;
    context
}

fn source(role: Role, engine: EngineConfig) -> DockerSwarm {
    source_within(role, engine, &context())
}

fn source_within(role: Role, engine: EngineConfig, context: &BuildContext) -> DockerSwarm {
    let config = DockerSwarmConfig {
        engine,
        role,
        match_first_network: false,
        overlay_port: OverlayPort::Published,
        events: Events::Poll,
        swarmkit_socket: None,
    };
    DockerSwarm::new(&config, context).unwrap()
}

fn nodes(engines: &[&Engine]) -> DockerSwarm {
    source(Role::Nodes, engine_config(engines, &[]))
}

fn count(refreshed: &Refreshed<Groups>) -> usize {
    refreshed.value.iter().map(|group| group.targets.len()).sum()
}

#[tokio::test]
async fn a_cancelled_listing_of_a_part_keeps_the_cache_of_whole_lists() {
    let engine = manager(1);
    let config = engine_config(&[&engine], &[]);
    let mut hosts = Hosts::new(&config, &context().refresh).unwrap();
    let tasks = Query::of_swarm([(List::Tasks, "")]);
    let before = hosts.list(&tasks).await.unwrap().value.lists.tasks;
    let faults = engine.server.faults();
    faults.set(Fault::HangInBody);
    tokio::select! {
        _ = hosts.list_parts(&tasks) => panic!("it was answered"),
        () = faults.struck_times(1) => {}
    }
    faults.clear();
    let after = hosts.list(&tasks).await.unwrap().value.lists.tasks;
    assert!(before.len() == 3);
    assert!(after.iter().all(|task| before.iter().any(|known| Arc::ptr_eq(known, task))));
}

/// Recorded from 20.10.24, whose node certificate had expired.
#[tokio::test]
async fn expired_certificates_are_distinguished_from_a_swarm_that_was_never_joined() {
    let engine = manager(1);
    let faults = engine.server.faults();
    let refusal: &[u8] = include_bytes!("../fixtures/expired/nodes.json");
    let refusal = Response { status: 503, ..Response::json(refusal) };
    faults.set_for("/nodes", Fault::Answer(refusal));
    let info: &[u8] = include_bytes!("../fixtures/expired/info.json");
    faults.set_for("/info", Fault::Body(info.into()));
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![
            "HOST0: the Swarm of this Engine is in state error: error while loading TLS certificate in /var/lib/docker/swarm/certificates/swarm-node.crt: certificate (1 - 69fljhawlbytybjderrhumn36) not valid after Sat, 28 Nov 2026 13:44:17 UTC, and it is currently Sun, 29 Nov 2026 13:44:45 UTC: x509: certificate has expired or is not yet valid"
        ],
    );
}

/// The requests since the last call of this, without those for what the Engine is.
fn asked(engine: &Engine) -> Vec<String> {
    let mut requests = engine.server.requests();
    engine.server.forget_requests();
    requests.retain(|request| !request.path.ends_with("/info"));
    let line = |request: &swarmscout_simulator::Request| {
        let filters = request.parameter("filters").map(|filters| format!(" {filters}"));
        format!("{} {}{}", request.method, request.path, filters.unwrap_or_default())
    };
    requests.iter().map(line).collect()
}

/// An error with the addresses of engines replaced by their place in the list.
#[track_caller]
fn check_error<T>(result: Result<T, Error>, engines: &[&Engine], expected: &Expect) {
    let mut text = result.err().expect("an error").to_string();
    for (at, engine) in engines.iter().enumerate() {
        let url = engine.server.url();
        text = text.replace(url, &format!("HOST{at}"));
        text = text.replace(url.rsplit('/').next().unwrap(), &format!("HOST{at}"));
    }
    expected.assert_eq(&text);
}

#[tokio::test]
async fn each_role_asks_for_what_prometheus_asks_for() {
    let engine = recorded(Recording::THREE_NODES);
    for (role, expected) in [
        (Role::Nodes, &["HEAD /_ping", "GET /v1.41/nodes"][..]),
        (Role::Services, &["HEAD /_ping", "GET /v1.41/services", "GET /v1.41/networks"]),
        (
            Role::Tasks,
            &[
                "HEAD /_ping",
                "GET /v1.41/tasks",
                "GET /v1.41/services",
                "GET /v1.41/nodes",
                "GET /v1.41/networks",
            ],
        ),
    ] {
        let mut source = source(role, engine_config(&[&engine], &[]));
        source.fetch(RefreshScope::Full).await.unwrap();
        let mut first = asked(&engine);
        assert_eq!(first[..2], expected[..2], "the main list is answered before others are asked");
        first.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(first, expected);
        source.fetch(RefreshScope::Full).await.unwrap();
        assert_eq!(asked(&engine).len(), expected.len() - 1, "the version is known");
    }
    let config = DockerConfig {
        engine: engine_config(&[&engine], &[("name", &["web"])]),
        host_networking_host: "localhost".to_owned(),
        match_first_network: true,
    };
    let _ = Docker::new(&config, &context()).unwrap().fetch(RefreshScope::Full).await;
    assert_eq!(
        asked(&engine)[..2],
        ["HEAD /_ping", r#"GET /v1.41/containers/json {"name":{"web":true}}"#]
    );
}

#[tokio::test]
async fn filters_go_to_the_main_list_alone() {
    let (swarm, manager, _) = swarm(1);
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let filters: &[(&str, &[&str])] =
        &[("desired-state", &["running"]), ("name", &["web", "a b&c"]), ("id", &[])];
    let mut source = source(Role::Tasks, engine_config(&[&engine], filters));
    let refreshed = source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(count(&refreshed), 3);
    let mut requests = asked(&engine);
    requests.sort();
    expect![[r#"
        [
            "GET /v1.41/networks",
            "GET /v1.41/nodes",
            "GET /v1.41/services",
            "GET /v1.41/tasks {\"desired-state\":{\"running\":true},\"name\":{\"a b&c\":true,\"web\":true}}",
            "HEAD /_ping",
        ]
    "#]]
    .assert_debug_eq(&requests);
}

#[tokio::test]
async fn a_filter_that_names_nothing_known_fails_the_refresh() {
    let engine = manager(1);
    let config = engine_config(&[&engine], &[("service", &["nope"])]);
    let refreshed = source(Role::Tasks, config).fetch(RefreshScope::Full).await;
    check_error(
        refreshed,
        &[&engine],
        &expect![
            "HOST0/v1.41/tasks: server returned HTTP status 404 Not Found: service nope not found"
        ],
    );
    let config = engine_config(&[&engine], &[("nope", &["x"])]);
    let refreshed = source(Role::Nodes, config).fetch(RefreshScope::Full).await;
    check_error(
        refreshed,
        &[&engine],
        &expect![
            "HOST0/v1.41/nodes: server returned HTTP status 400 Bad Request: Invalid filter 'nope'"
        ],
    );
}

#[tokio::test]
async fn every_version_from_1_24_on_is_spoken() {
    for (release, expected) in [
        (Release::V20_10, "GET /v1.41/nodes"),
        (Release::V28, "GET /v1.51/nodes"),
        (Release::V29, "GET /v1.56/nodes"),
        (Release { version: "1.12.6", api: 24, min_api: 12 }, "GET /v1.24/nodes"),
        (Release { version: "99", api: 99, min_api: 50 }, "GET /v1.56/nodes"),
    ] {
        let (swarm, manager, _) = swarm(1);
        let engine = Engine::start_release(Listen::Tcp, &swarm, &manager, release).unwrap();
        assert_eq!(count(&nodes(&[&engine]).fetch(RefreshScope::Full).await.unwrap()), 2);
        assert_eq!(asked(&engine), ["HEAD /_ping", expected]);
    }
}

#[tokio::test]
async fn an_engine_that_refuses_a_version_is_asked_with_the_one_it_names() {
    // A proxy that hides the version; then the newest is too new.
    let engine = manager(1);
    engine.server.faults().set_for("/_ping", Fault::Status(403, "forbidden".to_owned()));
    assert_eq!(count(&nodes(&[&engine]).fetch(RefreshScope::Full).await.unwrap()), 2);
    assert_eq!(
        asked(&engine),
        ["HEAD /_ping", "GET /_ping", "GET /v1.56/nodes", "GET /v1.41/nodes"]
    );
    // An engine of a time when the newest is too old.
    let (swarm, manager, _) = swarm(1);
    let release = Release { version: "99", api: 99, min_api: 60 };
    let engine = Engine::start_release(Listen::Tcp, &swarm, &manager, release).unwrap();
    let mut source = nodes(&[&engine]);
    source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(asked(&engine), ["HEAD /_ping", "GET /v1.56/nodes", "GET /v1.60/nodes"]);
    source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(asked(&engine), ["GET /v1.60/nodes"]);
}

#[tokio::test]
async fn the_version_is_agreed_on_again_after_a_failure() {
    let engine = manager(1);
    let mut source = nodes(&[&engine]);
    source.fetch(RefreshScope::Full).await.unwrap();
    engine.server.faults().next(1, Fault::Close);
    // The connection may be tried again at once by the client: two faults are one failed refresh.
    engine.server.faults().next(1, Fault::Status(500, "restarting".to_owned()));
    source.fetch(RefreshScope::Full).await.unwrap_err();
    engine.server.faults().clear();
    asked(&engine);
    source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(asked(&engine), ["HEAD /_ping", "GET /v1.41/nodes"]);
}

#[tokio::test]
async fn an_engine_before_swarm_mode_is_recognized_by_its_version() {
    let (swarm, manager, _) = swarm(1);
    let release = Release { version: "1.11.2", api: 23, min_api: 12 };
    let engine = Engine::start_release(Listen::Tcp, &swarm, &manager, release).unwrap();
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![[
            r#"HOST0: the Engine speaks API version 1.23, swarm mode begins with 1.24 (Docker 1.12)"#
        ]],
    );
}

#[tokio::test]
async fn engines_that_cannot_answer_have_an_error_each() {
    let (swarm, manager, worker) = swarm(1);
    let engine = Engine::start(Listen::Tcp, &swarm, &worker).unwrap();
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![
            "HOST0: this Engine is not a manager but a worker, and only a manager knows its Swarm: ask 10.77.0.11"
        ],
    );
    engine.server.faults().set_for("/info", Fault::Status(403, "forbidden".to_owned()));
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![
            "HOST0: this Engine is not a manager but a worker, and only a manager knows its Swarm"
        ],
    );

    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    engine.set_condition(Condition::Standalone);
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![
            "HOST0: this Engine is not a manager, as it never joined a Swarm, has left it, or is stopping"
        ],
    );
    let prepared = "This node is not a swarm manager. Manager is being prepared or has trouble \
                    connecting to the cluster.";
    engine.set_condition(Condition::Member);
    engine.server.faults().set_for("/nodes", Fault::Status(503, prepared.to_owned()));
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![
            "HOST0: this Engine is not a manager yet, or cannot reach the other managers of its Swarm: ask 10.77.0.11"
        ],
    );
    engine.server.faults().clear();
    engine.set_condition(Condition::Locked);
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![[r#"HOST0: this manager is locked: run `docker swarm unlock` on it"#]],
    );
    engine.set_condition(Condition::NoQuorum);
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![[r#"HOST0: the Swarm has no leader: more than half of its managers must be up"#]],
    );

    engine.set_condition(Condition::Member);
    let faults = engine.server.faults();
    faults.set_for("/nodes", Fault::Status(403, "forbidden".to_owned()));
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![[
            r#"HOST0: access to /nodes is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it"#
        ]],
    );
    faults.set(Fault::Answer(Response::not_found()));
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![[
            r#"HOST0: there is no /nodes here: is it a classic Swarm master (swarm_sd_configs), or no Docker Engine at all?"#
        ]],
    );
    let late = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
    faults.set_for("/nodes", Fault::Status(500, late.to_owned()));
    check_error(
        nodes(&[&engine]).fetch(RefreshScope::Full).await,
        &[&engine],
        &expect![[r#"HOST0: this manager cannot reach the leader of its Swarm in time"#]],
    );
    faults.set_for("/nodes", Fault::Status(502, "<html>\n".repeat(100)));
    faults.set_for("/_ping", Fault::Answer(Response::new("text/plain", "OK")));
    let error = nodes(&[&engine]).fetch(RefreshScope::Full).await.unwrap_err().to_string();
    assert!(error.ends_with('…') && error.len() < 500, "{error}");
}

/// Every way to fail, alone and beside a host that works.
async fn check_fault(fault: Fault, expected: &Expect) {
    check_fault_within(fault, &context(), expected).await;
}

async fn check_fault_within(fault: Fault, context: &BuildContext, expected: &Expect) {
    let nodes =
        |engines: &[&Engine]| source_within(Role::Nodes, engine_config(engines, &[]), context);
    let (swarm, manager, _) = swarm(1);
    let bad = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let good = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    bad.server.faults().set_for("/nodes", fault);
    check_error(nodes(&[&bad]).fetch(RefreshScope::Full).await, &[&bad], expected);

    let mut both = nodes(&[&bad, &good]);
    let refreshed = both.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(count(&refreshed), 2);
    let [problem] = &refreshed.problems[..] else { panic!("{:?}", refreshed.problems) };
    assert_eq!((problem.kind, &*problem.object), ("host", bad.server.url()));
    asked(&bad);
    let refreshed = both.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!((count(&refreshed), refreshed.problems.len()), (2, 0));
    assert_eq!(asked(&bad), [""; 0], "what answered last is asked first");
}

#[tokio::test]
async fn a_host_that_hangs_is_left_at_its_deadline() {
    let context = within(Duration::from_secs(3));
    let check = async |fault| {
        let late = expect!["HOST0: no complete answer within 3s"];
        check_fault_within(fault, &context, &late).await;
    };
    tokio::join!(
        check(Fault::HangBeforeHeader),
        check(Fault::HangInHeader),
        check(Fault::HangInBody),
        check(Fault::Drip { piece: 1, pause: Duration::from_millis(20) }),
    );
}

#[tokio::test]
async fn a_host_that_breaks_off_is_left() {
    check_fault(
        Fault::Reset,
        &expect![[r#"request to HOST0 failed: connection reset by the server"#]],
    )
    .await;
    check_fault(Fault::Close, &expect![[r#"request to HOST0 failed: the server closed the connection before the answer was complete"#]]).await;
    check_fault(Fault::Truncate, &expect![[r#"request to HOST0 failed: the server closed the connection before the answer was complete"#]]).await;
    check_fault(
        Fault::CutJson,
        &expect![[r#"HOST0/nodes: answer ends at byte 1852, in the middle of the list"#]],
    )
    .await;
    check_fault(
        Fault::Raw("SSH-2.0-OpenSSH_9.2\r\n".into()),
        &expect![[
            r#"request to HOST0 failed: the answer is not HTTP: invalid HTTP version parsed"#
        ]],
    )
    .await;
}

#[tokio::test]
async fn a_host_that_answers_something_else_is_left() {
    check_fault(
        Fault::Body("<html>".into()),
        &expect![[r#"HOST0/nodes: not JSON at byte 0: expected a list, found <"#]],
    )
    .await;
    check_fault(
        Fault::Body("{}".into()),
        &expect![[r#"HOST0/nodes: not JSON at byte 0: expected a list, found {"#]],
    )
    .await;
    check_fault(
        Fault::Body("".into()),
        &expect![[r#"HOST0/nodes: answer ends at byte 0, in the middle of the list"#]],
    )
    .await;
    check_fault(
        Fault::Body(r#"[{"ID":"a"},{"ID" "b"}]"#.into()),
        &expect![[r#"HOST0/nodes: not JSON at byte 18: expected JSON, found \""#]],
    )
    .await;
    check_fault(
        Fault::nested(100_000),
        &expect![[r#"HOST0/nodes: more than 64 brackets open at byte 65"#]],
    )
    .await;
    check_fault(
        Fault::no_leader(),
        &expect![[r#"HOST0: the Swarm has no leader: more than half of its managers must be up"#]],
    )
    .await;
}

#[tokio::test]
async fn an_answer_without_end_ends() {
    let engine = manager(1);
    // By its size or at its deadline, which is a second.
    let context = BuildContext::new("test");
    let nodes =
        |engines: &[&Engine]| source_within(Role::Nodes, engine_config(engines, &[]), &context);
    for object in ["{}", r#"{"ID":"x","Spec":{"Labels":{"a":"b"}}}"#] {
        engine.server.faults().set_for("/nodes", Fault::endless_array(object));
        nodes(&[&engine]).fetch(RefreshScope::Full).await.unwrap_err();
    }
    engine.server.faults().set_for(
        "/nodes",
        Fault::Endless { start: r#"[{"ID":""#.into(), repeat: "x".repeat(4096).into() },
    );
    nodes(&[&engine]).fetch(RefreshScope::Full).await.unwrap_err();
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_read_as_go_reads_it() {
    let engine = manager(1);
    engine.server.faults().set_for("/nodes", Fault::invalid_utf8());
    let refreshed = nodes(&[&engine]).fetch(RefreshScope::Full).await.unwrap();
    let id = refreshed.value[0].targets[0].get("__meta_dockerswarm_node_id");
    assert_eq!(id, Some("\u{fffd}\u{fffd}"));
}

#[tokio::test]
async fn hosts_that_all_fail_are_named_one_by_one() {
    let (swarm, manager, worker) = swarm(1);
    let a = Engine::start(Listen::Tcp, &swarm, &worker).unwrap();
    let b = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    b.set_condition(Condition::Locked);
    let mut source = nodes(&[&a, &b]);
    check_error(
        source.fetch(RefreshScope::Full).await,
        &[&a, &b],
        &expect![
            "no host answered: HOST0: this Engine is not a manager but a worker, and only a manager knows its Swarm: ask 10.77.0.11; HOST1: this manager is locked: run `docker swarm unlock` on it"
        ],
    );
    b.set_condition(Condition::Member);
    source.fetch(RefreshScope::Full).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_refresh_does_not_start_again_at_the_host_that_hung() {
    let (swarm, manager, _) = swarm(1);
    let bad = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let good = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    bad.server.faults().set(Fault::HangBeforeHeader);
    let mut source = nodes(&[&bad, &good]);
    tokio::select! {
        _ = source.fetch(RefreshScope::Full) => panic!("it was answered"),
        () = bad.server.faults().struck_times(1) => {}
    }
    source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(asked(&bad).len(), 1);
}

#[tokio::test]
async fn a_host_of_another_swarm_is_skipped_by_name() {
    let (swarm, one, _) = swarm(1);
    let two = swarm.add_manager("manager-2");
    let one = Engine::start(Listen::Tcp, &swarm, &one).unwrap();
    let two = Engine::start(Listen::Tcp, &swarm, &two).unwrap();
    let other = manager(2);
    let mut source = nodes(&[&one, &other, &two]);
    assert_eq!(count(&source.fetch(RefreshScope::Full).await.unwrap()), 3);
    one.server.refuse();
    let refreshed = source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(count(&refreshed), 3, "those of the right Swarm");
    let skipped: Vec<_> = refreshed.problems.iter().map(|problem| &*problem.object).collect();
    let mut expected = [one.server.url(), other.server.url()];
    expected.sort_unstable();
    assert_eq!(skipped, expected);

    // Only the other Swarm's host is left, and no answer says that the right Swarm is gone.
    two.server.refuse();
    check_error(
        source.fetch(RefreshScope::Full).await,
        &[&one, &other, &two],
        &expect![[
            r#"no host answered: cannot connect to HOST2: connection refused; cannot connect to HOST0: connection refused; HOST1: is in another Swarm: mercpfqb38t75i7xqoe5hhlqs, not 57ublw9l0axyka4nrt20acxwr"#
        ]],
    );
}

#[tokio::test]
async fn a_swarm_that_was_recreated_is_followed_when_every_host_is_in_it() {
    let (old, new) = (manager(1), manager(2));
    // The addresses stay, the Swarm behind them does not.
    let address = |engine: &Engine| Listen::Addr(engine.server.addr().unwrap());
    let mut source = nodes(&[&old, &new]);
    source.fetch(RefreshScope::Full).await.unwrap();
    let at = address(&old);
    old.server.shutdown().await;
    let (swarm, id, _) = swarm(2);
    let recreated = Engine::start(at, &swarm, &id).unwrap();
    let refreshed = source.fetch(RefreshScope::Full).await.unwrap();
    assert_eq!((count(&refreshed), refreshed.problems.len()), (2, 1));
    assert!(
        refreshed.problems[0].detail.contains("is in another Swarm"),
        "{:?}",
        refreshed.problems
    );
    drop(recreated);
}

#[tokio::test]
async fn a_proxy_that_withholds_info_costs_no_target() {
    let (swarm, manager, _) = swarm(1);
    let a = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let b = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    for engine in [&a, &b] {
        engine.server.faults().set_for("/info", Fault::Status(403, "forbidden".to_owned()));
    }
    let mut source = nodes(&[&a, &b]);
    assert_eq!(count(&source.fetch(RefreshScope::Full).await.unwrap()), 2);
    a.server.refuse();
    assert_eq!(count(&source.fetch(RefreshScope::Full).await.unwrap()), 2);
}

#[tokio::test]
async fn a_host_that_cannot_be_one_is_refused_at_once() {
    let build = |host: &str| {
        let engine = EngineConfig { hosts: vec![host.to_owned()], ..engine_config(&[], &[]) };
        let config = DockerConfig {
            engine,
            host_networking_host: "localhost".to_owned(),
            match_first_network: true,
        };
        Docker::new(&config, &context()).unwrap_err().to_string()
    };
    expect![[r#"parse "127.0.0.1:2375": first path segment in URL cannot contain colon"#]]
        .assert_eq(&build("127.0.0.1:2375"));
    expect![[r#"parse "ftp://h": host must start with unix://, tcp://, http:// or https://"#]]
        .assert_eq(&build("ftp://h"));
}

#[tokio::test]
async fn changes_are_reported_by_the_host_that_answered() {
    let (swarm, manager, worker) = swarm(1);
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    let config = engine_config(&[&engine], &[]);
    let mut hosts = Hosts::new(&config, &context().refresh).unwrap();
    let mut events = hosts.events(Duration::from_mins(1)).await.unwrap();
    let service = swarm.create_service(ServiceSpec::new("new", "demo:1"));
    let event = events.next().await.unwrap();
    assert_eq!(
        (event.kind, event.action, &*event.id),
        (EventKind::Service, Action::Create, &*service)
    );
    swarm.remove_node(&worker);
    loop {
        let event = events.next().await.unwrap();
        if (event.kind, event.action) == (EventKind::Node, Action::Remove) {
            assert_eq!(*event.id, *worker);
            break;
        }
    }
    assert_eq!(events.take_problems(), []);
}
