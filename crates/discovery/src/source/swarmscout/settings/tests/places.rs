//! Which place and which dialect counts.

use expect_test::expect;

use super::*;

#[test]
fn the_first_place_that_declares_an_endpoint_counts_as_a_whole() {
    check(
        "prometheus.io/job=a\n--\nprometheus.io/port=2\nprometheus.io/path=/b",
        &expect![[r#"
        by ours, container
        "" http 2 /b
        lost: endpoint without port: prometheus.io/job="a": write prometheus.io/port, too, in the same place
    "#]],
    );
    check(
        "prometheus.io/port=1\n--\nprometheus.io/port=2\nprometheus.io/a.port=3",
        &expect![[r#"
        by ours, service
        "" http 1 /metrics
    "#]],
    );
    check(
        "prometheus.io/port=x\n--\nprometheus.io/port=2",
        &expect![[r#"
        by ours, service
        lost: invalid port: prometheus.io/port="x": write a number from 1 to 65535
    "#]],
    );
    check(
        "--\nprometheus.io/scrape=false\nprometheus.port=3",
        &expect![[r#"
        by ours, container: off
    "#]],
    );
    check(
        "prometheus.port=3\n--\nprometheus.io/port=4",
        &expect![[r#"
        by ours, container
        "" http 4 /metrics
    "#]],
    );
    check(
        "prometheus-port=3\ncom.df.scrapePort=5\ncom.df.notify=true",
        &expect![[r#"
        by docker-flow-monitor, service
        "" http 5 /metrics
    "#]],
    );
}

#[test]
fn the_dialects_are_read_as_their_programs_read_them() {
    check(
        "--\nprometheus.port=8079",
        &expect![[r#"
        by containersolutions, container
        "" http 8079 /metrics
    "#]],
    );
    check(
        "prometheus.port=8079\nprometheus.ignore=true",
        &expect![[r#"
        by containersolutions, service: off
    "#]],
    );
    check(
        "prometheus.port=8079\nprometheus.ignore=false",
        &expect![[r#"
        by containersolutions, service
        "" http 8079 /metrics
    "#]],
    );
    check(
        "prometheus.enable=true
         prometheus.targets.web.port=8080
         prometheus.targets.web.path=/m
         prometheus.targets.web.scheme=https
         prometheus.targets.web.params.format=x
         prometheus.targets.web.networks=back, front
         prometheus.targets.web.labels.my-team=a
         prometheus.jobs.Other_Job.labels.job=other
         prometheus.jobs.out.hosts=example.com:80",
        &expect![[r#"
            by llacroix, service
            "Other_Job" http 80 /metrics job=other
            "web" https 8080 /m ?format=x network=back job=web my_team="a"
            lost: unsupported key: prometheus.jobs.out.hosts="example.com:80": not supported: list addresses outside of the Swarm in static_configs
        "#]],
    );
    check(
        "prometheus.targets.web.port=8080",
        &expect![[r#"
        lost: not enabled: prometheus.targets.web.port="8080": write prometheus.enable="true", too
    "#]],
    );
    check(
        "prometheus.enable=false\nprometheus.targets.web.port=8080",
        &expect![[r#"
        by llacroix, service: off
    "#]],
    );
    check(
        "prometheus.enable=true\nprometheus.targets.a.port=1\nprometheus.jobs.a.port=2",
        &expect![[r#"
        by llacroix, service
        lost: contradictory labels: prometheus.targets.a.port="1": prometheus.jobs.a.port says something else; remove one
    "#]],
    );
    check(
        "com.df.notify=true
         com.df.scrapePort=8080
         com.df.metricsPath=/m
         com.df.scrapeInterval=15s
         com.df.scrapeTimeout=5s
         com.df.scrapeType=static_configs
         com.df.alertName.1=mem",
        &expect![[r#"
            by docker-flow-monitor, service
            "" http 8080 /m every 15s within 5s
        "#]],
    );
    check(
        "com.df.scrapePort=8080",
        &expect![[r#"
        lost: not enabled: com.df.scrapePort="8080": write com.df.notify="true", too
    "#]],
    );
    check(
        "com.df.scrapePort=8080\ncom.df.notify=false",
        &expect![[r#"
        by docker-flow-monitor, service: off
    "#]],
    );
    let blog =
        |prefix| "!enable=true\n!port=80\n!path=m\n!scheme=https\n!job=x".replace('!', prefix);
    check(
        &blog("prometheus."),
        &expect![[r#"
        by blog-dots, service
        "" https 80 /m job=x
    "#]],
    );
    check(
        &blog("prometheus-"),
        &expect![[r#"
        by blog-dashes, service
        "" https 80 /m job=x
    "#]],
    );
    check(
        &blog("prometheus_"),
        &expect![[r#"
        by blog-underscores, service
        "" https 80 /m job=x
    "#]],
    );
    // As in the guide of Prometheus: the port is that which the service publishes.
    check(
        "prometheus-job=cadvisor",
        &expect![[r#"
        by blog-dashes, service
        "" http published /metrics job=cadvisor
    "#]],
    );
    check(
        "prometheus.scrape=false\nprometheus.port=1",
        &expect![[r#"
        by blog-dots, service: off
    "#]],
    );
    check("prometheus.path=/m", &expect![[""]]);
}

#[test]
fn dialects_have_names_of_their_own() {
    for dialect in &DIALECTS {
        assert!(std::ptr::eq(Dialect::named(dialect.name).unwrap(), dialect));
    }
    assert!(Dialect::named("ours").is_none());
}
