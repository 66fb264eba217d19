//! What a request for the tasks of a node says: which node, who asks, and what it reports.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderName;

use crate::labels::AllowedLabels;
use crate::report::{PathReport, PeerReport};

/// The header with which a node part registers and reports. A page of another site cannot make a browser
/// send it.
pub const NODE_PART_HEADER: HeaderName = HeaderName::from_static("x-swarmscout-node-part");

/// How a node is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeRef {
    /// By its ID.
    Id(String),
    /// By its host name: `name:worker-1`.
    Name(String),
    /// By the ID of a container that runs on it: `container:<64 hexadecimal digits>`.
    Container(String),
}

impl FromStr for NodeRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHORT: usize = 256;
        if text.is_empty() || text.len() > SHORT || text.chars().any(char::is_control) {
            return Err("a node is asked for by its ID, name:HOST or container:ID");
        }
        Ok(match text.split_once(':') {
            Some(("name", name)) if !name.is_empty() => Self::Name(name.to_owned()),
            Some(("container", id)) if crate::is_container_id(id) => Self::Container(id.to_owned()),
            None => Self::Id(text.to_owned()),
            Some(_) => return Err("write name:HOST or container:ID, with all 64 digits"),
        })
    }
}

/// As it stands in the path, not percent-encoded.
impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Name(name) => write!(f, "name:{name}"),
            Self::Container(id) => write!(f, "container:{id}"),
        }
    }
}

/// What a node part registers of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where it listens.
    pub port: u16,
    /// Its address on the overlay network for probes.
    pub overlay: Option<IpAddr>,
}

/// The query of a request for tasks, apart from how long it waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeQuery {
    /// What the node part registers; `None` if it is another reader.
    pub registration: Option<Registration>,
    /// What it finds of the network to other nodes.
    pub report: PeerReport,
    /// The labels that it wants.
    pub labels: AllowedLabels,
}

impl NodeQuery {
    /// Reads `port=9466&overlay=10.0.9.3&labels=a,b&peers.host=uID,dID`. Other parameters are for others.
    /// The error says what is wrong.
    pub fn parse(query: &str) -> Result<Self, String> {
        let (mut port, mut overlay, mut labels) = (None, None, AllowedLabels::default());
        let mut report = PeerReport::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "port" => {
                    let number = value.parse().ok().filter(|port| *port > 0);
                    port = Some(number.ok_or("port is a number from 1 to 65535")?);
                }
                "overlay" => overlay = Some(value.parse().map_err(|_| "overlay is an IP address")?),
                "labels" => labels = AllowedLabels::with(value.split(','))?,
                "peers.host" => report.host = Some(PathReport::parse(&value)?),
                "peers.overlay" => report.overlay = Some(PathReport::parse(&value)?),
                _ => {}
            }
        }
        let registration = match (port, overlay) {
            (Some(port), overlay) => Some(Registration { port, overlay }),
            (None, None) => None,
            (None, Some(_)) => return Err("overlay needs port".to_owned()),
        };
        Ok(Self { registration, report, labels })
    }
}
