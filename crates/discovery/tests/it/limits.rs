//! An answer that would become far more than it is, sent to each kind of source: the source says
//! what is too much, and holds nothing of it.

use std::mem::discriminant;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use swarmscout_discovery::config::{
    BuildContext, ClassicConfig, CustomConfig, DnsConfig, DockerConfig, DockerSwarmConfig,
    EngineConfig, EtcdApi, Events, FileConfig, HttpSdConfig, NodeListConfig, OverlayPort,
    RecordType, Role, StaticConfig, StaticGroup,
};
use swarmscout_discovery::limits::Excess;
use swarmscout_discovery::source::dns::Resolver;
use swarmscout_discovery::source::nodelist::Location;
use swarmscout_discovery::{BoxFuture, Discoverer, Error, Groups, Refreshed, SdConfig};
use swarmscout_model::size::Bytes;
use swarmscout_model::{Budget, OverBudget, PromDuration, TargetGroup};
use swarmscout_net::HttpConfig;
use swarmscout_refresh::RefreshScope;
use swarmscout_sim_stores::dns::{Data, DnsServer, Zone};
use swarmscout_sim_stores::zookeeper::ZooKeeper;
use swarmscout_simulator::{Listen, Request, Response, Server};

/// Enough for each of the answers, and for nothing that they would become.
const LIMIT: u64 = 4 << 20;

const MINUTE: PromDuration = PromDuration::from_secs(60);

/// The errors of each refresh; in the end no memory is held.
async fn refused(name: &str, config: &SdConfig) -> Error {
    refused_within(name, config, BuildContext::new("test")).await
}

async fn refused_within(name: &str, config: &SdConfig, context: BuildContext) -> Error {
    let budget = Budget::new(Bytes(LIMIT));
    let context = context.within(budget.clone());
    let mut source = match config.source().build(&context) {
        Ok(source) => source,
        Err(error) => {
            assert_eq!(budget.used(), 0, "{name}");
            return error;
        }
    };
    let first = source.fetch(RefreshScope::Full).await.expect_err(name);
    let second = source.fetch(RefreshScope::Full).await.expect_err(name);
    // The number of bytes in use differs each time.
    assert_eq!(discriminant(&first), discriminant(&second), "{name}: {first}, then {second}");
    drop(source);
    assert_eq!(budget.used(), 0, "{name}");
    first
}

/// The error that it does not fit, with the least that it would need.
async fn needs(name: &str, config: &SdConfig, at_least: u64) {
    needs_within(name, config, BuildContext::new("test"), at_least).await;
}

async fn needs_within(name: &str, config: &SdConfig, context: BuildContext, at_least: u64) {
    let error = refused_within(name, config, context).await;
    let Error::Excess { excess: Excess::Memory(memory), .. } = &error else {
        panic!("{name}: {error}")
    };
    let OverBudget { needed, used, limit } = *memory;
    // A sixteenth is for what is small.
    assert!(needed + used > LIMIT / 16 * 15, "{name}: {error}");
    assert_eq!(limit, LIMIT, "{name}");
    assert!(needed >= at_least, "{name}: {error}");
    let text = error.to_string();
    assert!(text.contains("--limits.memory=4MiB: raise --limits.memory, or"), "{text}");
}

async fn says(name: &str, config: &SdConfig, expected: &str) {
    let error = refused(name, config).await.to_string();
    assert!(error.ends_with(expected), "{name}: {error}");
}

/// Only what is expected is left out, and one target is left.
async fn leaves_out(name: &str, config: &SdConfig, expected: &str) {
    let budget = Budget::new(Bytes(64 << 20));
    let context = BuildContext::new("test").within(budget.clone());
    let mut source = config.source().build(&context).unwrap();
    let refreshed = source.fetch(RefreshScope::Full).await.unwrap();
    let targets: usize = refreshed.value.iter().map(|group| group.targets.len()).sum();
    let problems: Vec<_> = refreshed
        .problems
        .iter()
        .map(|problem| {
            format!("{} {}: {}: {}", problem.kind, problem.object, problem.reason, problem.detail)
        })
        .collect();
    assert_eq!((targets, &*problems), (1, &[expected.to_owned()][..]), "{name}");
}

/// A server that answers all of it with JSON of this kind.
fn serve(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> (Server, String) {
    let server = Server::start(Listen::Tcp, answer).unwrap();
    let address = server.addr().unwrap().to_string();
    (server, address)
}

fn always(json: impl Into<String>) -> (Server, String) {
    let json = json.into();
    serve(move |_| {
        Response::json(json.clone()).with("X-Consul-Index", "1").with("X-Etcd-Index", "1")
    })
}

fn http_sd(address: &str) -> SdConfig {
    let http = HttpConfig::default();
    SdConfig::Http(HttpSdConfig {
        urls: vec![format!("http://{address}/sd")],
        refresh_interval: MINUTE,
        http,
    })
}

/// 1,000 targets that share a label of this many bytes.
fn shared(bytes: usize) -> String {
    let targets: Vec<_> = (0..1000).map(|i| format!("h:{i}")).collect();
    json!([{ "labels": { "x": "v".repeat(bytes) }, "targets": targets }]).to_string()
}

#[tokio::test]
async fn http_sd_lists() {
    let (_server, address) = always(shared(60_000));
    needs("shared label", &http_sd(&address), 60_000_000).await;
    let (_server, address) = always(shared(100_000));
    let expected = r#"label "x" of group 0 has 100000 bytes, at most 65536 are allowed"#;
    says("long label", &http_sd(&address), expected).await;
    let element = r#"{"targets":["a"]}"#;
    let (_server, address) = always(format!("[{}]", vec![element; 50_000].join(",")));
    needs("many groups", &http_sd(&address), LIMIT / 2).await;
    let (_server, address) = always(format!("[{}]", vec!["{}"; 500_000].join(",")));
    let budget = Budget::new(Bytes(LIMIT));
    let context = BuildContext::new("test").within(budget.clone());
    let mut source = http_sd(&address).source().build(&context).unwrap();
    assert_eq!(
        source.fetch(RefreshScope::Full).await.unwrap().value,
        Groups::new(),
        "empty groups are nothing"
    );
    let (_server, address) = always(" ".repeat(5 << 20));
    needs("the answer itself", &http_sd(&address), LIMIT / 2).await;
}

#[tokio::test]
async fn files() {
    let name = format!("swarmscout-limits-{}.json", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    let config = SdConfig::File(FileConfig { files: vec![path.clone()], refresh_interval: MINUTE });
    std::fs::write(&path, shared(100_000)).unwrap();
    let long = refused("file", &config).await.to_string();
    std::fs::write(&path, shared(60_000)).unwrap();
    let shared = refused("file", &config).await.to_string();
    std::fs::remove_file(&path).unwrap();
    let expected =
        r#"is too much: label "x" of group 0 has 100000 bytes, at most 65536 are allowed"#;
    assert!(long.ends_with(expected), "{long}");
    assert!(shared.contains("is too much: needs about "), "{shared}");
}

#[tokio::test]
async fn static_targets() {
    let group = |bytes: usize| StaticGroup {
        targets: (0..1000).map(|i| format!("h:{i}")).collect(),
        labels: [("x", "v".repeat(bytes))].into_iter().collect(),
    };
    let config = |bytes| SdConfig::Static(StaticConfig { groups: vec![group(bytes)] });
    needs("static", &config(60_000), 60_000_000).await;
    let expected = r#"label "x" of group 0 has 100000 bytes, at most 65536 are allowed"#;
    says("static", &config(100_000), expected).await;
}

#[tokio::test]
async fn classic_masters() {
    let config = |address: &str| {
        SdConfig::Classic(ClassicConfig {
            masters: vec![format!("http://{address}")],
            refresh_interval: MINUTE,
            metrics_port: "8070".to_owned(),
            http: HttpConfig::default(),
        })
    };
    let info = |strategy: usize| {
        let nodes =
            (0..1000).map(|i| json!([format!(" n{i}"), format!("10.0.{}.{}:1", i >> 8, i & 255)]));
        let master = [json!(["Strategy", "s".repeat(strategy)]), json!(["Nodes", "1000"])];
        let rows: Vec<Value> = master.into_iter().chain(nodes).collect();
        json!({ "SystemStatus": rows }).to_string()
    };
    let (_server, address) = always(info(500_000));
    let error = refused("classic", &config(&address)).await.to_string();
    assert!(error.contains("needs about ") && error.contains("--limits.memory=4MiB"), "{error}");
    let (_server, address) = always(info(1_100_000));
    let error = refused("classic", &config(&address)).await.to_string();
    let expected = r#"label "__meta_swarm_strategy" of swarm_masters has 1100000 bytes, at most 1048576 are allowed"#;
    assert!(error.ends_with(expected), "{error}");
}

fn node_list(url: &str, etcd_api: EtcdApi) -> SdConfig {
    SdConfig::NodeList(NodeListConfig {
        location: Location::parse(url).unwrap(),
        etcd_api,
        token_url: None,
        refresh_interval: MINUTE,
        metrics_port: "8070".to_owned(),
        http: HttpConfig::default(),
    })
}

/// Memory is counted while it is read: a few bytes of each element become a hundred.
#[tokio::test]
async fn node_lists() {
    let many = |element: &str| vec![element; 100_000].join(",");
    let nodes = many("{}");
    let folder = r#""key":"/docker/swarm/nodes","dir":true"#;
    for (name, scheme, api, answer) in [
        ("etcd v2", "etcd", EtcdApi::V2, format!(r#"{{"node":{{{folder},"nodes":[{nodes}]}}}}"#)),
        ("etcd v3", "etcd", EtcdApi::V3, format!(r#"{{"kvs":[{}]}}"#, many("{}"))),
        ("consul", "consul", EtcdApi::V2, format!("[{}]", many(r#"{"Key":""}"#))),
    ] {
        let (_server, address) = always(answer);
        let config = node_list(&format!("{scheme}://{address}"), api);
        let error = refused(name, &config).await.to_string();
        assert!(error.contains("needs about "), "{name}: {error}");
        assert!(error.contains("--limits.memory=4MiB"), "{name}: {error}");
    }
    // Each of these 10 bytes is a node.
    let nodes: Vec<_> = (0..60_000).map(|i| format!("\"h:{i}\"")).collect();
    let (_server, address) = always(format!("[{}]", nodes.join(",")));
    let SdConfig::NodeList(token) = node_list("token://t", EtcdApi::V2) else { unreachable!() };
    let token_url = Some(format!("http://{address}"));
    let token = SdConfig::NodeList(NodeListConfig { token_url, ..token });
    needs("token", &token, LIMIT / 2).await;
    let path = std::env::temp_dir().join(format!("swarmscout-nodes-{}", std::process::id()));
    std::fs::write(&path, "10.0.0.[1:60000]:2375\n").unwrap();
    needs("file", &node_list(&format!("file://{}", path.display()), EtcdApi::V2), LIMIT / 2).await;
    std::fs::remove_file(&path).unwrap();
    needs("nodes", &node_list("nodes://10.0.0.[1:60000]:2375", EtcdApi::V2), LIMIT / 2).await;
}

/// Each name of a node is a target.
#[tokio::test]
async fn zookeeper() {
    let ensemble = ZooKeeper::start(1).unwrap();
    for i in 0..40_000 {
        let node = format!("10.0.{}.{}:2375", i >> 8, i & 255);
        ensemble.put(&format!("/swarm/docker/swarm/nodes/{node}"), &node);
    }
    let url = format!("zk://{}/swarm", ensemble.addr(0));
    needs("zookeeper", &node_list(&url, EtcdApi::V2), LIMIT / 2).await;
}

/// A record of 16 bytes is a target. An answer has 64 KiB at most, so it takes several names.
#[tokio::test]
async fn dns() {
    let zone = Zone::default();
    let names: Vec<_> = (0..20).map(|i| format!("n{i}.")).collect();
    for name in &names {
        zone.set(
            name,
            (0..4000_u16).map(|i| {
                let [high, low] = i.to_be_bytes();
                Data::A([10, 0, high, low].into())
            }),
        );
    }
    let server = DnsServer::start(&zone).unwrap();
    let name = format!("swarmscout-limits-{}.conf", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, format!("nameserver [127.0.0.1]:{}\n", server.addr().port())).unwrap();
    let config = SdConfig::Dns(DnsConfig {
        names,
        record_type: RecordType::A,
        port: 8080,
        refresh_interval: MINUTE,
    });
    let dns = Arc::new(Resolver::new(&path));
    let context = BuildContext { dns, ..BuildContext::new("test") };
    needs_within("dns", &config, context, 100_000).await;
    std::fs::remove_file(&path).unwrap();
}

fn engine(address: &str) -> EngineConfig {
    EngineConfig {
        hosts: vec![format!("http://{address}")],
        port: 80,
        filters: Vec::new(),
        refresh_interval: MINUTE,
        http: HttpConfig::default(),
    }
}

/// Answers with these lists, and with none for what is not among them.
fn lists(given: Vec<(&'static str, Value)>) -> (Server, String) {
    serve(move |request| {
        let path = &request.path;
        let list = given.iter().find(|(name, _)| path.ends_with(name));
        match list {
            Some((_, list)) => Response::json(list.to_string()).with("Api-Version", "1.44"),
            None if path.ends_with("_ping") => Response::json("{}").with("Api-Version", "1.44"),
            None if path.ends_with("/info") => Response::message(404, "withheld"),
            None => Response::json("[]").with("Api-Version", "1.44"),
        }
    })
}

#[tokio::test]
async fn docker() {
    let ports: Vec<_> = (0..1000).map(|p| json!({ "PrivatePort": p, "Type": "tcp" })).collect();
    let container = |id: &str, label: usize, ports: &[Value]| {
        json!({
            "Id": id, "Names": [id], "Labels": { "big": "v".repeat(label) }, "Ports": ports,
            "HostConfig": { "NetworkMode": "bridge" },
            "NetworkSettings": { "Networks": { "bridge": { "NetworkID": "n1", "IPAddress": "10.0.0.2" } } },
        })
    };
    let config = |address: &str| {
        SdConfig::Docker(DockerConfig {
            engine: engine(address),
            host_networking_host: "localhost".to_owned(),
            match_first_network: true,
        })
    };
    let (_server, address) =
        lists(vec![("/containers/json", json!([container("c1", 100_000, &ports)]))]);
    needs("docker", &config(&address), LIMIT / 2).await;
    let two = json!([container("c1", 1_100_000, &[]), container("c2", 0, &[])]);
    let (_server, address) = lists(vec![("/containers/json", two)]);
    let expected = r#"container c1: labels too long: label "__meta_docker_container_label_big" of container c1 has 1100000 bytes, at most 1048576 are allowed"#;
    leaves_out("docker", &config(&address), expected).await;
}

fn tasks(number: usize) -> Value {
    let task = |i: usize| {
        json!({
            "ID": format!("t{i}"), "Version": { "Index": 1 }, "ServiceID": "s1", "NodeID": "n1",
            "Slot": i, "DesiredState": "running", "Status": { "State": "running" }, "Spec": {},
            "NetworksAttachments": [{
                "Network": { "ID": "w1" },
                "Addresses": [format!("10.0.{}.{}/16", i >> 8, i & 255)],
            }],
        })
    };
    (0..number).map(task).collect()
}

fn service(id: &str, label: usize) -> Value {
    json!({
        "ID": id, "Version": { "Index": 1 },
        "Spec": { "Name": id, "Labels": { "big": "v".repeat(label) }, "Mode": { "Replicated": {} } },
        "Endpoint": { "VirtualIPs": [{ "NetworkID": "w1", "Addr": "10.0.0.5/16" }] },
    })
}

fn node(id: &str, label: usize) -> Value {
    json!({
        "ID": id, "Version": { "Index": 1 }, "Spec": { "Labels": { "big": "v".repeat(label) } },
        "Description": { "Hostname": "h" }, "Status": { "State": "ready", "Addr": "10.0.0.1" },
    })
}

/// A label of a service that its tasks share, one of a node that each of them gets, and one that is
/// too long.
#[tokio::test]
async fn dockerswarm() {
    let config = |address: &str, role| {
        SdConfig::DockerSwarm(DockerSwarmConfig {
            engine: engine(address),
            role,
            match_first_network: false,
            overlay_port: OverlayPort::default(),
            events: Events::Poll,
            swarmkit_socket: None,
        })
    };
    for (name, big_service, big_node) in
        [("shared by the service", 1_000_000, 0), ("copied from the node", 0, 100_000)]
    {
        let (_server, address) = lists(vec![
            ("/tasks", tasks(100)),
            ("/services", json!([service("s1", big_service)])),
            ("/nodes", json!([node("n1", big_node)])),
        ]);
        needs(name, &config(&address, Role::Tasks), LIMIT / 2).await;
    }
    let too_long = |label: &str, of: &str| {
        format!(
            r#"{of}: labels too long: label "{label}" of {of} has 1100000 bytes, at most 1048576 are allowed"#
        )
    };
    let mut two_tasks = tasks(2);
    two_tasks[1]["ServiceID"] = json!("s2");
    let services = json!([service("s1", 1_100_000), service("s2", 0)]);
    let (_server, address) = lists(vec![
        ("/tasks", two_tasks.clone()),
        ("/services", services),
        ("/nodes", json!([node("n1", 0)])),
    ]);
    let expected = too_long("__meta_dockerswarm_service_label_big", "service s1");
    leaves_out("tasks", &config(&address, Role::Tasks), &expected).await;
    leaves_out("services", &config(&address, Role::Services), &expected).await;
    let (_server, address) = lists(vec![("/nodes", json!([node("n1", 1_100_000), node("n2", 0)]))]);
    let expected = too_long("__meta_dockerswarm_node_label_big", "node n1");
    leaves_out("nodes", &config(&address, Role::Nodes), &expected).await;
    two_tasks[1]["NodeID"] = json!("n2");
    let (_server, address) = lists(vec![
        ("/tasks", two_tasks),
        ("/nodes", json!([node("n1", 1_100_000), node("n2", 0)])),
    ]);
    let expected = too_long("__meta_dockerswarm_node_label_big", "task t0");
    leaves_out("tasks", &config(&address, Role::Tasks), &expected).await;
}

/// Objects take memory before any target is made of them, most of it when they have next to no text.
#[tokio::test]
async fn tiny_objects_of_an_engine() {
    let many = |of: &dyn Fn(usize) -> Value| (0..20_000).map(of).collect::<Value>();
    let ports = vec![json!({}); 50_000];
    for (name, service) in [
        ("objects", many(&|i| json!({ "ID": format!("s{i}") }))),
        ("objects without an ID", many(&|_| json!({}))),
        ("parts", json!([{ "ID": "s", "Endpoint": { "Ports": ports } }])),
    ] {
        let (_server, address) = lists(vec![("/services", service)]);
        let config = SdConfig::DockerSwarm(DockerSwarmConfig {
            engine: engine(&address),
            role: Role::Services,
            match_first_network: false,
            overlay_port: OverlayPort::default(),
            events: Events::Poll,
            swarmkit_socket: None,
        });
        let error = refused(name, &config).await.to_string();
        assert!(error.contains("/services: needs about "), "{name}: {error}");
        assert!(error.contains("--limits.memory=4MiB: raise --limits.memory"), "{error}");
    }
}

/// Hands over what it was made with.
struct Given(Groups);

impl Discoverer for Given {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        let refreshed = Refreshed::new(self.0.clone(), std::time::Instant::now());
        Box::pin(std::future::ready(Ok(refreshed)))
    }
}

#[tokio::test]
async fn a_discoverer_of_another_crate() {
    let group = |bytes: usize| {
        Arc::new(TargetGroup {
            source: "g".into(),
            targets: vec![[("__address__", "h:1")].into_iter().collect(); 1000],
            labels: [("x", "v".repeat(bytes))].into_iter().collect(),
        })
    };
    let config = |bytes| {
        let groups = vec![group(bytes)];
        SdConfig::Custom(CustomConfig {
            mechanism: "given",
            display_name: "given".into(),
            refresh_interval: None,
            build: Arc::new(move |_| Ok(Box::new(Given(groups.clone())))),
        })
    };
    needs("custom", &config(100_000), 100_000_000).await;
    let expected = r#"given: label "x" of group g has 1100000 bytes, at most 1048576 are allowed"#;
    says("custom", &config(1_100_000), expected).await;
}
