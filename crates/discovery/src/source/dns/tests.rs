//! Against servers on loopback, whose encoder knows nothing of the library that we read with.

mod faults;
mod pace;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use expect_test::{Expect, expect};
use swarmscout_model::{PromDuration, TargetGroup};
use swarmscout_sim_stores::dns::{Data, DnsServer, Zone, kind};

use super::*;
use crate::RefreshScope;

/// Servers of one zone, and the file that names them.
struct World {
    zone: Zone,
    servers: Vec<DnsServer>,
    file: PathBuf,
    context: BuildContext,
}

impl World {
    fn new(servers: usize) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("swarmscout-resolv-{}-{number}.conf", std::process::id());
        let file = std::env::temp_dir().join(name);
        let zone = Zone::default();
        let servers = (0..servers).map(|_| DnsServer::start(&zone).unwrap()).collect();
        let mut context = BuildContext::new("test");
        context.dns = Arc::new(Resolver::new(&file));
        let world = Self { zone, servers, file, context };
        world.conf("");
        world
    }

    /// Puts another file in place of `resolv.conf`, with all servers and these lines.
    fn conf(&self, lines: &str) {
        let mut text = String::new();
        for server in &self.servers {
            writeln!(text, "nameserver {}", bracketed(server)).unwrap();
        }
        text.push_str(lines);
        let new = self.file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    fn set_a(&self, name: &str, addresses: &[[u8; 4]]) {
        self.zone.set(name, addresses.iter().map(|address| Data::A((*address).into())));
    }

    fn source(&self, record_type: RecordType, names: &[&str]) -> Dns {
        let config = DnsConfig {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            record_type,
            port: 8080,
            refresh_interval: PromDuration::from_secs(30),
        };
        Dns::new(&config, &self.context)
    }

    /// The result of a refresh, with `S1` in place of the first server.
    async fn check(&self, source: &mut Dns, expected: Expect) {
        let mut shown = String::new();
        match source.fetch(RefreshScope::Full).await {
            Err(error) => writeln!(shown, "error: {error}").unwrap(),
            Ok(Refreshed { value: what, problems, .. }) => {
                for group in what {
                    let TargetGroup { source, targets, labels } = &*group;
                    writeln!(shown, "{source} {targets:?} {labels:?}").unwrap();
                }
                for Problem { kind, object, reason, detail } in problems {
                    writeln!(shown, "problem: {kind} {object}: {reason}: {detail}").unwrap();
                }
            }
        }
        for (i, server) in self.servers.iter().enumerate() {
            shown = shown.replace(&bracketed(server), &format!("S{}", i + 1));
        }
        expected.assert_eq(&shown.replace(self.file.to_str().unwrap(), "FILE"));
    }

    /// What the servers were asked since this was last called: `S1 a.example. A, tcp …`.
    fn asked(&self) -> Vec<String> {
        let mut queries: Vec<_> = self
            .servers
            .iter()
            .enumerate()
            .flat_map(|(i, server)| server.queries().into_iter().map(move |query| (i, query)))
            .collect();
        queries.sort_by_key(|(_, query)| query.at);
        self.servers.iter().for_each(DnsServer::forget_queries);
        let line = |(i, query): (usize, swarmscout_sim_stores::dns::Query)| {
            let edns = query.udp_size.map_or(String::new(), |size| format!(" edns {size}"));
            let tcp = if query.tcp { " tcp" } else { "" };
            assert!(query.recursion);
            format!("S{} {} {}{edns}{tcp}", i + 1, query.name, query.kind)
        };
        queries.into_iter().map(line).collect()
    }

    fn counted(&self) -> (u64, u64) {
        let stats = &self.context.stats;
        (stats.dns_lookups.get(), stats.dns_lookup_failures.get())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).unwrap();
    }
}

fn bracketed(server: &DnsServer) -> String {
    format!("[{}]:{}", server.addr().ip(), server.addr().port())
}

#[tokio::test]
async fn makes_targets_of_every_type() {
    let world = World::new(1);
    let srv =
        |port, target: &str| Data::Srv { priority: 1, weight: 2, port, target: target.to_owned() };
    world.zone.set(
        "all.example",
        [
            Data::A([10, 0, 0, 2].into()),
            Data::A([10, 0, 0, 1].into()),
            Data::A([10, 0, 0, 2].into()),
            Data::Aaaa("2001:db8::1".parse().unwrap()),
            Data::Aaaa("::ffff:10.0.0.9".parse().unwrap()),
            Data::Aaaa("::10.0.0.9".parse().unwrap()),
            srv(9100, "b.example"),
            srv(80, "a.example."),
            srv(1, "."),
            Data::Mx { preference: 1, exchange: "mail.example".to_owned() },
            Data::Ns(r"odd\.label\032\000.Example".to_owned()),
        ],
    );
    let mut a = world.source(RecordType::A, &["all.example."]);
    world.check(&mut a, expect![[r#"
        all.example. [{__address__="10.0.0.2:8080"}, {__address__="10.0.0.1:8080"}] {__meta_dns_name="all.example."}
    "#]]).await;
    let mut aaaa = world.source(RecordType::Aaaa, &["all.example"]);
    world.check(&mut aaaa, expect![[r#"
        all.example [{__address__="[2001:db8::1]:8080"}, {__address__="[::a00:9]:8080"}, {__address__="10.0.0.9:8080"}] {__meta_dns_name="all.example"}
    "#]]).await;
    let mut srv = world.source(RecordType::Srv, &["all.example"]);
    world.check(&mut srv, expect![[r#"
        all.example [{__address__="b.example:9100", __meta_dns_srv_record_port="9100", __meta_dns_srv_record_target="b.example."}, {__address__="a.example:80", __meta_dns_srv_record_port="80", __meta_dns_srv_record_target="a.example."}, {__address__=":1", __meta_dns_srv_record_port="1", __meta_dns_srv_record_target="."}] {__meta_dns_name="all.example"}
    "#]]).await;
    let mut mx = world.source(RecordType::Mx, &["all.example"]);
    world.check(&mut mx, expect![[r#"
        all.example [{__address__="mail.example:8080", __meta_dns_mx_record_target="mail.example."}] {__meta_dns_name="all.example"}
    "#]]).await;
    let mut ns = world.source(RecordType::Ns, &["all.example"]);
    world.check(&mut ns, expect![[r#"
        all.example [{__address__="odd\\.label\\ \\000.Example:8080", __meta_dns_ns_record_target="odd\\.label\\ \\000.Example."}] {__meta_dns_name="all.example"}
    "#]]).await;
    expect![[r#"
        S1 all.example. 1 edns 1232
        S1 all.example. 28 edns 1232
        S1 all.example. 33 edns 1232
        S1 all.example. 15 edns 1232
        S1 all.example. 2 edns 1232"#]]
    .assert_eq(&world.asked().join("\n"));
    assert_eq!(world.counted(), (5, 0));
}

#[tokio::test]
async fn follows_aliases_and_names_records_that_are_not_targets() {
    let world = World::new(1);
    world.zone.set("alias.example", [Data::Cname("real.example".to_owned())]);
    world.set_a("real.example", &[[10, 0, 0, 1]]);
    let mut source = world.source(RecordType::A, &["alias.example", "real.example"]);
    world
        .check(
            &mut source,
            expect![[r#"
        alias.example [{__address__="10.0.0.1:8080"}] {__meta_dns_name="alias.example"}
        real.example [{__address__="10.0.0.1:8080"}] {__meta_dns_name="real.example"}
    "#]],
        )
        .await;
    world.zone.set("real.example", [Data::Other(kind::TXT, b"\x02hi".to_vec())]);
    let mut source = world.source(RecordType::A, &["real.example"]);
    world.check(&mut source, expect![[r#""#]]).await;
}

#[tokio::test]
async fn tries_the_search_list_until_a_name_exists() {
    let world = World::new(1);
    world.conf("search one.example two.example\n");
    world.set_a("web.two.example", &[[10, 0, 0, 2]]);
    world.set_a("web", &[[10, 0, 0, 3]]);
    let mut source = world.source(RecordType::A, &["web"]);
    world
        .check(
            &mut source,
            expect![[r#"
        web [{__address__="10.0.0.2:8080"}] {__meta_dns_name="web"}
    "#]],
        )
        .await;
    expect![[r#"
        S1 web.one.example. 1 edns 1232
        S1 web.two.example. 1 edns 1232"#]]
    .assert_eq(&world.asked().join("\n"));

    // A name that exists without a record of the type ends the search.
    world.zone.set("web.one.example", []);
    world.check(&mut source, expect![[r#""#]]).await;
    expect!["S1 web.one.example. 1 edns 1232"].assert_eq(&world.asked().join("\n"));

    // Docker's file is another after a network came.
    world.conf("options ndots:0\n");
    world
        .check(
            &mut source,
            expect![[r#"
        web [{__address__="10.0.0.3:8080"}] {__meta_dns_name="web"}
    "#]],
        )
        .await;
    expect!["S1 web. 1 edns 1232"].assert_eq(&world.asked().join("\n"));
}

#[tokio::test]
async fn a_name_that_does_not_exist_has_no_targets() {
    let world = World::new(2);
    world.conf("search example.com\n");
    world.set_a("tasks.web", &[[10, 0, 0, 1]]);
    let mut source = world.source(RecordType::A, &["tasks.web", "tasks.web"]);
    world
        .check(
            &mut source,
            expect![[r#"
        tasks.web [{__address__="10.0.0.1:8080"}] {__meta_dns_name="tasks.web"}
    "#]],
        )
        .await;
    world.zone.remove("tasks.web");
    world.asked();
    world.check(&mut source, expect![[r#"
        problem: name tasks.web: no such name: tasks.web. at S1: NXDOMAIN; tasks.web.example.com. at S1: NXDOMAIN
    "#]]).await;
    expect![[r#"
        S1 tasks.web. 1 edns 1232
        S1 tasks.web.example.com. 1 edns 1232"#]]
    .assert_eq(&world.asked().join("\n"));
    assert_eq!(world.counted(), (2, 0));
}

#[tokio::test]
async fn cuts_many_targets_into_groups_that_stay() {
    let world = World::new(1);
    let mut addresses: Vec<[u8; 4]> = (0..200).map(|i| [10, 0, 1, i]).collect();
    world.set_a("tasks.web", &addresses);
    let mut source = world.source(RecordType::A, &["tasks.web"]);
    let first = source.fetch(RefreshScope::Full).await.unwrap().value;
    expect![[r#"
        S1 tasks.web. 1 edns 1232
        S1 tasks.web. 1 tcp"#]]
    .assert_eq(&world.asked().join("\n"));
    assert_eq!(first.iter().map(|group| group.targets.len()).sum::<usize>(), 200);
    assert!(first.iter().all(|group| group.targets.len() <= 64), "{first:?}");

    // Another order changes nothing, one target less changes one group.
    addresses.reverse();
    world.set_a("tasks.web", &addresses);
    let second = source.fetch(RefreshScope::Full).await.unwrap().value;
    assert!(first.iter().zip(&second).all(|(a, b)| Arc::ptr_eq(a, b)));
    addresses.pop();
    world.set_a("tasks.web", &addresses);
    let third = source.fetch(RefreshScope::Full).await.unwrap().value;
    let same = third.iter().filter(|group| first.iter().any(|old| Arc::ptr_eq(old, group))).count();
    assert_eq!((third.len(), same), (first.len(), first.len() - 1));
}

#[tokio::test]
async fn groups_of_several_names_are_in_the_order_of_a_set() {
    let world = World::new(1);
    for name in ["web-10", "web-9", "b", "a"] {
        world.set_a(name, &[[10, 0, 0, 1]]);
    }
    let mut source = world.source(RecordType::A, &["web-10", "b", "web-9", "a"]);
    let groups = source.fetch(RefreshScope::Full).await.unwrap().value;
    let sources: Vec<_> = groups.iter().map(|group| &*group.source).collect();
    assert_eq!(sources, ["a", "b", "web-10", "web-9"]);
}

/// `.` is a name like any other: the root has name servers.
#[tokio::test]
async fn odd_names() {
    let world = World::new(1);
    world.conf("search example.com\n");
    world.zone.set("", [Data::Ns("a.root-servers.net".to_owned())]);
    let long = "x".repeat(64);
    let names = [".", "", "a..b", &long, r"a\.b", r"\300", "bücher.example", "ends\\"];
    let mut source = world.source(RecordType::Ns, &names);
    world.check(&mut source, expect![[r#"
         [{__address__="a.root-servers.net:8080", __meta_dns_ns_record_target="a.root-servers.net."}] {}
        . [{__address__="a.root-servers.net:8080", __meta_dns_ns_record_target="a.root-servers.net."}] {__meta_dns_name="."}
        problem: name a\.b: no such name: a\.b.example.com. at S1: NXDOMAIN; a\.b. at S1: NXDOMAIN
        problem: name \300: no such name: \300.example.com. at S1: NXDOMAIN; \300. at S1: NXDOMAIN
        problem: name bücher.example: no such name: bücher.example. at S1: NXDOMAIN; bücher.example.example.com. at S1: NXDOMAIN
        problem: name a..b: lookup failed: a..b.: not a domain name: a part of it is empty; a..b.example.com.: not a domain name: a part of it is empty
        problem: name xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: lookup failed: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.example.com.: not a domain name: a part of it is too long; xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.: not a domain name: a part of it is too long
        problem: name ends\: lookup failed: ends\.example.com. at S1: NXDOMAIN; ends\.: not a domain name: its last dot is escaped
    "#]]).await;
    let mut asked = world.asked();
    asked.sort();
    expect![[r#"
        S1 . 2 edns 1232
        S1 . 2 edns 1232
        S1 300. 2 edns 1232
        S1 300.example.com. 2 edns 1232
        S1 a\.b. 2 edns 1232
        S1 a\.b.example.com. 2 edns 1232
        S1 bücher.example. 2 edns 1232
        S1 bücher.example.example.com. 2 edns 1232
        S1 ends\.example.com. 2 edns 1232"#]]
    .assert_eq(&asked.join("\n"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_the_refresh() {
    let world = World::new(1);
    world.set_a("web", &[[10, 0, 0, 1]]);
    let mut source = world.source(RecordType::A, &["web"]);
    assert_eq!(source.fetch(RefreshScope::Full).await.unwrap().value.len(), 1);
    std::fs::remove_file(&world.file).unwrap();
    std::fs::create_dir(&world.file).unwrap();
    world
        .check(
            &mut source,
            expect![[r#"
        error: FILE: cannot read which servers to ask: not a regular file
    "#]],
        )
        .await;
    std::fs::remove_dir(&world.file).unwrap();
    world.conf("nameserver dns.example\n");
    world
        .check(
            &mut source,
            expect![[r#"
        web [{__address__="10.0.0.1:8080"}] {__meta_dns_name="web"}
        problem: file FILE: name server cannot be asked: line 2: dns.example: not an IP address
    "#]],
        )
        .await;
}
