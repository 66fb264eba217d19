//! Networks, and the two shapes in which the Engine API shows them.

use serde::Serialize;

use super::objects::{Json, Map, Meta, Time};
use crate::engine::json;

/// A network of the Swarm.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are the Engine's")]
pub struct Network {
    /// What every object begins with.
    pub meta: Meta,
    /// Unique.
    pub name: String,
    /// As given at its creation.
    pub labels: Map,
    /// `overlay`; `host` for the one network that is the node's own.
    pub driver: &'static str,
    /// Without a way out.
    pub internal: bool,
    /// Open to containers that are not tasks.
    pub attachable: bool,
    /// The network of published ports.
    pub ingress: bool,
    /// The first two bytes of its addresses, `10.N.0.0/16` unless set otherwise: in 127.0.0.0/8 the
    /// addresses of tasks can be listened on. `None`: it has no addresses.
    pub subnet: Option<[u8; 2]>,
    /// Addresses given away so far.
    /// Whether driver and address manager have prepared it. A moment after it was made they have.
    pub(crate) allocated: bool,
    /// How an attachment shows it.
    pub(super) attached: Json,
}

/// Most addresses of a network before they are used again.
const ADDRESSES: u32 = 65_000;

impl Network {
    /// An address with its prefix, after this many that were given away: `10.4.0.2/16`. Addresses
    /// are used again after 65,000, so very large networks have some twice.
    pub(super) fn address(&self, given: u32) -> Option<String> {
        let [first, second] = self.subnet?;
        let [_, _, third, fourth] = (2 + given % ADDRESSES).to_be_bytes();
        Some(format!("{first}.{second}.{third}.{fourth}/16"))
    }

    fn ipam(&self) -> Vec<Subnet> {
        let subnet = self.subnet.map(|[first, second]| Subnet {
            subnet: format!("{first}.{second}.0.0/16"),
            gateway: format!("{first}.{second}.0.1"),
        });
        subnet.into_iter().collect()
    }

    /// Subnet and gateway.
    pub(crate) fn subnets(&self) -> impl Iterator<Item = (String, String)> {
        self.ipam().into_iter().map(|subnet| (subnet.subnet, subnet.gateway))
    }

    pub(crate) fn vxlan(&self) -> Map {
        let id = self.subnet.map(|[_, second]| 4096 + u32::from(second));
        let name = "com.docker.network.driver.overlay.vxlanid_list";
        id.map(|id| (name.to_owned(), id.to_string())).into_iter().collect()
    }

    /// As `/networks` lists it.
    pub(crate) fn listed(&self) -> Json {
        to_json(&Listed {
            name: &self.name,
            id: &self.meta.id,
            created: self.meta.created_at,
            scope: "swarm",
            driver: self.driver,
            enable_ipv6: false,
            ipam: Ipam { driver: "default", options: (), config: self.ipam() },
            internal: self.internal,
            attachable: self.attachable,
            ingress: self.ingress,
            config_from: ConfigFrom { network: "" },
            config_only: false,
            containers: None,
            options: self.vxlan(),
            labels: (!self.labels.is_empty()).then_some(&self.labels),
        })
    }

    /// As an attachment of a task shows it.
    pub(super) fn attach(&self) -> Json {
        let driver = if self.ingress { "" } else { self.driver };
        let overlay = self.subnet.is_some();
        let bare = || AttachedIpam { driver: Driver::default(), configs: Vec::new() };
        let ipam = || AttachedIpam {
            driver: Driver { name: if overlay { "default" } else { "" }, options: Map::new() },
            configs: self.ipam(),
        };
        to_json(&Attached {
            meta: &self.meta,
            spec: AttachedSpec {
                name: &self.name,
                labels: &self.labels,
                driver_configuration: Driver { name: driver, options: Map::new() },
                internal: self.internal,
                attachable: self.attachable,
                ingress: self.ingress,
                ipam_options: overlay.then(|| if self.ingress { bare() } else { ipam() }),
                scope: "swarm",
            },
            driver_state: Driver { name: self.driver, options: self.vxlan() },
            ipam_options: ipam(),
        })
    }
}

/// The networks that every engine has for itself, as `/networks` lists them: `bridge`, `host`,
/// `none`, and `docker_gwbridge` on a node of a Swarm. `id` makes their IDs.
pub(super) fn local(created: Time, gateway: bool, mut id: impl FnMut() -> String) -> Vec<Json> {
    let mut listed = |name, driver, subnet: Option<&str>, options: &[(&str, &str)]| {
        to_json(&Listed {
            name,
            id: &id(),
            created,
            scope: "local",
            driver,
            enable_ipv6: false,
            ipam: Ipam {
                driver: "default",
                options: (),
                config: subnet
                    .map(|subnet| Subnet { subnet: subnet.into(), gateway: String::new() })
                    .into_iter()
                    .collect(),
            },
            internal: false,
            attachable: false,
            ingress: false,
            config_from: ConfigFrom { network: "" },
            config_only: false,
            containers: Some(Map::new()),
            options: options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            labels: Some(&Map::new()),
        })
    };
    let mut networks = vec![
        listed("none", "null", None, &[]),
        listed("host", "host", None, &[]),
        listed(
            "bridge",
            "bridge",
            Some("172.17.0.0/16"),
            &[
                ("com.docker.network.bridge.default_bridge", "true"),
                ("com.docker.network.bridge.name", "docker0"),
                ("com.docker.network.driver.mtu", "1500"),
            ],
        ),
    ];
    if gateway {
        networks.push(listed(
            "docker_gwbridge",
            "bridge",
            Some("172.18.0.0/16"),
            &[("com.docker.network.bridge.name", "docker_gwbridge")],
        ));
    }
    networks
}

fn to_json(value: &impl Serialize) -> Json {
    let mut text = Vec::new();
    json::append(&mut text, value);
    Json::new(String::from_utf8(text).expect("JSON is UTF-8"))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "they are the Engine's")]
struct Listed<'a> {
    name: &'a str,
    id: &'a str,
    created: Time,
    scope: &'a str,
    driver: &'a str,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFrom,
    config_only: bool,
    containers: Option<Map>,
    options: Map,
    labels: Option<&'a Map>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: &'static str,
    /// Always null.
    options: (),
    config: Vec<Subnet>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Subnet {
    subnet: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    gateway: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom {
    network: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attached<'a> {
    #[serde(flatten)]
    meta: &'a Meta,
    spec: AttachedSpec<'a>,
    driver_state: Driver<'a>,
    #[serde(rename = "IPAMOptions")]
    ipam_options: AttachedIpam<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedSpec<'a> {
    name: &'a str,
    labels: &'a Map,
    driver_configuration: Driver<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    internal: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    attachable: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ingress: bool,
    #[serde(rename = "IPAMOptions", skip_serializing_if = "Option::is_none")]
    ipam_options: Option<AttachedIpam<'a>>,
    scope: &'a str,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Driver<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    options: Map,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedIpam<'a> {
    driver: Driver<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    configs: Vec<Subnet>,
}
