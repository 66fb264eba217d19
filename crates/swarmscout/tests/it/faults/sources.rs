//! The requests, and the answers without a fault.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde_json::{Value, json};
use swarmscout_discovery::for_each_source;
use swarmscout_simulator::engine::Recording;
use swarmscout_simulator::{Listen, Request, Response, Server, classic};

use super::lists;
use super::origin::{Folder, NameServer, Origin};

macro_rules! columns {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $($variant:ident($folder:ident::$config:ident))|+,
            keys $keys_folder:ident::$keys:ident, faults [$($column:ident),*] $(, $mark:ident)?;
    )+) => {
        /// One column of the table. `OtherLists` are tasks, where it is not their list that goes
        /// wrong but one that explains them; `ListFile` is `file://` of classic Swarm.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Source {
            $($($column,)*)+
        }

        impl Source {
            pub(crate) const ALL: &[Self] = &[$($(Self::$column,)*)+];

            /// Its key in a job.
            const fn key(self) -> &'static str {
                match self {
                    $($(Self::$column => stringify!($key),)*)+
                }
            }
        }
    };
}

for_each_source!(columns);

/// The good answer of file and HTTP SD.
pub(crate) const GROUPS: &str = r#"[{"targets":["10.0.0.1:9100","10.0.0.2:9100"],"labels":{"zone":"a","size":"1"}},{"targets":["10.0.0.3:9100"],"labels":{"zone":"b"}}]"#;

/// The services that are left of the recorded Swarm, with their tasks: one in ingress mode on a
/// network, one in host mode, one with a port that Swarm chose.
const SERVICES: [&str; 3] = ["web", "agent", "random-port"];

/// The answers of Engine and master without a fault, by path.
static ANSWERS: LazyLock<BTreeMap<&str, Bytes>> = LazyLock::new(|| {
    let recording = |path| Recording::THREE_NODES.body(path).unwrap();
    let list = |path| serde_json::from_slice::<Vec<Value>>(recording(path)).unwrap();
    let (mut services, mut tasks) = (list("/services"), list("/tasks"));
    services.retain(|service| SERVICES.iter().any(|name| service["Spec"]["Name"] == *name));
    tasks.retain(|task| services.iter().any(|service| task["ServiceID"] == service["ID"]));
    let text = |list: &[Value]| Bytes::from(serde_json::to_vec(list).unwrap());
    let (_, _, info) =
        classic::RECORDED.iter().find(|(version, case, _)| (*version, *case) == MASTER).unwrap();
    BTreeMap::from([
        ("/services", text(&services)),
        ("/tasks", text(&tasks)),
        ("/nodes", Bytes::from_static(recording("/nodes"))),
        ("/networks", Bytes::from_static(recording("/networks"))),
        ("/containers/json", Bytes::from_static(recording("/containers/json"))),
        ("/info", Bytes::from_static(info)),
        ("/sd", Bytes::from_static(GROUPS.as_bytes())),
        (Source::Etcd2.list(), lists::etcd2().to_string().into()),
        (Source::Etcd3.list(), lists::etcd3().to_string().into()),
        (Source::Consul.list(), lists::consul().to_string().into()),
        (Source::Token.list(), lists::token().to_string().into()),
    ])
});

/// The answers to the sources that read labels, as far as they differ: services and containers have
/// some, and the engine is not a classic master.
static LABELLED: LazyLock<BTreeMap<&str, Bytes>> = LazyLock::new(|| {
    let list = |path| serde_json::from_slice::<Vec<Value>>(&ANSWERS[path]).unwrap();
    let (mut services, mut containers) = (list("/services"), list("/containers/json"));
    // Without a fault, what has a label has an address.
    let has_address = |service: &str| !matches!(service, "random-port" | "on-host");
    for service in &mut services {
        if !has_address(service["Spec"]["Name"].as_str().unwrap()) {
            continue;
        }
        service["Spec"]["Labels"] = json!({PORT: "8080", "prometheus.io/scrape": "true"});
    }
    for container in &mut containers {
        let name = container["Names"][0].as_str().unwrap();
        let service = name.trim_start_matches('/').split('.').next().unwrap().to_owned();
        if !has_address(&service) {
            continue;
        }
        container["Labels"] = json!({
            PORT: "8080",
            "prometheus.io/scrape": "true",
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1",
        });
    }
    let text = |list: &[Value]| Bytes::from(serde_json::to_vec(list).unwrap());
    BTreeMap::from([
        ("/services", text(&services)),
        ("/containers/json", text(&containers)),
        ("/info", Bytes::from_static(Recording::THREE_NODES.body("/info").unwrap())),
    ])
});

const PORT: &str = "prometheus.io/port";

/// The recording that the master answers with.
const MASTER: (&str, &str) = ("1.2.9", "healthy");

/// The answers of a server without a fault to a source that reads labels.
fn answer_labelled(request: &Request) -> Response {
    match LABELLED.get(request.path.trim_start_matches("/v1.41")) {
        Some(answer) => Response::json(answer.clone()),
        None => answer(request),
    }
}

/// The answers of a server without a fault.
fn answer(request: &Request) -> Response {
    match request.path.trim_start_matches("/v1.41") {
        "/_ping" => Response::new("text/plain", "OK").with("Api-Version", "1.41"),
        path => {
            // The stores are asked for folders that they do not have.
            let nothing = || {
                let answer = Response::json(r#"{"errorCode":100}"#);
                Response { status: 404, ..answer }.with("X-Consul-Index", "1")
            };
            ANSWERS.get(path).cloned().map_or_else(nothing, Response::json)
        }
    }
}

impl Source {
    /// Head of its column.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Http => "HTTP",
            Self::Masters => "classic masters",
            Self::Nodes => "nodes",
            Self::Services => "services",
            Self::Tasks => "tasks",
            Self::OtherLists => "networks of tasks",
            Self::Docker => "docker",
            Self::Labels => "labels of services",
            Self::Engines => "labels of containers",
            Self::ListFile => "list in a file",
            Self::Etcd2 => "etcd v2",
            Self::Etcd3 => "etcd v3",
            Self::Consul => "Consul",
            Self::Token => "tokens",
            Self::ZooKeeper => "ZooKeeper",
            Self::Dns => "DNS",
        }
    }

    /// Whether it is asked over HTTP.
    pub(crate) const fn is_http(self) -> bool {
        !matches!(self, Self::File | Self::ListFile | Self::ZooKeeper | Self::Dns)
    }

    /// Whether it is in the second part of the table.
    pub(crate) const fn is_list_or_dns(self) -> bool {
        matches!(
            self,
            Self::ListFile
                | Self::Etcd2
                | Self::Etcd3
                | Self::Consul
                | Self::Token
                | Self::ZooKeeper
                | Self::Dns
        )
    }

    /// The end of the paths of the list that has the fault. Empty where there is no path.
    pub(crate) const fn list(self) -> &'static str {
        match self {
            Self::File | Self::ListFile | Self::ZooKeeper | Self::Dns => "",
            Self::Http => "/sd",
            Self::Masters => "/info",
            Self::Nodes => "/nodes",
            Self::Services | Self::Labels => "/services",
            Self::Tasks => "/tasks",
            Self::OtherLists => "/networks",
            Self::Docker | Self::Engines => "/containers/json",
            Self::Etcd2 => "/v2/keys/swarm/docker/swarm",
            Self::Etcd3 => "/v3/kv/range",
            Self::Consul => "/v1/kv/swarm/docker/swarm",
            Self::Token => "/v1/clusters/f00d",
        }
    }

    /// The answer at a path without a fault; without a path, the content of its file.
    pub(crate) fn answer(self, path: &str) -> &'static [u8] {
        let labelled = LABELLED.get(path).filter(|_| self.reads_labels());
        match labelled {
            Some(answer) => answer,
            None if path.is_empty() => GROUPS.as_bytes(),
            None => &ANSWERS[path],
        }
    }

    /// Whether its targets are those that labels declare.
    const fn reads_labels(self) -> bool {
        matches!(self, Self::Labels | Self::Engines)
    }

    /// Starts who answers to this job.
    pub(crate) fn start(self, job: &str, names: &Arc<NameServer>) -> Origin {
        match self {
            Self::File => Origin::File(Folder::new("targets.json", GROUPS)),
            Self::ListFile => Origin::File(Folder::new("nodes", lists::FILE)),
            Self::ZooKeeper => Origin::zookeeper(),
            Self::Dns => Origin::name(names, format!("{}.test.", job.to_lowercase())),
            _ if self.reads_labels() => {
                Origin::Server(Server::start(Listen::Tcp, answer_labelled).unwrap())
            }
            _ => Origin::Server(Server::start(Listen::Tcp, answer).unwrap()),
        }
    }

    /// Its section of a job.
    pub(crate) fn yaml(self, origin: &Origin) -> String {
        let place = origin.place();
        let keys = match self {
            Self::File => format!("files: ['{place}']"),
            Self::Http => format!("url: '{place}/sd'"),
            Self::Masters => format!("masters: ['{place}']"),
            Self::Nodes => format!("host: '{place}', role: nodes"),
            Self::Services => format!("host: '{place}', role: services"),
            Self::Tasks | Self::OtherLists => format!("host: '{place}', role: tasks"),
            Self::Docker => format!("host: '{place}'"),
            // A preset would connect to the recorded nodes.
            Self::Labels => format!("host: '{place}', presets: []"),
            Self::Engines => format!("engines: [{{host: '{place}'}}], presets: []"),
            Self::ListFile => format!("discovery: 'file://{place}'"),
            Self::Etcd2 => format!("discovery: 'etcd://{}/swarm'", authority(&place)),
            Self::Etcd3 => {
                format!("discovery: 'etcd://{}/swarm', etcd_api: v3", authority(&place))
            }
            Self::Consul => format!("discovery: 'consul://{}/swarm'", authority(&place)),
            Self::Token => format!("discovery: 'token://f00d', token_url: '{place}'"),
            Self::ZooKeeper => format!("discovery: 'zk://{place}/swarm'"),
            Self::Dns => format!("names: ['{place}']"),
        };
        format!("{}: [{{{keys}, refresh_interval: 300ms}}]", self.key())
    }
}

/// A URL without its scheme.
fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, authority)| authority)
}
