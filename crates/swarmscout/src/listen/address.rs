//! The values of `--web.listen-address`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{anyhow, bail};

/// The most bytes of a path that a unix socket can have.
const MAX_PATH: usize = 107;

/// What stands before the path of a unix socket.
const UNIX: &str = "unix://";

/// What stands before the web configuration file of a listener.
const CONFIG: &str = ",config=";

/// `host:port` or `unix:///path`, each with `,config=FILE` if it likes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Where to listen.
    pub place: Place,
    /// What protects it.
    pub config: ListenerConfig,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP port.
    Tcp {
        /// Without brackets. Empty: all addresses of the machine.
        host: String,
        /// 0 takes a free one.
        port: u16,
    },
    /// A unix socket at an absolute path.
    Unix(PathBuf),
}

/// Which web configuration file a listener has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListenerConfig {
    /// That of `--web.config.file`.
    #[default]
    Shared,
    /// None: neither TLS nor passwords.
    None,
    /// One of its own.
    File(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (place, config) = match text.split_once(CONFIG) {
            None => (text, ListenerConfig::Shared),
            Some((place, "")) => (place, ListenerConfig::None),
            Some((place, file)) => (place, ListenerConfig::File(PathBuf::from(file))),
        };
        let place = match place.strip_prefix(UNIX) {
            Some(path) => Place::Unix(socket_path(path)?),
            None => tcp(place)?,
        };
        Ok(Self { place, config })
    }
}

fn socket_path(path: &str) -> anyhow::Result<PathBuf> {
    if !path.starts_with('/') {
        bail!("the path of the socket must be absolute: write unix:///{path}");
    }
    if path.ends_with('/') {
        bail!("the name of the socket is missing: write unix://{path}swarmscout.sock");
    }
    if path.len() > MAX_PATH {
        let length = path.len();
        bail!("a unix socket has a path of at most {MAX_PATH} bytes, not {length}: write another");
    }
    Ok(PathBuf::from(path))
}

fn tcp(text: &str) -> anyhow::Result<Place> {
    if let Some((address, option)) = text.split_once(',') {
        bail!("{option:?} is not an option of an address: write {address},config=FILE");
    }
    if let Some((scheme, _)) = text.split_once("://") {
        bail!("{scheme}:// is not an address to listen on: write host:port or unix:///path");
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| {
        anyhow!("the port is missing: write host:port, or :port for all addresses")
    })?;
    let port = port.parse().map_err(|_| anyhow!("{port:?} is not a port from 0 to 65535"))?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host,
        None if host.contains(':') => bail!("an IPv6 address stands in brackets: [{host}]:{port}"),
        None => host,
    };
    Ok(Place::Tcp { host: host.to_owned(), port })
}

/// As it is given in the flag.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        match &self.config {
            ListenerConfig::Shared => Ok(()),
            ListenerConfig::None => f.write_str(CONFIG),
            ListenerConfig::File(file) => write!(f, "{CONFIG}{}", file.display()),
        }
    }
}

/// `host:port` or `unix:///path`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn reads_addresses_sockets_and_their_files() {
        let unix = |path| Place::Unix(PathBuf::from(path));
        let file = |path| ListenerConfig::File(PathBuf::from(path));
        for (text, place, config) in [
            ("127.0.0.1:9465", tcp("127.0.0.1", 9465), ListenerConfig::Shared),
            (":0", tcp("", 0), ListenerConfig::Shared),
            ("[::1]:1", tcp("::1", 1), ListenerConfig::Shared),
            ("localhost:1,config=", tcp("localhost", 1), ListenerConfig::None),
            (":1,config=/a/b,c.yml", tcp("", 1), file("/a/b,c.yml")),
            ("unix:///run/s.sock", unix("/run/s.sock"), ListenerConfig::Shared),
            ("unix:///run/a,b.sock,config=web.yml", unix("/run/a,b.sock"), file("web.yml")),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!((&address.place, &address.config), (&place, &config), "{text}");
            assert_eq!(address.to_string(), text);
        }
    }

    #[track_caller]
    fn check_error(text: &str, expected: &Expect) {
        expected.assert_eq(&format!("{:#}", text.parse::<ListenAddress>().expect_err(text)));
    }

    #[test]
    fn says_what_is_wrong_and_what_helps() {
        check_error(
            "9465",
            &expect!["the port is missing: write host:port, or :port for all addresses"],
        );
        check_error("::1:9465", &expect!["an IPv6 address stands in brackets: [::1]:9465"]);
        check_error("127.0.0.1:70000", &expect![[r#""70000" is not a port from 0 to 65535"#]]);
        check_error("127.0.0.1:http", &expect![[r#""http" is not a port from 0 to 65535"#]]);
        check_error(
            "127.0.0.1:1,tls",
            &expect![[r#""tls" is not an option of an address: write 127.0.0.1:1,config=FILE"#]],
        );
        check_error(
            "https://127.0.0.1:1",
            &expect!["https:// is not an address to listen on: write host:port or unix:///path"],
        );
        check_error(
            "unix://run/s.sock",
            &expect!["the path of the socket must be absolute: write unix:///run/s.sock"],
        );
        check_error(
            "unix:///run/",
            &expect!["the name of the socket is missing: write unix:///run/swarmscout.sock"],
        );
        check_error(
            &format!("unix:///{}", "x".repeat(107)),
            &expect!["a unix socket has a path of at most 107 bytes, not 108: write another"],
        );
    }
}
