//! Servers that repeat what they were sent, or say very much. No credentials show, and no text is long.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use swarmscout_simulator::{Listen, Request, Response, Server};

use super::harness::{DEADLINE, Folder, get};

/// A part of every credential of this test.
const PLANT: &str = "hunter2";

/// The places in an answer that repeat the request, each the start of a path.
const ENTRANCES: [&str; 8] =
    ["status", "member", "text", "labels", "whole", "location", "type", "encoding"];

type Encoding = (&'static str, fn(&str) -> String);

/// The encodings of the repetition, each the second part of a path.
const ENCODINGS: [Encoding; 12] = [
    ("raw", str::to_owned),
    ("upper", |text| each(text, |byte| format!("%{byte:02X}"))),
    ("lower", |text| each(text, |byte| format!("%{byte:02x}"))),
    ("form", |text| form_urlencoded::byte_serialize(text.as_bytes()).collect()),
    ("html", |text| text.replace('"', "&quot;").replace('-', "&#45;")),
    ("entities", |text| each(text, |byte| format!("&#{byte};"))),
    ("json", |text| serde_json::Value::from(text).to_string()),
    ("units", |text| each(text, |byte| format!("\\u{byte:04x}"))),
    ("base64-0", |text| STANDARD.encode(text)),
    ("base64-1", |text| STANDARD.encode(format!(".{text}"))),
    ("base64-2", |text| STANDARD.encode(format!("..{text}"))),
    ("base64url", |text| URL_SAFE.encode(text)),
];

/// A text of ASCII, byte by byte.
fn each(text: &str, encode: impl Fn(u8) -> String) -> String {
    text.bytes().map(encode).collect()
}

/// Texts that show that a plant was not removed, in lower case, without backslashes and HTML.
fn traces() -> Vec<String> {
    let mut traces = vec![
        PLANT.to_owned(),
        each(PLANT, |byte| format!("%{byte:02x}")),
        each(PLANT, |byte| format!("&#{byte};")),
        each(PLANT, |byte| format!("u{byte:04x}")),
    ];
    for (offset, own) in [(0, 0..9), (1, 2..10), (2, 3..12)] {
        let encoded = STANDARD.encode(format!("{}{PLANT}", &".."[..offset]));
        traces.push(encoded[own].to_ascii_lowercase());
    }
    traces
}

/// Every place of a credential, in the encoding that the path names.
fn repeated(request: &Request) -> String {
    let mut text = String::from("got ");
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if name.as_str().contains("authorization") || name == "x-token" {
            write!(text, "{name} {value} ").expect("a string takes all");
        }
    }
    write!(text, "to {} with {}", request.path, String::from_utf8_lossy(&request.body))
        .expect("a string takes all");
    let encoding =
        ENCODINGS.iter().find(|(name, _)| request.path.split('/').any(|part| part == *name));
    encoding.map_or(text.clone(), |(_, encode)| encode(&text))
}

/// An answer with this text in it.
fn answer(request: &Request, text: String) -> Response {
    let quoted = serde_json::Value::from(&*text);
    let line = || text.replace(['\r', '\n'], " ");
    let mut parts = request.path.split('/').filter(|part| !part.is_empty());
    match parts.next().unwrap_or_default() {
        "member" => Response::json(format!("[{{{quoted}:1}}]")),
        "text" => Response::json(format!("[{{\"targets\":{quoted}}}]")),
        "labels" => Response::json(format!("[{{\"labels\":{quoted}}}]")),
        "whole" => Response::json(quoted.to_string()),
        "location" => Response { status: 302, ..Response::json("") }
            .with("Location", &format!("http://[{}", line())),
        "type" => Response::new(&line(), "[]"),
        "encoding" => Response::json("[]").with("Content-Encoding", &line()),
        "grants" => Response::json(r#"{"access_token":"hunter2-granted","expires_in":3600}"#),
        // A classic master whose count of nodes is not one.
        "nodes" => Response::json(format!("{{\"SystemStatus\":[[\"Nodes\",{quoted}]]}}")),
        "denied" => Response { status: 400, ..Response::json(format!("{{\"error\":{quoted}}}")) },
        "v2" if request.path.contains("decoded") => {
            Response::json(format!("{{\"node\":{quoted}}}"))
        }
        _ => Response { status: 400, ..Response::new("text/plain", text) },
    }
}

/// The addresses of the servers.
fn runtime() -> tokio::runtime::Runtime {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("threads can be started")
}

/// One job for each way that a credential can take, and each encoding.
fn jobs(server: SocketAddr, folder: &Folder) -> Vec<(String, String)> {
    let file = folder.write("secret", "hunter2-file\n").display().to_string();
    let mut jobs = Vec::new();
    let http =
        |url: String, options: &str| format!("http_sd_configs: [{{url: '{url}', {options}}}]");
    // The same credentials through every entrance.
    for entrance in ENTRANCES {
        for (encoding, _) in ENCODINGS {
            let url = format!("http://{server}/{entrance}/{encoding}");
            let basic = "basic_auth: {username: u, password: 'hunter2-p&ss \"w/+rd'}";
            jobs.push((format!("{entrance}-{encoding}"), http(url, basic)));
        }
    }
    // All credentials through the simplest one.
    let oauth2 = |path: &str| {
        format!(
            "oauth2: {{client_id: c, client_secret: 'hunter2-oauth/+2', token_url: 'http://{server}/{path}'}}"
        )
    };
    for (encoding, _) in ENCODINGS {
        let url = format!("http://{server}/status/{encoding}");
        let with_user = format!("http://u:hunter2%2F-url@{server}/status/{encoding}");
        let elsewhere = format!("http://elsewhere.example/status/{encoding}");
        for (name, source) in [
            ("bearer", http(url.clone(), "bearer_token: hunter2-bearer")),
            ("bearer-file", http(url.clone(), &format!("bearer_token_file: '{file}'"))),
            (
                "basic-file",
                http(url.clone(), &format!("basic_auth: {{username: u, password_file: '{file}'}}")),
            ),
            (
                "scheme",
                http(url.clone(), "authorization: {type: Token, credentials: hunter2-scheme}"),
            ),
            ("header", http(url.clone(), "http_headers: {X-Token: {secrets: [hunter2-header]}}")),
            (
                "header-file",
                http(url.clone(), &format!("http_headers: {{X-Token: {{files: ['{file}']}}}}")),
            ),
            ("url", http(with_user.clone(), "")),
            ("proxy", http(elsewhere, &format!("proxy_url: 'http://u:hunter2-proxy@{server}'"))),
            ("oauth2", http(url.clone(), &oauth2(&format!("denied/{encoding}")))),
            ("granted", http(url.clone(), &oauth2("grants"))),
            ("engine", format!("dockerswarm_sd_configs: [{{role: nodes, host: '{with_user}'}}]")),
            (
                "docker",
                format!("docker_sd_configs: [{{host: '{url}', bearer_token: hunter2-docker}}]"),
            ),
            (
                "master",
                format!("swarm_sd_configs: [{{masters: ['{with_user}'], refresh_interval: 1m}}]"),
            ),
            (
                "master-row",
                format!(
                    "swarm_sd_configs: [{{masters: ['http://{server}/nodes/{encoding}'], bearer_token: hunter2-row, refresh_interval: 1m}}]"
                ),
            ),
            (
                "etcd2",
                format!(
                    "swarm_sd_configs: [{{discovery: 'etcd://u:hunter2-e2@{server}/{encoding}'}}]"
                ),
            ),
            (
                "etcd2-json",
                format!(
                    "swarm_sd_configs: [{{discovery: 'etcd://u:hunter2-e2@{server}/decoded/{encoding}'}}]"
                ),
            ),
            (
                "etcd3",
                format!(
                    "swarm_sd_configs: [{{discovery: 'etcd://u:hunter2-e3@{server}/{encoding}', etcd_api: v3}}]"
                ),
            ),
            (
                "consul",
                format!(
                    "swarm_sd_configs: [{{discovery: 'consul://u:hunter2-c@{server}/{encoding}'}}]"
                ),
            ),
            (
                "token",
                format!(
                    "swarm_sd_configs: [{{discovery: 'token://hunter2token', token_url: 'http://{server}/{encoding}'}}]"
                ),
            ),
        ] {
            jobs.push((format!("{name}-{encoding}"), source));
        }
    }
    jobs
}

#[test]
fn what_a_server_repeats_shows_nowhere() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let server = Server::start(Listen::Tcp, |request: &Request| answer(request, repeated(request)));
    let server = server.expect("a port is free");
    let folder = Folder::new();
    let jobs = jobs(server.addr().expect("it has an address"), &folder);
    assert_eq!(jobs.len(), (ENTRANCES.len() + 19) * ENCODINGS.len());
    let mut file = String::from("scrape_configs:\n");
    for (name, source) in &jobs {
        writeln!(file, "- job_name: {name}\n  {source}").expect("a string takes all");
    }
    folder.write("prometheus.yml", &file);
    let mut program = folder.start(&[]);
    let address = program.address();

    let sources = failed_sources(address, jobs.len(), "<secret>");
    let mut pages = vec![("sources".to_owned(), sources)];
    for path in
        ["/", "/api/v1/targets", "/api/v1/status/config", "/api/v1/status/flags", "/metrics"]
    {
        pages.push((path.to_owned(), get(address, path).body));
    }
    for (name, _) in &jobs {
        let answer = get(address, &format!("/sd/{name}"));
        assert_eq!(answer.status, 503, "{name}");
        assert!(answer.body.contains("<secret>"), "{name}: {}", answer.body);
        pages.push((format!("/sd/{name}"), answer.body));
    }
    program.signal("TERM");
    let (_, log) = program.end();
    assert!(log.contains("<secret>"), "{log}");
    pages.push(("log".to_owned(), log));
    let traces = traces();
    for (page, text) in pages {
        let text = text.replace("&amp;", "&").replace('\\', "").to_ascii_lowercase();
        for trace in &traces {
            let at = text.find(trace.as_str());
            let around = at.map(|at| {
                &text[text.floor_char_boundary(at.saturating_sub(200))..at + trace.len()]
            });
            assert_eq!(around, None, "{page} shows a secret");
        }
    }
}

/// `/api/v1/sources` once each of `count` sources has failed, or has problems, and names `text`.
fn failed_sources(address: SocketAddr, count: usize, text: &str) -> String {
    let until = Instant::now() + DEADLINE;
    loop {
        let sources = get(address, "/api/v1/sources").body;
        let read: serde_json::Value = serde_json::from_str(&sources).expect("JSON");
        let read = read["data"]["sources"].as_array().expect("a list");
        assert_eq!(read.len(), count);
        let failed = |source: &serde_json::Value| {
            let has_problems = source["problems"].as_array().is_some_and(|p| !p.is_empty());
            let shown = format!("{} {}", source["lastError"], source["problems"]);
            (source["lastError"] != "" || has_problems) && shown.contains(text)
        };
        if read.iter().all(failed) {
            return sources;
        }
        assert!(Instant::now() < until, "some source has not failed: {sources}");
    }
}

#[test]
fn what_a_server_says_at_length_is_cut() {
    /// The shown part of an error, with what is around it.
    const MOST: usize = 2048;
    /// More than the header of an answer may have is refused as a whole.
    const HEADER: usize = 100_000;
    let runtime = runtime();
    let _inside = runtime.enter();
    let server = Server::start(Listen::Tcp, |request: &Request| {
        let in_header =
            ["/location", "/type", "/encoding"].iter().any(|e| request.path.starts_with(e));
        let text = "B".repeat(if in_header { HEADER } else { 2 << 20 });
        match &*request.path {
            // An answer, with names that do not resolve.
            "/list/v1/clusters/long" => Response::json(format!("[\"{text}\"]")),
            "/worker/v1.41/nodes" => Response::message(
                503,
                "This node is not a swarm manager. Worker nodes can't be used to view cluster state",
            ),
            path if path.starts_with("/worker/") => Response::json(format!(
                "{{\"Swarm\":{{\"RemoteManagers\":[{{\"Addr\":\"{text}:1\"}},{{\"Addr\":\"m:1\"}}]}}}}"
            )),
            _ => answer(request, text),
        }
    });
    let server = server.expect("a port is free");
    let (folder, at) = (Folder::new(), server.addr().expect("it has an address"));
    let long = "B".repeat(2 << 20);
    let json = folder.write("long.json", &format!("[{{\"{long}\":1}}]")).display().to_string();
    let yaml = folder.write("long.yml", &format!("- {long}: 1\n")).display().to_string();
    let nodes = folder.write("nodes", &long).display().to_string();
    let mut sources = vec![
        format!("file_sd_configs: [{{files: ['{json}']}}]"),
        format!("file_sd_configs: [{{files: ['{yaml}']}}]"),
        format!("swarm_sd_configs: [{{discovery: 'file://{nodes}'}}]"),
        format!("dockerswarm_sd_configs: [{{role: nodes, host: 'http://{at}/status'}}]"),
        format!("dockerswarm_sd_configs: [{{role: nodes, host: 'http://{at}/worker'}}]"),
        format!("docker_sd_configs: [{{host: 'http://{at}/status'}}]"),
        format!("swarm_sd_configs: [{{masters: ['http://{at}/nodes'], refresh_interval: 1m}}]"),
        format!("swarm_sd_configs: [{{masters: ['http://{at}/status'], refresh_interval: 1m}}]"),
        format!("swarm_sd_configs: [{{discovery: 'etcd://{at}/decoded'}}]"),
        format!("swarm_sd_configs: [{{discovery: 'etcd://{at}/a', etcd_api: v3}}]"),
        format!("swarm_sd_configs: [{{discovery: 'consul://{at}/a'}}]"),
        format!("swarm_sd_configs: [{{discovery: 'token://long', token_url: 'http://{at}/list'}}]"),
    ];
    sources.extend(
        ENTRANCES.map(|entrance| format!("http_sd_configs: [{{url: 'http://{at}/{entrance}'}}]")),
    );
    let mut file = String::from("scrape_configs:\n");
    for (number, source) in sources.iter().enumerate() {
        writeln!(file, "- job_name: '{number}'\n  {source}").expect("a string takes all");
    }
    folder.write("prometheus.yml", &file);
    let mut program = folder.start(&[]);
    let address = program.address();
    let shown = failed_sources(address, sources.len(), "");
    assert!(shown.len() < sources.len() * MOST, "{shown}");
    for number in 0..sources.len() {
        let list = get(address, &format!("/sd/{number}")).body;
        assert!(list.len() < MOST, "{number}: {list}");
    }
    let page = get(address, "/").body;
    assert!(page.len() < sources.len() * 4 * MOST, "{}", page.len());
    program.signal("TERM");
    let (_, written) = program.end();
    for line in written.lines() {
        assert!(line.len() < 2 * MOST, "{line}");
    }
}

/// The reason that a target is refused holds text of the server, too.
#[test]
fn what_a_refused_target_repeats_is_not_logged() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let server = Server::start(Listen::Tcp, |request: &Request| {
        let header = request.headers["authorization"].to_str().expect("text");
        Response::json(serde_json::json!([{ "targets": [format!("h/{header}")] }]).to_string())
    });
    let server = server.expect("a port is free");
    let (folder, at) = (Folder::new(), server.addr().expect("it has an address"));
    folder.write(
        "prometheus.yml",
        &format!(
            "scrape_configs:\n- job_name: a\n  http_sd_configs: [{{url: 'http://{at}/', bearer_token: hunter2-bearer}}]\n"
        ),
    );
    let mut program = folder.start(&[]);
    let line = program.line("Creating target failed");
    assert!(line.contains("h/<secret>") || line.contains("h/Bearer <secret>"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}
