use std::fmt::Write as _;

use expect_test::{Expect, expect};
use swarmscout_docker::engine::LabelMap;

use super::dialects::DIALECTS;
use super::*;

/// Labels, one a line, `key=value`; those of the container after a line `--`.
fn read(labels: &str) -> [LabelMap; 2] {
    let (service, container) = labels.split_once("--\n").unwrap_or((labels, ""));
    [service, container].map(|labels| {
        let lines = labels.lines().map(str::trim).filter(|line| !line.is_empty());
        let pairs = lines.filter_map(|line| line.split_once('='));
        LabelMap::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    })
}

fn rules() -> Rules {
    Rules::new("prometheus.io/", &DIALECTS)
}

fn check(labels: &str, expected: &Expect) {
    let [service, container] = read(labels);
    expected.assert_eq(&show(&declared(&rules(), &service, &container)));
}

fn show(declared: &Declared<'_>) -> String {
    let mut text = fuzzing::show(declared);
    for refusal in &declared.refusals {
        let lost = if refusal.endpoint_lost { "lost" } else { "kept" };
        writeln!(text, "{lost}: {}: {}", refusal.reason.as_str(), refusal.detail).unwrap();
    }
    text
}

#[test]
fn one_label_is_enough_and_a_second_endpoint_has_a_name() {
    check("com.docker.stack.namespace=shop", &expect![[""]]);
    check(
        "prometheus.io/port=8080
         prometheus.io/admin.port=9200
         prometheus.io/admin.path=/internal/metrics
         prometheus.io/admin.interval=60s",
        &expect![[r#"
            by ours, service
            "" http 8080 /metrics
            "admin" http 9200 /internal/metrics every 1m within 10s
        "#]],
    );
}

#[test]
fn every_key_counts() {
    check(
        "prometheus.io/port=8080
         prometheus.io/path=metrics
         prometheus.io/scheme=https
         prometheus.io/job=Café ☕
         prometheus.io/interval=1m
         prometheus.io/timeout=20s
         prometheus.io/network=shop_back
         prometheus.io/sample_limit=10000
         prometheus.io/scrape=T
         prometheus.io/class=internal
         prometheus.io/probe=https://shop.example.com/health?full=1
         prometheus.io/module=http_2xx
         prometheus.io/param.format=prometheus
         prometheus.io/label.team=web
         prometheus.io/label.port=a label",
        &expect![[r#"
            by ours, service
            "" https 8080 /metrics ?format=prometheus network=shop_back limit=10000 class=internal job=Café ☕ every 1m within 20s port="a label" team="web"
            probe "" https://shop.example.com/health?full=1 module=http_2xx job=Café ☕ every 1m within 20s port="a label" team="web"
        "#]],
    );
}

#[test]
fn endpoints_inherit_what_is_not_their_own() {
    check(
        "prometheus.io/port=8080
         prometheus.io/path=/a
         prometheus.io/scheme=https
         prometheus.io/param.a=1
         prometheus.io/job=shop
         prometheus.io/interval=1m
         prometheus.io/timeout=20s
         prometheus.io/network=back
         prometheus.io/sample_limit=5
         prometheus.io/class=internal
         prometheus.io/label.team=web
         prometheus.io/label.tier=1
         prometheus.io/one.port=1
         prometheus.io/two.port=2
         prometheus.io/two.job=two
         prometheus.io/two.interval=30s
         prometheus.io/two.label.tier=2
         prometheus.io/three.port=3
         prometheus.io/three.class=
         prometheus.io/three.job=
         prometheus.io/three.interval=
         prometheus.io/three.timeout=
         prometheus.io/three.network=
         prometheus.io/three.sample_limit=
         prometheus.io/three.path=
         prometheus.io/three.scheme=
         prometheus.io/three.label.team=",
        &expect![[r#"
            by ours, service
            "" https 8080 /a ?a=1 network=back limit=5 class=internal job=shop every 1m within 20s team="web" tier="1"
            "one" http 1 /metrics network=back limit=5 class=internal job=shop every 1m within 20s team="web" tier="1"
            "three" http 3 /metrics tier="1"
            "two" http 2 /metrics network=back limit=5 class=internal job=two every 30s within 20s team="web" tier="2"
        "#]],
    );
}

#[test]
fn defaults_need_no_endpoint_of_their_own() {
    check(
        "prometheus.io/job=shop
         prometheus.io/path=/metrics
         prometheus.io/label.team=web
         prometheus.io/a.port=1",
        &expect![[r#"
            by ours, service
            "a" http 1 /metrics job=shop team="web"
            kept: label without effect: prometheus.io/path="/metrics": named endpoints do not inherit it: write it for each of them
        "#]],
    );
}

#[test]
fn an_interval_alone_gives_a_timeout() {
    check(
        "prometheus.io/a.port=1
         prometheus.io/a.interval=5s
         prometheus.io/b.port=1
         prometheus.io/b.interval=2m
         prometheus.io/c.port=1
         prometheus.io/c.timeout=20s",
        &expect![[r#"
            by ours, service
            "a" http 1 /metrics every 5s within 5s
            "b" http 1 /metrics every 2m within 10s
            "c" http 1 /metrics within 20s
        "#]],
    );
}

#[test]
fn a_timeout_above_the_interval_is_refused_where_it_is_written() {
    check(
        "prometheus.io/port=1
         prometheus.io/interval=10s
         prometheus.io/timeout=11s
         prometheus.io/a.port=1
         prometheus.io/b.port=1
         prometheus.io/b.interval=5s
         prometheus.io/b.timeout=1m",
        &expect![[r#"
            by ours, service
            "a" http 1 /metrics every 10s within 10s
            lost: timeout greater than interval: prometheus.io/timeout="11s": the interval is 10s: write at most that
            lost: timeout greater than interval: prometheus.io/b.timeout="1m": the interval is 5s: write at most that
        "#]],
    );
    // The inherited timeout is good for others.
    check(
        "prometheus.io/timeout=20s
         prometheus.io/a.port=1
         prometheus.io/b.port=1
         prometheus.io/b.interval=10s",
        &expect![[r#"
            by ours, service
            "a" http 1 /metrics within 20s
            lost: timeout greater than interval: prometheus.io/b.interval="10s": the inherited timeout is 20s: write a timeout, too
        "#]],
    );
}

#[test]
fn a_service_and_an_endpoint_can_be_switched_off() {
    check(
        "prometheus.io/port=99999\nprometheus.io/scrape=False\nprometheus.io/a.port=1",
        &expect![[r#"
        by ours, service: off
    "#]],
    );
    check(
        "prometheus.io/port=1\nprometheus.io/a.port=99999\nprometheus.io/a.scrape=f",
        &expect![[r#"
        by ours, service
        "" http 1 /metrics
    "#]],
    );
    check(
        "prometheus.io/a.scrape=0\n--\nprometheus.io/port=1",
        &expect![[r#"
        by ours, service
    "#]],
    );
    check(
        "prometheus.io/scrape=true\nprometheus.io/a.scrape=1",
        &expect![[r#"
        by ours, service
        "" http published /metrics
        "a" http published /metrics
    "#]],
    );
    check(
        "prometheus.io/scrape=no\nprometheus.io/port=1\nprometheus.io/a.port=1",
        &expect![[r#"
        by ours, service
        "a" http 1 /metrics
        lost: not a boolean: prometheus.io/scrape="no": write "true" or "false"
    "#]],
    );
}

#[test]
fn a_bad_endpoint_leaves_its_neighbours() {
    check(
        "prometheus.io/port=8080/tcp
         prometheus.io/interval=fast
         prometheus.io/a.port=0
         prometheus.io/b.port=65536
         prometheus.io/c.port=+80
         prometheus.io/d.port=
         prometheus.io/e.port=65535
         prometheus.io/f.port=1
         prometheus.io/f.path=http://x/metrics
         prometheus.io/g.port=1
         prometheus.io/g.path=/metrics?format=prometheus
         prometheus.io/h.port=1
         prometheus.io/h.scheme=HTTPS
         prometheus.io/i.port=1
         prometheus.io/i.interval=0s
         prometheus.io/j.port=1
         prometheus.io/j.timeout=10
         prometheus.io/k.port=1
         prometheus.io/k.sample_limit=-1
         prometheus.io/l.port=1
         prometheus.io/l.class=In ternal
         prometheus.io/m.port=1
         prometheus.io/m.param.match[]=up
         prometheus.io/n.job=no port",
        &expect![[r#"
            by ours, service
            "e" http 65535 /metrics
            lost: invalid port: prometheus.io/port="8080/tcp": write a number from 1 to 65535
            lost: invalid duration: prometheus.io/interval="fast": write a duration above 0, such as 30s or 1m30s
            lost: invalid port: prometheus.io/a.port="0": write a number from 1 to 65535
            lost: invalid port: prometheus.io/b.port="65536": write a number from 1 to 65535
            lost: invalid port: prometheus.io/c.port="+80": write a number from 1 to 65535
            lost: invalid port: prometheus.io/d.port="": write a number from 1 to 65535
            lost: invalid path: prometheus.io/f.path="http://x/metrics": write the path alone, such as /metrics; scheme and port are labels of their own
            lost: invalid path: prometheus.io/g.path="/metrics?format=prometheus": write the path without its query, and the query as labels param.<name>
            lost: invalid scheme: prometheus.io/h.scheme="HTTPS": write "http" or "https"
            lost: invalid duration: prometheus.io/i.interval="0s": write a duration above 0, such as 30s or 1m30s
            lost: invalid duration: prometheus.io/j.timeout="10": write a duration above 0, such as 30s or 1m30s
            lost: not a number: prometheus.io/k.sample_limit="-1": write a number of samples, such as 10000
            lost: invalid class: prometheus.io/l.class="In ternal": write a name of lower case letters, digits, _ and -, such as internal
            lost: invalid parameter name: prometheus.io/m.param.match[]="up": a parameter's name has letters, digits and _
            lost: endpoint without port: prometheus.io/n.job="no port": write prometheus.io/n.port, too
        "#]],
    );
}

/// It would be in the normal list, where credentials are missing.
#[test]
fn an_endpoint_does_not_lose_a_class_that_is_refused() {
    check(
        "prometheus.io/class=Internal
         prometheus.io/a.port=1
         prometheus.io/b.port=1
         prometheus.io/b.class=internal",
        &expect![[r#"
            by ours, service
            "b" http 1 /metrics class=internal
            lost: invalid class: prometheus.io/class="Internal": write a name of lower case letters, digits, _ and -, such as internal
            lost: invalid class: prometheus.io/a.port="1": the class that it inherits is refused
        "#]],
    );
}

#[test]
fn a_bad_label_leaves_its_endpoint() {
    check(
        "prometheus.io/port=1
         prometheus.io/label.job=x
         prometheus.io/label.instance=x
         prometheus.io/label.__address__=evil:80
         prometheus.io/label.my-team=x
         prometheus.io/label.1st=x
         prometheus.io/label.a.b=x
         prometheus.io/label.ok=x
         prometheus.io/portt=8080
         prometheus.io/label=x
         prometheus.io/a.metrics_path=/x
         prometheus.io/a.label.\u{fffd}=x
         prometheus.io/Admin.port=1
         prometheus.io/port.path=/
         prometheus.io/module=http_2xx",
        &expect![[r#"
            by ours, service
            "" http 1 /metrics ok="x"
            lost: invalid endpoint name: prometheus.io/Admin.port="1": the name of an endpoint has 1 to 63 lower case letters, digits, _ and -, and begins with a letter or digit
            kept: unknown key: prometheus.io/a.metrics_path="/x": the nearest key is a.path
            kept: unknown key: prometheus.io/label="x": the nearest key is label.<name>
            lost: reserved endpoint name: prometheus.io/port.path="/": port is a key; give the endpoint another name
            kept: unknown key: prometheus.io/portt="8080": the nearest key is port
            kept: label without effect: prometheus.io/module="http_2xx": a module is that of a probe: write the key probe, too
            kept: invalid label name: prometheus.io/label.1st="x": a label's name has letters, digits and _, and no digit first
            kept: reserved label name: prometheus.io/label.__address__="evil:80": instance and names that begin with __ are not set by labels
            kept: invalid label name: prometheus.io/label.a.b="x": a label's name has letters, digits and _, and no digit first
            kept: reserved label name: prometheus.io/label.instance="x": instance and names that begin with __ are not set by labels
            kept: reserved label name: prometheus.io/label.job="x": the key job sets the label job
            kept: invalid label name: prometheus.io/label.my-team="x": a label's name has letters, digits and _, and no digit first
            lost: endpoint without port: prometheus.io/a.label.�="x": write prometheus.io/a.port, too
        "#]],
    );
}

#[test]
fn a_probe_needs_no_port() {
    check(
        "prometheus.io/label.team=web
         prometheus.io/path=/x
         prometheus.io/shop.probe=https://shop.example.com/
         prometheus.io/shop.module=http_2xx
         prometheus.io/shop.interval=1m
         prometheus.io/shop.scheme=https",
        &expect![[r#"
            by ours, service
            probe "shop" https://shop.example.com/ module=http_2xx every 1m within 10s team="web"
            kept: label without effect: prometheus.io/path="/x": named endpoints do not inherit it: write it for each of them
            kept: label without effect: prometheus.io/shop.scheme="https": a probe alone does not have it
        "#]],
    );
    check(
        "prometheus.io/probe=ftp://x",
        &expect![[r#"
        by ours, service
        kept: invalid probe: prometheus.io/probe="ftp://x": write an http:// or https:// URL, or "traefik"
    "#]],
    );
    check(
        "prometheus.io/probe=http:///x",
        &expect![[r#"
        by ours, service
        kept: invalid probe: prometheus.io/probe="http:///x": write an http:// or https:// URL, or "traefik"
    "#]],
    );
    check(
        "prometheus.io/probe=https://user:secret@example.com/",
        &expect![[r#"
        by ours, service
        kept: invalid probe: prometheus.io/probe="https://xxxxx@example.com/": write the URL without user and password; a module of the blackbox exporter has them
    "#]],
    );
    check(
        "prometheus.io/probe=traefik",
        &expect![[r#"
        by ours, service
        kept: no Traefik host: prometheus.io/probe="traefik": the service has no Traefik rule with a host
    "#]],
    );
    check(
        "prometheus.io/port=1\nprometheus.io/probe=x",
        &expect![[r#"
        by ours, service
        "" http 1 /metrics
        kept: invalid probe: prometheus.io/probe="x": write an http:// or https:// URL, or "traefik"
    "#]],
    );
}

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
fn the_hosts_of_traefik_are_probed() {
    check(
        "prometheus.io/probe=traefik
         traefik.http.routers.a.rule=Host(`a.example.com`) || Host(`b.example.com`, \"c.example.com\")
         traefik.http.routers.a.tls=true
         traefik.http.routers.b.rule=(Host(`b.example.com`) && PathPrefix(`/Host(`)) || !Host(`d.example.com`)
         traefik.http.routers.c.rule=HostRegexp(`.*`) || HeadersRegexp(`x`, `Host(y)`) && Host( 'E.example.com' )
         traefik.HTTP.Routers.c.EntryPoints=web,websecure
         traefik.http.routers.d.rule=Host(`{sub:[a-z]+}.example.com`)
         traefik.http.routers.d.tls.certresolver=le
         traefik.http.routers.e.rule=Host(`unclosed",
        &expect![[r#"
            by ours, service
            probe "" https://a.example.com/ https://b.example.com/ https://c.example.com/ https://e.example.com/
        "#]],
    );
    check(
        "prometheus.io/w.probe=traefik
         traefik.frontend.rule=Host:a.example.com, b.example.com;PathPrefix:/x
         traefik.api.frontend.rule=PathPrefix:/;Host:c.example.com
         traefik.api.frontend.entryPoints=http,https",
        &expect![[r#"
            by ours, service
            probe "w" http://a.example.com/ http://b.example.com/ https://c.example.com/
        "#]],
    );
    check(
        "prometheus.io/probe=traefik\n--\ntraefik.http.routers.a.rule=Host(`a.b`)",
        &expect![[r#"
            by ours, service
            probe "" http://a.b/
        "#]],
    );
}

#[test]
fn what_is_too_large_is_refused_and_cut() {
    let long = "x".repeat(64 << 10);
    check(
        &format!(
            "prometheus.io/port={long}\nprometheus.io/a.port=1\nprometheus.io/a.label.big={long}\n\
             prometheus.io/{long}.port=1"
        ),
        &expect![[r#"
            by ours, service
            "a" http 1 /metrics
            lost: invalid endpoint name: prometheus.io/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx="1": the name of an endpoint has 1 to 63 lower case letters, digits, _ and -, and begins with a letter or digit
            lost: value too long: prometheus.io/port="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…: a value has at most 4096 bytes
            kept: value too long: prometheus.io/a.label.big="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"…: a value has at most 4096 bytes
        "#]],
    );
    let lines = (0..5000).map(|i| format!("prometheus.io/e{i:04}.port=1"));
    let labels = lines.collect::<Vec<_>>().join("\n");
    let [service, container] = read(&labels);
    let of_many = declared(&rules(), &service, &container);
    assert_eq!((of_many.endpoints.len(), of_many.refusals.len()), (64, 100));
    let last = &of_many.refusals[99].detail;
    assert!(last.ends_with("endpoints and probes; 4836 more are not listed"), "{last}");
    let lines = (0..5000).map(|i| format!("prometheus.io/label.l{i:04}=1"));
    let labels = lines.collect::<Vec<_>>().join("\n");
    let [service, container] = read(&format!("prometheus.io/port=1\n{labels}"));
    let of_many = declared(&rules(), &service, &container);
    assert_eq!((of_many.endpoints[0].shared.labels.len(), of_many.refusals.len()), (744, 100));
}

/// Every label, in the order in which they are tried, with what became of it.
fn check_explained(labels: &str, expected: &Expect) {
    let [service, container] = read(labels);
    let (of_explain, found) = explained(&rules(), &service, &container);
    assert_eq!(of_explain, declared(&rules(), &service, &container));
    let mut text = String::new();
    for FoundLabel { of, key, value, endpoint, outcome } in found {
        let outcome = match outcome {
            Outcome::Overridden(by) => {
                format!("overridden by {}, {}", by.style(), by.place.as_str())
            }
            Outcome::Refused(refusal) => format!("refused: {}", refusal.reason.as_str()),
            other => format!("{other:?}"),
        };
        let (style, place) = (of.style(), of.place.as_str());
        writeln!(text, "{style}, {place}: {key}={value} ({endpoint}) {outcome}").unwrap();
    }
    expected.assert_eq(&text);
}

#[test]
fn explain_shows_what_became_of_every_label() {
    check_explained(
        "prometheus.io/port=8080
         prometheus.io/path=metrics
         prometheus.io/class=
         prometheus.io/portt=1
         prometheus.io/a.port=x
         prometheus.io/a.path=/a
         prometheus.io/a.pathh=/a
         prometheus.io/b.port=1
         prometheus.io/b.scrape=false
         prometheus.port=1
         prometheus.path=/
         other=1
         --
         prometheus.io/port=2",
        &expect![[r#"
            ours, service: prometheus.io/a.pathh=/a (a) refused: unknown key
            ours, service: prometheus.io/portt=1 () refused: unknown key
            ours, service: prometheus.io/port=8080 () Used
            ours, service: prometheus.io/path=metrics () UsedAs("/metrics")
            ours, service: prometheus.io/class= () Default
            ours, service: prometheus.io/a.port=x (a) refused: invalid port
            ours, service: prometheus.io/a.path=/a (a) EndpointRefused("prometheus.io/a.port")
            ours, service: prometheus.io/b.scrape=false (b) Used
            ours, service: prometheus.io/b.port=1 (b) EndpointOff
            ours, container: prometheus.io/port=2 () overridden by ours, service
            containersolutions, service: prometheus.port=1 () overridden by ours, service
            blog-dots, service: prometheus.port=1 () overridden by ours, service
            blog-dots, service: prometheus.path=/ () overridden by ours, service
        "#]],
    );
    check_explained(
        "prometheus.io/scrape=false\nprometheus.io/a.port=x",
        &expect![[r#"
        ours, service: prometheus.io/scrape=false () Used
        ours, service: prometheus.io/a.port=x (a) ServiceOff
    "#]],
    );
    check_explained(
        "prometheus.port=1\nprometheus.path=/m\ncom.df.scrapeType=x",
        &expect![[r#"
            docker-flow-monitor, service: com.df.scrapeType=x () Unused
            blog-dots, service: prometheus.port=1 () Used
            blog-dots, service: prometheus.path=/m () Used
        "#]],
    );
    check_explained(
        "prometheus.enable=true\nprometheus.team=x",
        &expect![[r#"
        blog-dots, service: prometheus.enable=true () Used
    "#]],
    );
    check_explained(
        "--\nprometheus.io/label.url=http://u:p@h/",
        &expect![[r#"
        ours, container: prometheus.io/label.url=http://xxxxx@h/ () refused: endpoint without port
    "#]],
    );
}

#[test]
fn dialects_have_names_of_their_own() {
    for dialect in &DIALECTS {
        assert!(std::ptr::eq(Dialect::named(dialect.name).unwrap(), dialect));
    }
    assert!(Dialect::named("ours").is_none());
}

#[test]
fn reasons_are_a_few_constant_words() {
    let reasons = [Reason::NoPort, Reason::UnknownKey].map(Reason::as_str);
    assert_eq!(reasons, ["endpoint without port", "unknown key"]);
}
