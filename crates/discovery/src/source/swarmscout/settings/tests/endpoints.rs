//! What labels of ours declare.

use expect_test::expect;

use super::*;

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
