//! What is probed.

use expect_test::expect;

use super::*;

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
