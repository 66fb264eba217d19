use std::sync::Arc;

use bytes::Bytes;
use expect_test::{Expect, expect};
use swarmscout_discovery::JobConfig;
use swarmscout_discovery::config::{DockerSwarmConfig, Events, OverlayPort, Role};
use swarmscout_discovery::manager::JobState;
use swarmscout_model::{PoolSpec, PromDuration};
use swarmscout_publish::testing::set;
use swarmscout_simulator::engine::{Condition, Engine, Release};
use swarmscout_simulator::swarm::Swarm;
use swarmscout_simulator::{Fault as Served, Listen};

use super::*;

/// A job of a source that reads these hosts.
fn job(hosts: &[&str]) -> ObservedJob {
    let config = DockerSwarmConfig {
        engine: EngineConfig {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            port: 80,
            filters: Vec::new(),
            refresh_interval: PromDuration::from_secs(60),
            http: swarmscout_net::HttpConfig::default(),
        },
        role: Role::Tasks,
        match_first_network: false,
        overlay_port: OverlayPort::Published,
        events: Events::Poll,
        swarmkit_socket: None,
    };
    let config = JobConfig::new("a", vec![SdConfig::DockerSwarm(config)]);
    ObservedJob {
        config: Arc::new(config),
        state: JobState { set: Arc::new(set(&PoolSpec::new("a"), &[])), status: Arc::default() },
    }
}

async fn text(jobs: &[ObservedJob], of_sources: &mut Vec<Finding>) -> String {
    let options = ClientOptions::new("test", Duration::from_secs(10));
    let findings = check(jobs, &options, of_sources).await;
    let text = findings.iter().map(|finding| {
        let Finding { severity, check, subject, problem, fix, examples, .. } = finding;
        let examples = examples.iter().map(|example| format!("  {example}\n"));
        let fix = fix.replace('\n', "\n       ");
        format!(
            "{severity:?} {check}: {subject}: {problem}\n{}  fix: {fix}\n",
            examples.collect::<String>()
        )
    });
    text.collect()
}

/// What is found of one host, which the text calls HOST.
async fn check_host(host: &str, expected: &Expect) {
    let text = text(&[job(&[host])], &mut Vec::new()).await;
    let text = text.replace(host, "HOST").replace(host.trim_start_matches("unix://"), "PATH");
    expected.assert_eq(&text);
}

fn manager() -> Engine {
    let swarm = Swarm::new(1);
    let node = swarm.add_manager("manager-1");
    Engine::start(Listen::Tcp, &swarm, &node).unwrap()
}

#[tokio::test]
async fn a_manager_is_no_finding() {
    let engine = manager();
    check_host(engine.server.url(), &expect![""]).await;
    let paths = engine.server.requests().into_iter().map(|request| request.path);
    let paths: Vec<_> = paths.collect();
    assert_eq!(paths, ["/_ping", "/v1.41/info"], "nothing else is asked");
}

#[tokio::test]
async fn an_engine_that_is_no_manager_is_explained() {
    let swarm = Swarm::new(1);
    let (manager, worker) = (swarm.add_manager("manager-1"), swarm.add_worker("worker-1"));
    let worker = Engine::start(Listen::Tcp, &swarm, &worker).unwrap();
    check_host(worker.server.url(), &expect![[r#"
        Error not_a_manager: Engine HOST: the Engine (Docker 20.10.24+dfsg1) is a worker: only managers know their Swarm
          fix: write a manager into hosts: 10.77.0.11
    "#]]).await;
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    engine.set_condition(Condition::Locked);
    check_host(engine.server.url(), &expect![[r#"
        Error swarm_locked: Engine HOST: this manager was restarted, and waits for the key of its Swarm
          fix: docker swarm unlock on it; the key: docker swarm unlock-key on another manager
    "#]]).await;
    engine.set_condition(Condition::Standalone);
    check_host(engine.server.url(), &expect![[r#"
        Error no_swarm: Engine HOST: the Engine (Docker 20.10.24+dfsg1) is in no Swarm
          fix: docker swarm init or docker swarm join; to read an Engine without a Swarm, write engines: [{host: …}] in place of hosts
    "#]]).await;
    engine.set_condition(Condition::NoQuorum);
    check_host(engine.server.url(), &expect![[r#"
        Error swarm_error: Engine HOST: its Swarm reports: rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.
          fix: start the missing managers; if they are lost, see docker swarm init --force-new-cluster
    "#]]).await;
}

#[tokio::test]
async fn certificates_that_ended_are_named() {
    let engine = manager();
    let info = r#"{"Containers":1,"Swarm":{"LocalNodeState":"error","Error":"certificate (1 - wzh) not valid after Mon, 07 Nov 2022 13:37:00 UTC, and it is currently Tue, 08 Nov 2022 10:00:00 UTC: x509: certificate has expired or is not yet valid: "}}"#;
    engine.server.faults().set_for("/info", Served::Body(Bytes::from_static(info.as_bytes())));
    check_host(engine.server.url(), &expect![[r#"
        Error swarm_certificate: Engine HOST: its certificate for the Swarm is not valid: certificate (1 - wzh) not valid after Mon, 07 Nov 2022 13:37:00 UTC, and it is currently Tue, 08 Nov 2022 10:00:00 UTC: x509: certificate has expired or is not yet valid
          fix: if the clock of its machine is right, let it join again: docker swarm leave, then docker swarm join with the line of docker swarm join-token on another manager
               if no manager is left: docker swarm init --force-new-cluster on one of them, with its clock set back
    "#]]).await;
}

#[test]
fn a_root_certificate_that_ends_soon_is_named_once() {
    let job = job(&["tcp://a:2375", "tcp://b:2375"]);
    let jobs = [job];
    let day = 24 * 60 * 60;
    let check = |days: i64, expected: Expect| {
        let asked = hosts(&jobs).into_iter().map(|host| {
            let info = Info {
                manager: true,
                state: "active".to_owned(),
                root_ends: Some((100 + days) * day),
                ..Info::default()
            };
            let info = HostInfo::Read(Box::new(info));
            let version = swarmscout_docker::engine::ApiVersion::NEWEST;
            (host, Asked { result: Ok(HostStatus { version, info }), owner: None })
        });
        let now = Duration::from_secs(100 * day.unsigned_abs());
        let findings = findings(&asked.collect::<Vec<_>>(), now, &mut Vec::new());
        let lines =
            findings.iter().map(|f| format!("{:?} {}: {}\n", f.severity, f.subject, f.problem));
        expected.assert_eq(&lines.collect::<String>());
    };
    check(31, expect![""]);
    check(
        12,
        expect![[r#"
        Warning Engine tcp://a:2375: the root certificate of the Swarm ends in 12 days: no node can renew its own then
    "#]],
    );
    check(
        -1,
        expect![[r#"
        Error Engine tcp://a:2375: the root certificate of the Swarm has ended: no node can renew its own then
    "#]],
    );
}

#[tokio::test]
async fn what_keeps_a_host_from_answering_is_named() {
    let engine = manager();
    engine.server.faults().set_for("/info", Served::Status(403, "Forbidden".to_owned()));
    check_host(engine.server.url(), &expect![[r#"
        Note info_withheld: Engine HOST: whether it is a manager, and when its certificates end, is unknown: HOST: access to /info is forbidden (HTTP status 403): a proxy in front of the Engine must allow GET of it
          fix: allow GET /info in the proxy (docker-socket-proxy: INFO=1)
    "#]]).await;

    let old = Release { version: "1.11.2", api: 23, min_api: 12 };
    let swarm = Swarm::new(1);
    let node = swarm.add_manager("manager-1");
    let engine = Engine::start_release(Listen::Tcp, &swarm, &node, old).unwrap();
    check_host(engine.server.url(), &expect![[r#"
        Error api_version: Engine HOST: the Engine speaks API version 1.23, swarm mode begins with 1.24 (Docker 1.12)
          fix: upgrade what is older, the Docker Engine or Swarmscout
    "#]]).await;
    let new = Release { version: "40.0.0", api: 99, min_api: 90 };
    let engine = Engine::start_release(Listen::Tcp, &swarm, &node, new).unwrap();
    check_host(engine.server.url(), &expect![""]).await;

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = format!("tcp://{closed}");
    let text = text(&[job(&[&host])], &mut Vec::new()).await;
    assert!(text.starts_with(&format!("Error engine_unreachable: Engine {host}")), "{text}");
    check_host(
        "unix:///nonexistent/docker.sock",
        &expect![[r#"
        Error socket_missing: Engine HOST: there is no such socket
          fix: in a container, mount it: volumes: ["PATH:PATH"]
               outside, start the Engine: systemctl start docker
    "#]],
    )
    .await;
}

#[test]
fn a_socket_of_another_group_has_the_lines_to_add() {
    let owner = |user, group: Option<&str>, mode| SocketOwner {
        user,
        gid: 998,
        group: group.map(str::to_owned),
        mode,
    };
    let check = |owner: &SocketOwner, expected: Expect| {
        let Fault { problem, fix, .. } = denied(owner);
        expected.assert_eq(&format!("{problem}\n{fix}"));
    };
    check(
        &owner(Some(65532), Some("docker"), 0o660),
        expect![[r#"
        user 65532 may not use the socket of group docker (gid 998), which has mode 0660
        run it with the group of the socket, by one of these lines:
        stack file: user: "65532:998" (docker stack deploy drops group_add)
        Compose: group_add: ["998"]
        docker run: --group-add 998
        docker service: docker service update --user 65532:998 SERVICE
        systemd, under [Service]: SupplementaryGroups=docker"#]],
    );
    check(
        &owner(None, None, 0o660),
        expect![[r#"
        this user may not use the socket of the group with gid 998, which has mode 0660
        run it with the group of the socket, by one of these lines:
        stack file: user: "65532:998" (docker stack deploy drops group_add)
        Compose: group_add: ["998"]
        docker run: --group-add 998
        docker service: docker service update --user 65532:998 SERVICE
        systemd, under [Service]: SupplementaryGroups=998"#]],
    );
    check(
        &owner(Some(1000), Some("docker"), 0o600),
        expect![[r#"
        user 1000 may not use the socket: group docker (gid 998) may not either, as its mode is 0600
        let the group use it: "group": "docker" in /etc/docker/daemon.json, and SocketMode=0660 in docker.socket of systemd"#]],
    );
    check(
        &owner(Some(0), Some("docker"), 0o660),
        expect![[r#"
        permission denied although running as root
        a security profile (SELinux, AppArmor) or a dropped capability stands in between: for SELinux, docker run --security-opt label=disable"#]],
    );
}

#[tokio::test]
async fn the_cause_takes_the_findings_of_its_sources() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (closed, engine) = (format!("tcp://{closed}"), manager());
    let of_source = |hosts: &str| Finding {
        severity: Severity::Error,
        check: "source_failing".to_owned(),
        subject: format!("source dockerswarm {hosts} role tasks"),
        problem: "connection refused".to_owned(),
        fix: String::new(),
        targets: 7,
        examples: Vec::new(),
    };
    // Its only host is down.
    let mut of_sources = vec![of_source(&closed), of_source("tcp://other:2375")];
    let found = text(&[job(&[&closed])], &mut of_sources).await;
    assert!(found.starts_with("Error engine_unreachable"), "{found}");
    let example =
        format!("\n  source dockerswarm {closed} role tasks keeps its previous targets\n");
    assert!(found.contains(&example), "{found}");
    assert_eq!(of_sources, [of_source("tcp://other:2375")]);
    // Another host answers.
    let hosts = [&*closed, engine.server.url()];
    let found = text(&[job(&hosts)], &mut Vec::new()).await;
    assert!(found.starts_with("Warning engine_unreachable"), "{found}");
    assert!(found.contains("its sources read another host"), "{found}");
}
