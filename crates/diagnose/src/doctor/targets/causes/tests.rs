use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use swarmscout_discovery::config::{
    EngineConfig, Events, Scraper, SwarmscoutConfig, SwarmscoutOptions,
};
use swarmscout_discovery::manager::JobState;
use swarmscout_discovery::{JobConfig, JobStatus, Problem, SdConfig, SourceStatus};
use swarmscout_docker::engine::{Attachment, Lists, Network, Node, Service, Task};
use swarmscout_model::{DurationHistogram, PoolSpec, PromDuration};
use swarmscout_publish::testing::set;
use swarmscout_swarm::{Feed, Snapshot};

use super::*;
use crate::doctor::{ObservedJob, Subject, SwarmState};

/// A Swarm with the services `shop_mail` in `shop_back` and `all`, `shop_db` in `shop_data` and
/// `all`, and nodes `a`, `b` and `lost`.
fn snapshot() -> Snapshot {
    let node = |name: &str| {
        let state = if name == "lost" { "down" } else { "ready" };
        Arc::new(Node {
            id: format!("id-{name}").into(),
            hostname: name.into(),
            state: state.into(),
            ..Node::default()
        })
    };
    let service =
        |name: &str| Arc::new(Service { id: name.into(), name: name.into(), ..Service::default() });
    let network =
        |name: &str| Arc::new(Network { id: name.into(), name: name.into(), ..Network::default() });
    let task = |service: &str, networks: &[&str]| {
        let attachments = networks.iter().map(|name| Attachment {
            network: (*name).into(),
            name: (*name).into(),
            driver: "overlay".into(),
            ingress: *name == "ingress",
            addresses: vec!["10.0.1.7".parse().unwrap()],
        });
        Arc::new(Task {
            id: format!("{service}.1").into(),
            service: service.into(),
            node: "id-a".into(),
            state: "running".into(),
            desired_state: "running".into(),
            attachments: attachments.collect(),
            ..Task::default()
        })
    };
    let lists = Lists {
        nodes: ["a", "b", "lost"].map(node).into(),
        services: ["shop_mail", "shop_db", "shop_old"].map(service).into(),
        tasks: vec![
            task("shop_mail", &["shop_back", "all", "ingress"]),
            task("shop_db", &["shop_data", "all"]),
        ],
        networks: ["all", "shop_back", "shop_data"].map(network).into(),
        ..Lists::default()
    };
    Snapshot::from(&lists)
}

/// A job with this scraper, whose source leaves out these services.
fn job(scraper: Scraper, dropped: &[&str]) -> ObservedJob {
    let engine = EngineConfig {
        hosts: vec!["unix:///var/run/docker.sock".to_owned()],
        port: 80,
        filters: Vec::new(),
        refresh_interval: PromDuration::from_secs(60),
        http: swarmscout_net::HttpConfig::default(),
    };
    let options = SwarmscoutOptions { scraper, ..SwarmscoutOptions::default() };
    let config = SwarmscoutConfig { engine, events: Events::Poll, swarmkit_socket: None, options };
    let problem = |service: &&str| Problem {
        kind: "service",
        object: (*service).to_owned(),
        reason: "unreachable",
        detail: String::new(),
    };
    let source = SourceStatus {
        mechanism: "swarmscout",
        name: "swarmscout/0".into(),
        display_name: "unix:///var/run/docker.sock".into(),
        as_of: None,
        restored: false,
        is_refreshed: true,
        error: None,
        problems: dropped.iter().map(problem).collect(),
        without_address: None,
        refreshes: 1,
        failures: 0,
        durations: Arc::new(DurationHistogram::default()),
        groups: 0,
        targets: 0,
        swarm: None,
    };
    let status = JobStatus { sources: vec![source], ..JobStatus::default() };
    ObservedJob {
        config: Arc::new(JobConfig::new("swarm", vec![SdConfig::Swarmscout(config)])),
        state: JobState {
            set: Arc::new(set(&PoolSpec::new("swarm"), &[])),
            status: Arc::new(status),
        },
    }
}

/// `outcome service node network [how]`, one for each target. `how` is where the address comes from,
/// with a `!` if the scraper does not reach it; or `class`; or `node_part:REASON` for an answer of one.
fn check_in(job: ObservedJob, targets: &[&str], expected: &Expect) {
    let outcomes = [
        Outcome::Up,
        Outcome::PortClosed,
        Outcome::ConnectTimeout,
        Outcome::NoRoute,
        Outcome::Unauthorized,
        Outcome::NoTls,
        Outcome::ClientCertificate,
        Outcome::NotHttp,
        Outcome::NotMetrics,
        Outcome::NodePart,
    ];
    let result = |(place, text): (usize, &&str)| {
        let words: Vec<_> = text.split(' ').collect();
        let [outcome, service, node, network, rest @ ..] = &words[..] else { panic!("{text}") };
        let outcome = *outcomes.iter().find(|known| known.as_str() == *outcome).unwrap();
        let how = rest.first().copied().unwrap_or_default();
        let (how, node_part) = how.split_once(':').unwrap_or((how, ""));
        let candidate = Candidate {
            subject: format!("service {service}"),
            job: "swarm".into(),
            service: (*service).to_owned(),
            node: (*node).to_owned(),
            node_id: format!("id-{node}"),
            network: network.trim_start_matches('-').to_owned(),
            address_source: how.trim_end_matches('!').to_owned(),
            has_class: how == "class",
            url: match how {
                "node_part" => format!("https://10.0.0.{place}:9466/reach/t/http/80/metrics"),
                _ => format!("http://10.0.0.{place}/metrics"),
            },
            unreachable: how.ends_with('!').then(|| "the reason".to_owned()),
            is_plain: how == "plain!",
            ..Candidate::default()
        };
        let detail = "the reason".to_owned();
        let node_part = node_part.to_owned();
        (candidate, Probed { outcome, detail, node_part, took: Duration::ZERO })
    };
    let swarm = SwarmState {
        feed: Arc::new(Feed::new("x".into())),
        snapshot: Some(Arc::new(snapshot())),
        as_of: None,
        tasks: None,
    };
    let subject = Subject { jobs: vec![job], swarms: vec![swarm], ..Subject::default() };
    let context = Context::new(&subject, None);
    let mut findings = super::super::super::cluster::check(&subject.swarms[0]);
    findings.retain(|finding| finding.check == "node_not_ready");
    let causes = Causes::of(targets.iter().enumerate().map(result).collect(), context);
    let of_targets = causes.findings(context, &OpenPorts::default(), &mut findings);
    findings.retain(|finding| finding.targets > 0);
    findings.extend(of_targets);
    let text = findings.iter().map(|finding| {
        let Finding { severity, check, subject, problem, fix, examples, .. } = finding;
        let examples = examples.iter().map(|example| format!("  {example}\n"));
        let fix = fix.replace('\n', "\n       ");
        format!(
            "{severity:?} {check}: {subject}: {problem}\n{}  fix: {fix}\n",
            examples.collect::<String>()
        )
    });
    expected.assert_eq(&text.collect::<String>());
}

fn check(targets: &[&str], expected: &Expect) {
    check_in(job(Scraper::Service("prometheus".into()), &[]), targets, expected);
}

#[test]
fn targets_that_answer_are_no_finding() {
    check(&["up web a front", "up web b front"], &expect![""]);
}

#[test]
fn a_node_that_does_not_answer_in_networks_in_which_others_do_is_cut_off() {
    check(
        &[
            "up web a front",
            "connect_timeout web b front",
            "no_route api b front",
            "port_closed api a back",
            "connect_timeout api b back",
            // Nothing shows that this network works anywhere.
            "connect_timeout alone b other",
        ],
        &expect![[r#"
            Error overlay_blocked: node b: no connection to 3 of its targets in back, front, while targets of the same networks on a answer
              http://10.0.0.1/metrics on node b: the reason
              http://10.0.0.2/metrics on node b: the reason
              http://10.0.0.4/metrics on node b: the reason
              fix: allow 4789/udp, 7946/tcp and 7946/udp between the node of the scraper and b, both ways
                   if they are open, check that each reaches the other at the address that docker node inspect shows
                   if its machine has just gone down, the managers report that within a minute
            Error connect_timeout: service alone: 1 of 1 probed targets do not answer to a connection
              http://10.0.0.5/metrics on node b: the reason
              fix: check whether Swarmscout is in the network of the target, and the firewall between them; for overlay networks allow 4789/udp, 7946/tcp and 7946/udp between all nodes
            Error port_closed: service api: 1 of 3 probed targets do not listen on their port
              http://10.0.0.3/metrics on node a: the reason
              fix: set prometheus.io/port to the port on which the container listens; a process that listens on 127.0.0.1 only must listen on 0.0.0.0
        "#]],
    );
    // It answers in the same network, so the path is open.
    check(
        &["up web b front", "up web a front", "connect_timeout api b front"],
        &expect![[r#"
        Error connect_timeout: service api: 1 of 1 probed targets do not answer to a connection
          http://10.0.0.2/metrics on node b: the reason
          fix: check whether Swarmscout is in the network of the target, and the firewall between them; for overlay networks allow 4789/udp, 7946/tcp and 7946/udp between all nodes
    "#]],
    );
}

#[test]
fn a_network_that_is_not_shared_is_one_finding_for_all_services() {
    check(
        &[
            "connect_timeout shop_mail a shop_back first_network!",
            "port_closed shop_mail b shop_back first_network!",
            "connect_timeout shop_db a all first_network!",
            "up web a front",
        ],
        &expect![[r#"
            Error network_not_shared: network all: the scraper is not in it, and reaches no target of 2 services: shop_db, shop_mail
              http://10.0.0.0/metrics on node a: the reason
              http://10.0.0.1/metrics on node b: the reason
              http://10.0.0.2/metrics on node a: the reason
              fix: docker service update --network-add all prometheus
                   in its stack file: networks: [all] under the service, and at the top networks: {all: {external: true}}
        "#]],
    );
}

#[test]
fn the_network_of_the_label_is_the_one_to_join() {
    check(
        &["no_route shop_mail a shop_back network_label!"],
        &expect![[r#"
        Error network_not_shared: network shop_back: the scraper is not in it, and reaches no target of service shop_mail
          http://10.0.0.0/metrics on node a: the reason
          fix: docker service update --network-add shop_back prometheus
               in its stack file: networks: [shop_back] under the service, and at the top networks: {shop_back: {external: true}}
    "#]],
    );
}

#[test]
fn services_that_a_source_leaves_out_are_named_too() {
    let networks = Scraper::Networks(["front".into()].into());
    check_in(
        job(networks, &["shop_db", "shop_old"]),
        &[],
        &expect![[r#"
        Error network_not_shared: network all: the scraper is not in it, and reaches no target of service shop_db
          fix: docker service update --network-add all SCRAPER, with the service of the scraper for SCRAPER
               in its stack file: networks: [all] under the service, and at the top networks: {all: {external: true}}
               then add all to networks of the source
        Error network_not_shared: service shop_old: the scraper shares no network with it
          fix: attach it to an overlay network in which the scraper is
    "#]],
    );
}

#[test]
fn a_scraper_outside_of_all_networks_is_one_finding() {
    let here = || job(Scraper::Here, &[]);
    let targets =
        ["connect_timeout web a front first_network", "no_route api b back first_network"];
    check_in(
        here(),
        &targets,
        &expect![[r#"
            Error networks_unknown: job swarm: no answer from its 2 targets on overlay networks: the scraper does not seem to be in these networks
              http://10.0.0.0/metrics on node a: the reason
              http://10.0.0.1/metrics on node b: the reason
              fix: run Swarmscout and Prometheus as services in the networks of what they scrape
                   if only Prometheus is there, name its service in the source: scraper: monitoring_prometheus
        "#]],
    );
    let one_answers = ["connect_timeout web a front first_network", "up api b back first_network"];
    check_in(
        here(),
        &one_answers,
        &expect![[r#"
        Error connect_timeout: service web: 1 of 1 probed targets do not answer to a connection
          http://10.0.0.0/metrics on node a: the reason
          fix: check whether Swarmscout is in the network of the target, and the firewall between them; for overlay networks allow 4789/udp, 7946/tcp and 7946/udp between all nodes
    "#]],
    );
}

#[test]
fn targets_of_a_node_that_is_down_belong_to_its_finding() {
    check(
        &["connect_timeout web lost front", "no_route api lost back", "up web a front"],
        &expect![[r#"
            Error node_not_ready: node lost: the managers see it as down: what runs on it is unknown; no answer from 2 of its targets
              http://10.0.0.0/metrics on node lost: the reason
              http://10.0.0.1/metrics on node lost: the reason
              fix: start its Docker Engine, and check that 2377/tcp of the managers is open to it; if it is gone for good: docker node rm lost
        "#]],
    );
}

#[test]
fn addresses_of_the_routing_mesh_cannot_be_scraped() {
    check(
        &["connect_timeout web a ingress", "connect_timeout api b ingress"],
        &expect![[r#"
        Error ingress_address: job swarm: 2 targets at addresses of the network ingress, which only published ports use
          http://10.0.0.0/metrics on node a: the reason
          http://10.0.0.1/metrics on node b: the reason
          fix: drop them: relabel_configs: [{source_labels: [__meta_dockerswarm_network_ingress], regex: "true", action: drop}]
    "#]],
    );
}

#[test]
fn each_outcome_has_its_fix() {
    check(
        &[
            "port_closed web a front",
            "unauthorized web b front",
            "not_metrics web a front",
            "unauthorized api a front class",
            "connect_timeout slow - -",
        ],
        &expect![[r#"
            Note unauthorized: service api: 1 of 1 probed targets want credentials, which the job of their class has
              http://10.0.0.3/metrics on node a: the reason
              fix: 
            Error connect_timeout: service slow: 1 of 1 probed targets do not answer to a connection
              http://10.0.0.4/metrics on node -: the reason
              fix: check whether Swarmscout is in the network of the target, and the firewall between them; for overlay networks allow 4789/udp, 7946/tcp and 7946/udp between all nodes
            Error port_closed: service web: 1 of 3 probed targets do not listen on their port
              http://10.0.0.0/metrics on node a: the reason
              fix: set prometheus.io/port to the port on which the container listens; a process that listens on 127.0.0.1 only must listen on 0.0.0.0
            Warning unauthorized: service web: 1 of 3 probed targets want credentials
              http://10.0.0.1/metrics on node b: the reason
              fix: give the scraper the credentials: put the service into a class with prometheus.io/class, and scrape that class with a job that has them
            Error not_metrics: service web: 1 of 3 probed targets answer with something other than metrics
              http://10.0.0.2/metrics on node a: the reason
              fix: set prometheus.io/path to the path of its metrics
        "#]],
    );
}

/// Prometheus has it.
#[test]
fn what_wants_a_certificate_is_no_error_and_what_has_no_tls_is_one() {
    check(
        &[
            "client_certificate web a - node_part",
            "client_certificate node a -",
            "no_tls web a - node_part",
            "no_tls db a -",
            "unauthorized db b - node_part",
            "port_closed web b - node_part:connect",
            "node_part web c - node_part:closed",
        ],
        &expect![[r#"
            Note client_certificate: job swarm: 4 targets want a client certificate, which the scraper may have and this probe has not
              http://10.0.0.1/metrics on node a: the reason
              https://10.0.0.0:9466/reach/t/http/80/metrics on node a: the reason
              https://10.0.0.4:9466/reach/t/http/80/metrics on node b: the reason
              fix: nothing, if Prometheus scrapes them: else set cert_file and key_file in its tls_config (docs/reach.md for node parts)
            Error no_tls: service db: 1 of 2 probed targets speak no TLS on their port
              http://10.0.0.3/metrics on node a: the reason
              fix: set prometheus.io/scheme to http
            Error port_closed: service web: 1 of 4 probed targets do not listen on their port
              https://10.0.0.5:9466/reach/t/http/80/metrics on node b: the reason
              fix: set prometheus.io/port to the port on which the container listens; a process that listens on 127.0.0.1 only must listen on 0.0.0.0
            Error no_tls: service web: 1 of 4 probed targets speak no TLS on their port
              https://10.0.0.2:9466/reach/t/http/80/metrics on node a: the reason
              fix: give the node parts TLS and client certificates by --web.config.file, or relabel __scheme__ to http where --reach.insecure is meant (docs/reach.md)
        "#]],
    );
}

#[test]
fn what_a_node_part_says_is_not_taken_for_the_target() {
    check(
        &[
            "port_closed web a - node_part:connect",
            "node_part db a - node_part:internal",
            "node_part db b - node_part:task",
            "node_part db b - node_part:new_one",
            "connect_timeout web b - node_part",
            "port_closed db b - node_part",
            "up api b - node_part",
        ],
        &expect![[r#"
            Error node_part_silent: node b: no connection to its node part, and 2 targets are behind it
              https://10.0.0.4:9466/reach/t/http/80/metrics on node b: the reason
              https://10.0.0.5:9466/reach/t/http/80/metrics on node b: the reason
              fix: check that swarmscout node runs there (docker service ps of its service), and that its port is open to the scraper
            Error node_part: service db: 1 of 4 probed targets cannot be fetched by the node part of their node
              https://10.0.0.1:9466/reach/t/http/80/metrics on node a: the reason
              fix: attach it to one more network that is not internal, or scrape it directly
            Error node_part: service db: 1 of 4 probed targets cannot be fetched by the node part of their node
              https://10.0.0.3:9466/reach/t/http/80/metrics on node b: the reason
              fix: see docs/reach.md for the reason
            Error node_part: service db: 1 of 4 probed targets cannot be fetched by the node part of their node
              https://10.0.0.2:9466/reach/t/http/80/metrics on node b: the reason
              fix: if it is so again in a minute, the list of the node part is old: its log says why it does not get a new one from --manager
            Error port_closed: service web: 1 of 2 probed targets do not listen on their port
              https://10.0.0.0:9466/reach/t/http/80/metrics on node a: the reason
              fix: set prometheus.io/port to the port on which the container listens; a process that listens on 127.0.0.1 only must listen on 0.0.0.0
        "#]],
    );
}

/// There are no overlay networks without a Swarm.
#[test]
fn a_container_of_a_plain_engine_is_to_publish_its_port() {
    check(
        &["connect_timeout shop_web pi1 shop_default plain!", "up shop_db pi1 shop_default"],
        &expect![[r#"
            Error network_not_shared: service shop_web: the scraper shares no network with it
              http://10.0.0.0/metrics on node pi1: the reason
              fix: publish its port (ports: in its Compose file); on the machine of the scraper it is enough to attach it to a network of the scraper (docker network connect NETWORK CONTAINER)
        "#]],
    );
}
