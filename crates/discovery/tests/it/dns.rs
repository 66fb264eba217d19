//! Our targets against Prometheus' own, for answers of real servers and for odd ones: see
//! `../prometheus/README.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use expect_test::expect;
use serde::Deserialize;
use swarmscout_discovery::config::{BuildContext, DnsConfig, RecordType};
use swarmscout_discovery::source::dns::{Dns, Resolver};
use swarmscout_discovery::{Discoverer, Refreshed};
use swarmscout_model::PromDuration;
use swarmscout_refresh::RefreshScope;
use swarmscout_sim_stores::dns::{DnsServer, Fault, Zone};

/// A line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    what: String,
    resolv_conf: String,
    names: Vec<String>,
    r#type: String,
    recorded: Option<String>,
    #[serde(default)]
    answers: Vec<Answer>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// The outcome of one entry.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Outcome {
    /// Server, protocol and name of each question.
    asked: Vec<String>,
    /// The targets of each name that did not fail.
    groups: BTreeMap<String, Vec<Target>>,
}

type Target = BTreeMap<String, String>;

/// A line of the recorded answers, or an answer of an entry.
#[derive(Clone, Debug, Deserialize)]
struct Answer {
    server: String,
    name: String,
    #[serde(default)]
    r#type: String,
    udp: String,
    tcp: String,
}

/// Where we differ from Prometheus, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("search .", "systemd writes it: it adds nothing to a name, and is not a name itself"),
    ("a name twice", "it is looked up once"),
    ("FORMERR of the first", "a server may be older than EDNS"),
    ("NOTIMP of the first", "a server may be older than EDNS"),
    ("truncated, SERVFAIL over TCP", "the next server may have room over UDP"),
    ("truncated, nothing over TCP", "the next server may have room over UDP"),
    ("truncated, over TCP too", "the next server may have room over UDP"),
    ("a header alone", "it answers nothing that was asked"),
    ("fewer records than announced", "it would look like fewer targets"),
    ("half a record of authority", "the answer is whole, the rest is not read"),
    ("another question", "its sender did not see ours"),
    ("no answer but a question", "it only echoes ours"),
];

#[tokio::test]
async fn label_for_label() {
    let recorded: BTreeMap<String, Answer> = include_str!("../prometheus/dns/answers.jsonl")
        .lines()
        .map(|line| {
            let answer: Answer = serde_json::from_str(line).unwrap();
            (format!("{} {} {}", answer.server, answer.name, answer.r#type), answer)
        })
        .collect();
    let mut different = String::new();
    let mut equal = 0;
    for line in include_str!("../prometheus/dns/targets.jsonl").lines() {
        let mut entry: Entry = serde_json::from_str(line).unwrap();
        if entry.what == "no server is named" {
            // We ask this machine, then, where a server may be or not.
            continue;
        }
        if let Some(recorded_as) = &entry.recorded {
            let answer = recorded[recorded_as].clone();
            entry.answers = vec![Answer { server: "127.0.0.1".to_owned(), ..answer }];
        }
        // Prometheus keeps a target twice until it comes to scraping.
        entry.outcome.groups.values_mut().for_each(Vec::dedup);
        let ours = find(&entry).await;
        let Some((what, why)) = DIFFERENCES.iter().find(|(what, _)| *what == entry.what) else {
            assert_eq!(ours, entry.outcome, "{}", entry.what);
            equal += 1;
            continue;
        };
        assert_ne!(ours, entry.outcome, "{what}: no difference any more");
        writeln!(different, "{what}: {why}").unwrap();
        writeln!(different, "  asked {}", ours.asked.join(", ")).unwrap();
        for (name, targets) in &ours.groups {
            let addresses: Vec<_> = targets.iter().map(|target| &target["__address__"]).collect();
            writeln!(different, "  {name} {addresses:?}").unwrap();
        }
    }
    assert_eq!(different.matches("  asked").count(), DIFFERENCES.len());
    assert!(equal > 100, "only {equal} entries were compared");
    expect![[r#"
        search .: systemd writes it: it adds nothing to a name, and is not a name itself
          asked 127.0.0.1 udp web.
          web []
        a name twice: it is looked up once
          asked 127.0.0.1 udp web.
          web. ["10.0.0.1:8080"]
        FORMERR of the first: a server may be older than EDNS
          asked 127.0.0.1 udp web., 127.0.0.1 udp web., 127.0.0.2 udp web.
          web. ["10.0.0.1:8080"]
        NOTIMP of the first: a server may be older than EDNS
          asked 127.0.0.1 udp web., 127.0.0.1 udp web., 127.0.0.2 udp web.
          web. ["10.0.0.1:8080"]
        truncated, SERVFAIL over TCP: the next server may have room over UDP
          asked 127.0.0.1 udp web., 127.0.0.1 tcp web., 127.0.0.2 udp web.
          web. []
        truncated, nothing over TCP: the next server may have room over UDP
          asked 127.0.0.1 udp web., 127.0.0.1 tcp web., 127.0.0.2 udp web.
          web. []
        truncated, over TCP too: the next server may have room over UDP
          asked 127.0.0.1 udp web., 127.0.0.1 tcp web., 127.0.0.2 udp web.
          web. []
        a header alone: it answers nothing that was asked
          asked 127.0.0.1 udp web., 127.0.0.2 udp web.
          web. []
        fewer records than announced: it would look like fewer targets
          asked 127.0.0.1 udp web., 127.0.0.2 udp web.
          web. []
        half a record of authority: the answer is whole, the rest is not read
          asked 127.0.0.1 udp web.
          web. ["10.0.0.1:8080"]
        another question: its sender did not see ours
          asked 127.0.0.1 udp web., 127.0.0.2 udp web.
          web. []
        no answer but a question: it only echoes ours
          asked 127.0.0.1 udp web., 127.0.0.2 udp web.
          web. []
    "#]]
    .assert_eq(&different);
}

async fn find(entry: &Entry) -> Outcome {
    let zone = Zone::default();
    let servers = ["127.0.0.1", "127.0.0.2"].map(|ip| (ip, DnsServer::start(&zone).unwrap()));
    // A socket that is connected elsewhere keeps the port: packets from us are refused.
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    closed.connect((Ipv4Addr::LOCALHOST, 1)).unwrap();
    let closed = format!("[127.0.0.1]:{}", closed.local_addr().unwrap().port());
    let mut conf = entry.resolv_conf.replace("127.0.0.9", &closed);
    for (ip, server) in &servers {
        server.fault(Fault::Silence);
        let addr = format!("[127.0.0.1]:{}", server.addr().port());
        for blank in [' ', '\t'] {
            let line = |host: &str| format!("nameserver{blank}{host}");
            conf = conf.replace(&line(ip), &line(&addr));
        }
        for answer in entry.answers.iter().filter(|answer| answer.server == *ip) {
            let fault = Fault::Raw { udp: bytes(&answer.udp), tcp: bytes(&answer.tcp) };
            server.fault_for(&answer.name, fault);
        }
    }
    // Prometheus asks no server twice.
    conf.push_str("options attempts:1\n");
    let file = ConfFile::write(&conf);
    let mut context = BuildContext::new("test");
    context.dns = Arc::new(Resolver::new(&file.0));
    let record_type = match &*entry.r#type {
        "A" => RecordType::A,
        "AAAA" => RecordType::Aaaa,
        "SRV" => RecordType::Srv,
        "MX" => RecordType::Mx,
        "NS" => RecordType::Ns,
        other => panic!("{other}"),
    };
    let config = DnsConfig {
        names: entry.names.clone(),
        record_type,
        port: 8080,
        refresh_interval: PromDuration::from_secs(2),
    };
    let refreshed = Dns::new(&config, &context).fetch(RefreshScope::Full).await;
    let mut outcome = Outcome { asked: asked(&servers), ..Outcome::default() };
    if entry.names.len() > 1 {
        outcome.asked.sort();
    }
    let Ok(Refreshed { value: what, problems, .. }) = refreshed else { return outcome };
    for name in &entry.names {
        let failed = |reason: &str| ["lookup failed", "no server answered"].contains(&reason);
        if !problems.iter().any(|problem| problem.object == *name && failed(problem.reason)) {
            outcome.groups.insert(name.clone(), Vec::new());
        }
    }
    for group in what {
        let name = group.source.split('/').next().unwrap();
        let targets = group.targets.iter().map(|target| {
            let labels = group.labels.iter().chain(target);
            labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Target>()
        });
        outcome.groups.get_mut(name).unwrap().extend(targets);
    }
    outcome.groups.values_mut().for_each(|targets| targets.sort());
    outcome
}

fn asked(servers: &[(&str, DnsServer)]) -> Vec<String> {
    let mut asked = Vec::new();
    for (ip, server) in servers {
        asked.extend(server.queries().into_iter().map(|query| {
            let protocol = if query.tcp { "tcp" } else { "udp" };
            (query.at, format!("{ip} {protocol} {}", query.name))
        }));
    }
    asked.sort();
    asked.into_iter().map(|(_, line)| line).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// A file that goes with the test.
struct ConfFile(PathBuf);

impl ConfFile {
    fn write(text: &str) -> Self {
        let name = format!("swarmscout-dns-table-{}.conf", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for ConfFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}
