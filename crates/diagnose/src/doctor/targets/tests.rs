use expect_test::{Expect, expect};
use swarmscout_model::PoolSpec;
use swarmscout_publish::testing::{group, set};

use super::*;

fn service(name: &str, targets: &[&str]) -> Arc<TargetGroup> {
    group(name, &format!("__meta_dockerswarm_service_name={name}"), targets)
}

fn sets(groups: &[Arc<TargetGroup>]) -> Vec<Arc<TargetSet>> {
    vec![Arc::new(set(&PoolSpec::new("swarm"), groups))]
}

#[test]
fn each_service_has_its_part_of_the_sample() {
    let many: Vec<_> = (0..95).map(|i| format!("10.0.0.{i}:80")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let groups = [
        service("many", &many),
        service("few", &["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80", "10.1.0.4:80"]),
        service("one", &["10.2.0.1:80"]),
    ];
    let urls = |most| {
        let (total, sample) = sample(&sets(&groups), most);
        assert_eq!(total, 100);
        sample.into_iter().map(|candidate| candidate.url).collect::<Vec<_>>()
    };
    assert_eq!(urls(100).len(), 100);
    expect![[r#"
        http://10.0.0.0:80/metrics
        http://10.0.0.10:80/metrics
        http://10.0.0.21:80/metrics
        http://10.0.0.31:80/metrics
        http://10.0.0.42:80/metrics
        http://10.0.0.52:80/metrics
        http://10.0.0.63:80/metrics
        http://10.0.0.73:80/metrics
        http://10.0.0.84:80/metrics
        http://10.1.0.1:80/metrics"#]]
    .assert_eq(&urls(10).join("\n"));
}

#[test]
fn a_url_of_two_jobs_is_probed_once() {
    let groups = [service("web", &["10.0.0.1:80"])];
    let jobs = ["a", "b"].map(|job| Arc::new(set(&PoolSpec::new(job), &groups)));
    let (total, sample) = sample(&jobs, 100);
    assert_eq!((total, sample.len()), (2, 1));
}

#[test]
fn urls_for_a_prober_are_not_scraped() {
    let probes = group("p", "__meta_swarmscout_list=probes", &["shop.example.com:443"]);
    let class = group("c", "__meta_swarmscout_list=class/internal", &["10.0.0.1:80"]);
    let (total, sample) = sample(&sets(&[probes, class]), 100);
    assert_eq!((total, sample.len()), (1, 1));
    assert_eq!(sample[0].url, "http://10.0.0.1:80/metrics");
}

/// `outcome node [reason why it is unreachable]`, one for each target.
fn check(targets: &[&str], expected: &Expect) {
    let outcomes = [
        Outcome::Up,
        Outcome::PortClosed,
        Outcome::ConnectTimeout,
        Outcome::Unauthorized,
        Outcome::NotMetrics,
    ];
    let result = |(place, text): (usize, &&str)| {
        let mut words = text.splitn(3, ' ');
        let outcome = words.next().unwrap();
        let outcome = *outcomes.iter().find(|known| known.as_str() == outcome).unwrap();
        let candidate = Candidate {
            subject: "service web".to_owned(),
            node: words.next().unwrap().to_owned(),
            url: format!("http://10.0.0.{place}/metrics"),
            unreachable: words.next().map(str::to_owned),
        };
        let detail = "the reason".to_owned();
        (candidate, Probed { outcome, detail, took: Duration::ZERO })
    };
    let findings = findings(targets.iter().enumerate().map(result).collect());
    let text = findings.iter().map(|finding| {
        let Finding { severity, check, subject, problem, fix, examples, .. } = finding;
        let examples = examples.join("\n  ");
        format!("{severity:?} {check}: {subject}: {problem}\n  {examples}\n  fix: {fix}\n")
    });
    expected.assert_eq(&text.collect::<String>());
}

#[test]
fn targets_that_answer_are_no_finding() {
    check(&["up a", "up b"], &expect![""]);
}

#[test]
fn one_node_that_is_cut_off_is_named() {
    check(
        &["up a", "up b", "connect_timeout c", "connect_timeout c"],
        &expect![[r#"
        Error connect_timeout: service web: 2 of 4 probed targets do not answer to a connection
          http://10.0.0.2/metrics on node c: the reason
          http://10.0.0.3/metrics on node c: the reason
          fix: only targets on c fail: its overlay network is cut off, as by a firewall; allow 7946/tcp, 7946/udp and 4789/udp between all nodes
    "#]],
    );
}

#[test]
fn a_firewall_is_suspected_if_no_node_answers() {
    check(
        &["connect_timeout a", "connect_timeout b"],
        &expect![[r#"
        Error connect_timeout: service web: 2 of 2 probed targets do not answer to a connection
          http://10.0.0.0/metrics on node a: the reason
          http://10.0.0.1/metrics on node b: the reason
          fix: the overlay network may be blocked by a firewall: allow 7946/tcp, 7946/udp and 4789/udp between all nodes
    "#]],
    );
}

#[test]
fn a_network_that_is_not_shared_is_the_reason() {
    check(
        &["connect_timeout a no network is shared with service web"],
        &expect![[r#"
        Error connect_timeout: service web: 1 of 1 probed targets do not answer to a connection
          http://10.0.0.0/metrics on node a: the reason
          fix: no network is shared with service web: attach the scraper to one of the service's networks, or name a network that both share in the label prometheus.io/network
    "#]],
    );
}

#[test]
fn each_outcome_has_its_fix() {
    check(
        &["port_closed a", "unauthorized b", "not_metrics c"],
        &expect![[r#"
            Error port_closed: service web: 1 of 3 probed targets do not listen on their port
              http://10.0.0.0/metrics on node a: the reason
              fix: set prometheus.io/port to the port on which the container listens; a process that listens on 127.0.0.1 only must listen on 0.0.0.0
            Warning unauthorized: service web: 1 of 3 probed targets want credentials
              http://10.0.0.1/metrics on node b: the reason
              fix: give the scraper the credentials: put the service into a class with prometheus.io/class, and scrape that class with a job that has them
            Error not_metrics: service web: 1 of 3 probed targets answer with something other than metrics
              http://10.0.0.2/metrics on node c: the reason
              fix: set prometheus.io/path to the path of its metrics
        "#]],
    );
}
