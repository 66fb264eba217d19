//! The URL of `discovery`.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use swarmscout_model::Secret;
use swarmscout_net::{Host, Url, UserInfo};

use super::expand::{expand_list, shown};
use crate::Error;

/// Where the list of nodes is. `Display` and `Debug` show no password and no token.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// `nodes://`, or no scheme at all: the list itself, with ranges expanded.
    Nodes(Vec<String>),
    /// `file://`: one address or range a line.
    File(PathBuf),
    /// `etcd://`, `consul://`, `zk://`.
    Store(Servers),
    /// `token://`.
    Token {
        /// The URL before `/TOKEN`, if the URL of the list has one.
        service: Option<String>,
        /// A client with this token can add nodes.
        token: Secret,
    },
}

/// The servers of one store. `Display` and `Debug` show no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Servers {
    /// Their protocol.
    pub kind: StoreKind,
    /// `host:port` each, in the order of the URL, at least one. The default port is the store's.
    pub addresses: Vec<String>,
    /// `user:password@`, decoded.
    pub user: Option<UserInfo>,
    /// The path that Swarm uses, without leading and trailing slashes: `swarm/a`, or empty.
    pub path: String,
}

/// The protocol of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// etcd, with the version of its API in `etcd_api`.
    Etcd,
    /// Consul's key-value store.
    Consul,
    /// ZooKeeper.
    ZooKeeper,
}

impl StoreKind {
    /// As it is written in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Consul => "consul",
            Self::ZooKeeper => "zk",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Etcd => 2379,
            Self::Consul => 8500,
            Self::ZooKeeper => 2181,
        }
    }
}

impl Location {
    /// Parses a URL as Swarm does: `etcd://h1:2379,h2:2379/path`, `nodes://10.0.0.[1:9]:2375`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Err(Error::Other(reason.to_owned()));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Nodes(expand_list(text)?));
        };
        let kind = match scheme {
            "nodes" => return Ok(Self::Nodes(expand_list(rest)?)),
            "file" if rest.is_empty() => return refuse("the path after file:// is missing"),
            "file" => return Ok(Self::File(rest.into())),
            "token" => {
                let (service, token) = match rest.rsplit_once('/') {
                    Some((service, token)) => (Some(format!("https://{service}/clusters")), token),
                    None => (None, rest),
                };
                if token.is_empty() {
                    return refuse("the token after token:// is missing");
                }
                return Ok(Self::Token { service, token: Secret::new(token) });
            }
            "etcd" => StoreKind::Etcd,
            "consul" => StoreKind::Consul,
            "zk" => StoreKind::ZooKeeper,
            _ => {
                return refuse(
                    "must begin with nodes://, file://, etcd://, consul://, zk:// or token://, or \
                     be a list of host:port",
                );
            }
        };
        Servers::parse(kind, rest).map(Self::Store).map_err(Error::Other)
    }
}

impl Servers {
    fn parse(kind: StoreKind, rest: &str) -> Result<Self, String> {
        let scheme = kind.as_str();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        if user.is_none() && path.contains('@') {
            // The message quotes no part of the URL: the first part may be half a password.
            return Err("write a slash in the password as %2F, an @ in the path as %40".to_owned());
        }
        let user = match user {
            Some(user) => {
                let url = Url::parse(&format!("{scheme}://{user}@host"));
                let user = url.ok().and_then(|url| url.user().cloned());
                Some(user.ok_or("the user and password before @ must be percent-encoded")?)
            }
            None => None,
        };
        let address = |host: &str| {
            let text = format!("tcp://{host}");
            Host::parse(&text).ok().filter(|_| !host.contains(['?', '#']))?;
            let url = Url::parse(&text).ok()?;
            Some(match url.port() {
                Some(_) => host.to_owned(),
                None => format!("{}:{}", host.trim_end_matches(':'), kind.default_port()),
            })
        };
        let addresses = hosts.split(',').map(|host| {
            address(host).ok_or_else(|| {
                format!("{host:?} is not a server: write {scheme}://host:port,host:port/path")
            })
        });
        let addresses = addresses.collect::<Result<_, _>>()?;
        let path = path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        Ok(Self { kind, addresses, user, path })
    }

    /// `user:password@` as it stands in a URL, password included; nothing without a user.
    pub(super) fn userinfo(&self) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        match &self.user {
            Some(UserInfo { username, password: Some(password) }) => {
                format!("{}:{}@", encode(username), encode(password.expose()))
            }
            Some(UserInfo { username, password: None }) => format!("{}@", encode(username)),
            None => String::new(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) if nodes.len() == 1 => f.write_str("1 node"),
            Self::Nodes(nodes) => write!(f, "{} nodes", nodes.len()),
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Store(servers) => servers.fmt(f),
            Self::Token { service, .. } => {
                let service = service.as_deref().and_then(|url| url.strip_prefix("https://"));
                let service = service.and_then(|url| url.strip_suffix("clusters"));
                write!(f, "token://{}xxxxx", shown(service.unwrap_or_default()))
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.kind.as_str())?;
        if let Some(UserInfo { username, password }) = &self.user {
            write!(f, "{username}{}@", if password.is_some() { ":xxxxx" } else { "" })?;
        }
        f.write_str(&self.addresses.join(","))?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
