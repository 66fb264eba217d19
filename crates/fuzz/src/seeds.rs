//! What each target begins with: the answers that were recorded for the tests, read where they are,
//! and what the tests of the parsers know to be difficult.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use swarmscout_discovery::fuzzing;

use crate::engine::NEXT_LIST;
use crate::reach::THEN;

/// The folder of all crates.
const CRATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

type Seeds = Vec<Vec<u8>>;

/// `/info` of every version of the classic master.
pub fn classic_info() -> Seeds {
    contents(&files("simulator/fixtures/classic", "json", |name| name.starts_with("info")))
}

/// The files of the tests, good and bad, and those that we ship.
pub fn config() -> Seeds {
    let mut seeds = contents(&files("config/tests/files", "yml", |_| true));
    seeds.extend(contents(&files("discovery/src/source", "yml", |_| true)));
    seeds
}

/// Lists of containers.
pub fn containers() -> Seeds {
    lists("containers")
}

/// Lists of networks.
pub fn networks() -> Seeds {
    lists("networks")
}

/// Lists of nodes.
pub fn nodes() -> Seeds {
    lists("nodes")
}

/// Lists of services.
pub fn services() -> Seeds {
    lists("services")
}

/// Lists of tasks.
pub fn tasks() -> Seeds {
    lists("tasks")
}

/// `/info`, `/version`, and the bodies of refusals.
pub fn engine_info() -> Seeds {
    let answers = |name: &str| name.contains("info") || name.contains("version");
    let mut seeds = contents(&files("simulator/fixtures/swarm-mode", "json", answers));
    seeds.extend(bodies("simulator/fixtures/swarm-mode"));
    seeds
}

/// `/events`, of a manager and of a worker: some in a row, and each alone.
pub fn events() -> Seeds {
    let streams = contents(&files("docker/tests/fixtures/events", "json", |_| true));
    let lines = |stream: &Vec<u8>| -> Seeds {
        stream.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let alone: Vec<_> = streams.iter().flat_map(lines).collect();
    let in_a_row = alone.chunks(3).map(<[Vec<u8>]>::concat);
    in_a_row.chain(alone.iter().cloned()).collect()
}

/// A file, a part of one, and bodies.
pub fn storage() -> Seeds {
    let body = |groups: u8, targets: u8, body: &[u8]| [&[groups, targets][..], body].concat();
    let group = b"\x01g\x01\x01a\x01b\x01\x01\x0b__address__\x03h:1";
    let file = fuzzing::storage::seal(1, 1, group);
    vec![
        file[..file.len() / 2].to_vec(),
        file,
        body(1, 1, group),
        body(0, 0, b""),
        body(2, 0, b"\x00\x00\x00\x01x\x00\x00"),
        body(1, 0, b"\xff\xff\xff\xff\x0f"),
    ]
}

/// Scrape settings of every kind, good and bad.
pub fn labels() -> Seeds {
    texts(&[
        "prometheus.io/port=8080\nprometheus.io/admin.port=9200\nprometheus.io/admin.path=a/b\n\
         prometheus.io/admin.interval=60s\nprometheus.io/timeout=20s\nprometheus.io/class=internal",
        "prometheus.io/port=1\nprometheus.io/job=a\nprometheus.io/label.team=web\n\
         prometheus.io/label.job=x\nprometheus.io/label.a-b=x\nprometheus.io/param.x=y\n\
         prometheus.io/b.port=2\nprometheus.io/b.label.team=\nprometheus.io/b.class=\n\
         prometheus.io/b.sample_limit=10\nprometheus.io/b.network=back\nprometheus.io/b.scheme=https",
        "prometheus.io/a.probe=https://example.com/\nprometheus.io/a.module=http_2xx\n\
         prometheus.io/scrape=true\nprometheus.io/b.scrape=false\nprometheus.io/c.timeout=1h\n\
         prometheus.io/c.interval=1m\nprometheus.io/c.port=70000\nprometheus.io/portt=1",
        "prometheus.io/probe=traefik\ntraefik.http.routers.a.rule=Host(`a.b`) || !Host(\"c.d\")\n\
         traefik.http.routers.a.entrypoints=web,websecure\ntraefik.frontend.rule=Host:a,b;Path:/",
        "prometheus.port=80\nprometheus.ignore=false\n--\nprometheus.io/scrape=false",
        "prometheus.enable=true\nprometheus.targets.a.port=1\nprometheus.jobs.a.port=2\n\
         prometheus.jobs.b.labels.my-team=x\nprometheus.jobs.b.labels.job=y\n\
         prometheus.jobs.b.networks=x, y\nprometheus.jobs.b.params.z=1\nprometheus.jobs.c.hosts=h:1",
        "com.df.notify=true\ncom.df.scrapePort=8080\ncom.df.metricsPath=/m\n\
         com.df.scrapeInterval=15s\ncom.df.scrapeTimeout=5s\ncom.df.scrapeType=dns\n",
        "prometheus-job=a\nprometheus_port=1\nprometheus_enable=t\nprometheus_scrape=1\n\
         prometheus_scheme=https\n--\nprometheus.path=/m\nprometheus.port=2\nprometheus.job=",
    ])
}

/// All lists of one refresh.
pub fn roles() -> Seeds {
    let mut folders: Vec<_> =
        files("simulator/fixtures/swarm-mode", "json", |name| name == "tasks")
            .into_iter()
            .chain(files("discovery/tests/fixtures/awkward", "json", |name| name == "tasks"))
            .filter_map(|path| Some(path.parent()?.to_owned()))
            .collect();
    folders.sort();
    let read = |folder: PathBuf| {
        let names = ["nodes", "services", "tasks", "networks", "containers"];
        let lists = names.map(|name| fs::read(folder.join(name).with_extension("json")));
        lists.map(Result::unwrap_or_default).join(NEXT_LIST)
    };
    folders.into_iter().map(read).collect()
}

/// Lists of targets, and requests that try to fetch something else.
pub fn reach() -> Seeds {
    let list = "t1 http 8080 /metrics\nt2 https 8443 /a b%2e/?x\n.. http 1 //z\nt3 http 80 ";
    let uris = [
        "/reach/t1/http/8080/metrics?a=b&c\nAccept: */*\nCookie: a=b",
        "/reach/t2/https/8443/a%20b%252e/%3Fx",
        "/reach/../http/1//z#x",
        "http://u:p@169.254.169.254/reach/t1/http/8080/metrics",
        "//10.0.0.1/reach/t1/http/8080/%2e%2e/metrics\nHost: 10.0.0.1",
        "/reach/t1/http/8080\\@10.0.0.1:80/metrics",
        "*",
    ];
    uris.map(|uri| format!("{list}{THEN}{uri}").into_bytes()).into()
}

/// Tables of a real node and of containers.
pub fn reach_tables() -> Seeds {
    let read = |name: &str| {
        contents(&[Path::new(CRATES).join("reach/tests/fixtures").join(name)]).concat()
    };
    let (node, routes) = (read("onhost/net/fib_trie"), read("host/net/route"));
    let of = |container: &str| {
        let own = read(&format!("{container}/net/fib_trie"));
        [&own[..], &node[..], &routes[..]].join(THEN.as_bytes())
    };
    ["five", "inner", "alone", "onhost", "plain"].map(of).into()
}

/// Values of every kind.
pub fn json_reader() -> Seeds {
    let texts = [
        "null",
        "true",
        "-1",
        "1.5e3",
        "18446744073709551615",
        r#""\u00e9\ud83d\ude00\ud83d""#,
        "[]",
        r#"{"a":[1,{"b":"\"\\"}],"a":2," ":null}"#,
    ];
    let mut seeds = texts.map(|text| text.as_bytes().to_vec()).to_vec();
    seeds.extend(lists("nodes"));
    seeds
}

/// Answers of a manager to a node.
pub fn node_tasks() -> Seeds {
    let task = |id: &str, container: char| {
        let container = container.to_string().repeat(64);
        format!(
            r#"{{"id":"{id}","name":"web.1.{id}","service_id":"s1","service_name":"web","image":"nginx",
            "labels":{{"com.docker.stack.namespace":"shop"}},"container":"{container}","pid":7,
            "state":"running","state_since":1700000000000000,"networks":[{{"id":"q","name":"front",
            "driver":"overlay","internal":true,"ingress":false,"addresses":["10.0.1.3/24"]}}],
            "host_network":false,"reach":[{{"scheme":"http","port":8080,"path":"/metrics"}}]}}"#
        )
    };
    let ended = |id: &str, rest: &str| {
        let container = "c".repeat(64);
        format!(r#"{{"id":"{id}","spec":0,"container":"{container}","state":"failed"{rest}}}"#)
    };
    let answer = |tasks: &[String], ended: &[String]| {
        let (tasks, ended) = (tasks.join(","), ended.join(","));
        let text = format!(
            r#"{{"status":"success","data":{{"node":{{"id":"n1","name":"pi","address":"192.0.2.3"}},
            "cluster":"c","tasks":[{tasks}],"lists_ended":true,"ended":[{ended}],"specs":[{{"service_id":
            "s1","service_name":"web","image":"nginx","labels":{{"a":"b"}}}}],"peers":[{{"id":"n2",
            "name":"p","address":"192.0.2.4","port":9466,"overlay":"10.0.9.3"}}]}}}}"#
        );
        text.into_bytes()
    };
    vec![
        answer(&[], &[]),
        answer(&[task("t1", 'a'), task("t2", 'b')], &[]),
        answer(
            &[task("t3", 'a')],
            &[ended("t1", r#","slot":2,"state_since":17,"exit_code":137"#), ended("t2", "")],
        ),
        br#"{"status":"success","data":{"node":{"id":"n1"}}}"#.to_vec(),
    ]
}

/// Packets of all lengths.
pub fn peer_packet() -> Seeds {
    let all = [160, 161, 1472, 9188].map(swarmscout_peers::fuzzing::packets);
    all.into_iter().flatten().collect()
}

/// Lists behind the sizes of pieces.
pub fn scan() -> Seeds {
    let behind = |list: Vec<u8>| [b"\x03\x11\x07\x40", &list[..]].concat();
    lists("networks").into_iter().chain(json_reader()).map(behind).collect()
}

/// Lists of groups as JSON.
pub fn http_sd() -> Seeds {
    texts(&[
        r#"[{"targets":["a:1","b:2"],"labels":{"x":"1","e":""}},{"targets":["c"]}]"#,
        r#"[{"Targets":["a:1"],"LABELS":{"__scheme__":"https","__address__":"b:2"}}]"#,
        r#"[{"targets":null,"labels":null},{},{"targets":[null],"labels":{"x":null}}]"#,
        r#"[{"targets":["[::1]:9100","a/b"],"labels":{"job":"j","__param_x":"\u0001\"\\é😀"}}]"#,
        r#"[{"targets":["a"],"labels":{"__scrape_interval__":"1m","__scrape_timeout__":"2m"}}]"#,
        r#"[{"targets":["a"],"labels":{"x_":"1","x_job":"2","y_z":"3","x___address__":"b"}}]"#,
        "null",
    ])
}

/// Lists of groups as YAML.
pub fn file_sd() -> Seeds {
    let mut seeds = http_sd();
    seeds.extend(texts(&[
        "- targets: [a:1, 'b:2']\n  labels: {x: 1.0, y: yes, z: 0x10, n: ~, o: 010}",
        "- targets:\n  - 127.0.0.1:80\n  - 8080\n  -\n  labels:\n",
        "- &a\n  targets: [x]\n- *a\n- <<: *a\n  labels: {b: c}\n",
        "# nothing\n---\n- targets: [\"a\\u00e9\"]\n  labels:\n    a: |\n      b\n    c: >-\n      d\n",
    ]));
    seeds
}

/// Patterns with recorded answers of Go, with some of the texts that they were tried on.
pub fn regex() -> Seeds {
    let lines = lines("go-regexp/tests/go/answers.jsonl");
    let texts: Vec<_> =
        lines[0].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let patterns = lines[1..].iter().filter_map(|line| line["pattern"].as_str());
    let patterns = patterns.filter(|pattern| pattern.len() < 200 && !pattern.contains('\n'));
    let seed = |(i, pattern): (usize, &str)| {
        let texts = texts.iter().cycle().skip(i).step_by(7).take(6);
        let lines: Vec<_> = std::iter::once(&pattern).chain(texts).copied().collect();
        lines.join("\n").into_bytes()
    };
    patterns.enumerate().map(seed).collect()
}

/// Rules with recorded answers of Prometheus, in the form of [`crate::relabel::read`].
pub fn relabel() -> Seeds {
    lines("model/tests/prometheus-relabel/answers.jsonl").iter().filter_map(relabel_seed).collect()
}

fn relabel_seed(case: &Value) -> Option<Vec<u8>> {
    let mut text = String::new();
    for rule in case["rules"].as_array()? {
        let mut members = Vec::new();
        for label in rule["source_labels"].as_array().into_iter().flatten() {
            members.push(format!("s={}", label.as_str()?));
        }
        for (short, name) in [
            ("a", "action"),
            ("e", "separator"),
            ("r", "regex"),
            ("m", "modulus"),
            ("t", "target_label"),
            ("p", "replacement"),
        ] {
            match &rule[name] {
                Value::String(value) => members.push(format!("{short}={value}")),
                Value::Number(value) => members.push(format!("{short}={value}")),
                _ => {}
            }
        }
        if case["legacy"] == true {
            members.push("l".to_owned());
        }
        text.push_str(&members.join("\t"));
        text.push('\n');
    }
    text.push('\n');
    for (name, value) in case["labels"].as_object().into_iter().flatten() {
        for piece in [name, "=", value.as_str()?, "\n"] {
            text.push_str(piece);
        }
    }
    Some(text.into_bytes())
}

/// URLs and hosts, with places that redirects lead to.
pub fn url() -> Seeds {
    texts(&[
        "http://h:80/a?b#c\n/x/../y",
        "https://user:s3cret-word@[::1]:9090/p/\n//other:1/",
        "unix:///var/run/docker.sock\n",
        "tcp://manager:2375\nhttps://h/",
        "http://u:p%40ss@h/%2F?a=b\n?c",
        "localhost:2375\n.",
        "npipe:////./pipe/docker\n",
        "HTTP://H:port/\n../..",
        "mailto:a@b\na:b",
    ])
}

/// Streams of one member and of more.
pub fn gzip() -> Seeds {
    let member = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).and_then(|()| encoder.finish()).unwrap_or_default()
    };
    let zeros = member(&vec![0; 100_000]);
    let text = member(br#"[{"targets":["a:1"],"labels":{"x":"1"}}]"#);
    vec![Vec::new(), member(b""), text.clone(), [text, zeros.clone()].concat(), zeros]
}

/// Places of node lists, and lists.
pub fn node_list() -> Seeds {
    texts(&[
        "nodes://10.0.0.[1:200]:2375,[2001:db8::1]:2375",
        "10.0.0.1:2375,host-[01:03].example.com:2375",
        "etcd://user:s3cret-word@10.0.0.1:2379,h2/swarm/a",
        "consul://h/p",
        "zk://h1,[::1]:2181/swarm",
        "token://service.example.com/0123456789abcdef",
        "file:///etc/nodes",
        "[::1]:[1:3]",
    ])
}

/// Answers with records of each type that becomes a target, with names that point into the message.
pub fn dns_answer() -> Seeds {
    const HEADER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0";
    const NAME: &[u8] = b"\x05tasks\x03web\0";
    // Two records of this type whose data has these bytes.
    let answer = |kind: u8, data: &[u8]| {
        let question = [NAME, &[0, kind, 0, 1]].concat();
        let length = u8::try_from(data.len()).unwrap_or_default();
        let record = [b"\xc0\x0c\0", &[kind][..], b"\0\x01\0\0\0\x3c\0", &[length], data].concat();
        [HEADER, &question, &record, &record].concat()
    };
    vec![
        answer(1, &[10, 0, 0, 1]),
        answer(28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        answer(33, b"\0\x0a\0\x05\x23\x8c\x01a\xc0\x0c"),
        answer(15, b"\0\x0a\x04m ;.\xc0\x12"),
        answer(2, b"\xc0\x12"),
        answer(5, b"\x01b\0"),
    ]
}

/// What Docker and systemd write, behind a name.
pub fn resolv_conf() -> Seeds {
    texts(&[
        "tasks.web\nsearch example.com b.example\nnameserver 127.0.0.11\noptions ndots:0 edns0\n",
        "a\\.b\nnameserver fe80::1%lo\nnameserver [::1]:5353\nsearch .\noptions timeout:1 attempts:9",
        "x.\n# none\n",
    ])
}

/// Durations, sizes, and patterns with names.
pub fn values() -> Seeds {
    texts(&[
        "1y2w3d4h5m6s7ms",
        "0",
        "292y",
        "10MB",
        "1KiB",
        "16EiB",
        "a*b?c*x\nabxbbxdbxebxczzx",
        "n[^0-9a].yml\nn7.yml",
        "[a-ζ]*\\*\nα*",
    ])
}

/// All keys, good and bad, with certificates in the file.
pub fn web_config() -> Seeds {
    texts(&[
        "tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256, X25519MLKEM768]
http_server_config: {http2: false, headers: {X-Frame-Options: deny, X-XSS-Protection: ''}}
rate_limit: {interval: 10ms, burst: 20}
",
        "basic_auth_users: {alice: $2a$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK}
authorization: {lists: [any], read: ['user:alice'], change: [], health: [anyone]}
",
        "tls_server_config:
  cert: |
    -----BEGIN CERTIFICATE-----
    MAA=
    -----END CERTIFICATE-----
  key: |
    -----BEGIN PRIVATE KEY-----
    MAA=
    -----END PRIVATE KEY-----
",
        "tls_server_config: {cert: a, key: b, client_ca: c, client_auth_type: RequestClientCert}",
        "basic_auth_users: {'a:b': x, \"c\\n\": $2y$31$y}\nauthorization: {reads: [], lists: [x, 'cert:a']}",
        "http_server_config: {headers: {Server: x, X-Frame-Options: \"a\\u001b\"}, http2: 'no'}",
        "",
    ])
}

/// What etcd answered to its version 2, refusals and events too.
pub fn etcd2() -> Seeds {
    let mut seeds = contents(&files("sim-stores/fixtures/etcd-v2", "json", |_| true));
    seeds.extend(bodies("sim-stores/fixtures/etcd-v2"));
    let mut seeds = behind("200 120 swarm-129", &seeds);
    seeds.extend(texts(&[
        "404 7 a\n{\"errorCode\":100}",
        "400 7 a\n{\"errorCode\":401}",
        "200 9 \n{\"node\":{\"dir\":true,\"nodes\":[{\"key\":\"/10.0.0.1:2375\",\"value\":\"10.0.0.1:2375\"}]}}",
    ]));
    seeds
}

/// What etcd answered to its version 3, and the lines of its watches.
pub fn etcd3() -> Seeds {
    let mut seeds = contents(&files("sim-stores/fixtures/etcd-v3", "json", |_| true));
    for body in bodies("sim-stores/fixtures/etcd-v3") {
        seeds.extend(body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    }
    behind("200 4 swarm", &seeds)
}

/// Both forms of Consul's answers.
pub fn consul() -> Seeds {
    texts(&[
        r#"200 12 swarm
[{"LockIndex":0,"Key":"swarm/docker/swarm/nodes/10.0.0.1:2375","Flags":0,"Value":"MTAuMC4wLjE6MjM3NQ==","Session":"f1"},{"Key":"swarm/docker/swarm/leader","Value":null},{"Key":"swarm/docker/swarm/leader","Value":"MTAuMC4wLjE6MzM3NQ==","Session":"a"}]"#,
        r#"200 12 swarm
["swarm/10.0.0.1:2375","swarm/docker/"]"#,
        "200 1 \n[\"10.0.0.1:2375\"]",
        "404 3 swarm\n",
    ])
}

/// Lists of a service of tokens.
pub fn token() -> Seeds {
    texts(&["200 0 \n[\"10.0.0.1:2375\",\"[::1]:2375\",\"x\"]", "200 0 \nnull", "404 0 \n\"none\""])
}

/// Whole refreshes of ZooKeeper: a primary and two nodes, a node of Swarm 0.2.0, a refusal, events
/// and pongs in between.
pub fn zookeeper() -> Seeds {
    const STAT: &[u8] = &[0; 68];
    // An answer's header is its number, that of the last transaction, and a code.
    let answer = |xid: i32, code: i32, body: &[&[u8]]| {
        let header = [&xid.to_be_bytes()[..], &9_i64.to_be_bytes(), &code.to_be_bytes()].concat();
        framed(&[&header, &body.concat()])
    };
    let buffer = |text: &str| [&counted(text.len())[..], text.as_bytes()].concat();
    let children = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| buffer(name)).collect();
        [&counted(names.len())[..], &names.concat(), STAT].concat()
    };
    let (node, no_node) = ("10.0.0.1:2375", -101);
    let welcome = framed(&[&[0, 0, 0, 0, 0, 0, 0x27, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]]);
    let session = |answers: &[Vec<u8>]| [&b"\0"[..], &welcome, &answers.concat()].concat();
    let mut seeds = vec![session(&[
        answer(1, 0, &[STAT]),
        answer(2, 0, &[&children(&["lock"])]),
        answer(3, 0, &[&buffer("10.0.0.9:3375"), STAT]),
        answer(-1, 0, &[&[0; 12]]),
        answer(4, 0, &[STAT]),
        answer(5, 0, &[&children(&[node, "10.0.0.2:2375"])]),
        answer(6, 0, &[&buffer(node), STAT]),
        answer(-2, 0, &[]),
        answer(7, 0, &[&buffer(""), STAT]),
        answer(8, 0, &[&buffer("10.0.0.2:2375"), STAT]),
    ])];
    let mut bare: Vec<_> = (1..=7).map(|xid| answer(xid, no_node, &[])).collect();
    bare.push(answer(8, 0, &[STAT]));
    bare.push(answer(9, 0, &[&children(&[node, "zookeeper"])]));
    bare.push(answer(10, 0, &[&buffer(node), STAT]));
    seeds.push(session(&bare));
    seeds.push(session(&[answer(1, -102, &[])]));
    // With a user the first answer is to who it is.
    let user = [answer(-4, 0, &[]), answer(1, 0, &[STAT])].concat();
    seeds.push([&b"\x03"[..], &welcome, &user].concat());
    seeds
}

/// A frame of ZooKeeper's: its length, and what is in it.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&counted(body.len())[..], &body].concat()
}

fn counted(length: usize) -> [u8; 4] {
    i32::try_from(length).expect("seeds are small").to_be_bytes()
}

/// Each of them behind this line.
fn behind(line: &str, seeds: &[Vec<u8>]) -> Seeds {
    seeds.iter().map(|seed| [line.as_bytes(), b"\n", seed].concat()).collect()
}

/// The bodies of the answers that were recorded with their headers.
fn bodies(folder: &str) -> Seeds {
    let mut bodies = Vec::new();
    for text in contents(&files(folder, "txt", |_| true)) {
        let blank =
            |end: &[u8]| text.windows(end.len()).position(|at| at == end).map(|at| at + end.len());
        bodies.extend(blank(b"\r\n\r\n").or_else(|| blank(b"\n\n")).map(|at| text[at..].to_vec()));
    }
    bodies
}

fn texts(texts: &[&str]) -> Seeds {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The recorded lists of this name, and the first element of each as a list of its own.
fn lists(name: &str) -> Seeds {
    let is_one = |file: &str| file.starts_with(name);
    let mut paths = files("simulator/fixtures/swarm-mode", "json", is_one);
    paths.extend(files("discovery/tests/fixtures/awkward", "json", is_one));
    let mut seeds = contents(&paths);
    for list in seeds.clone() {
        let list: Vec<Value> = serde_json::from_slice(&list).unwrap_or_default();
        seeds.extend(list.first().map(|first| format!("[{first}]").into_bytes()));
    }
    seeds
}

/// The files in a folder and in those within it whose name, without its extension, is one.
fn files(folder: &str, extension: &str, is_one: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(CRATES).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension)
                && path.file_stem().and_then(|name| name.to_str()).is_some_and(&is_one)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} holds what its tests read");
    found
}

fn contents(paths: &[PathBuf]) -> Seeds {
    let read = |path: &PathBuf| {
        fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    };
    paths.iter().map(read).collect()
}

fn lines(path: &str) -> Vec<Value> {
    let text = contents(&[Path::new(CRATES).join(path)]).concat();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("one JSON value a line")).collect()
}
