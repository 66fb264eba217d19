//! Where the web server listens: TCP ports, unix sockets, the sockets that systemd passes, and the
//! socket for own health checks.

mod address;
pub(crate) mod health;
mod listening;
mod unix;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use swarmscout_server::Listener;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::time::timeout;

pub use self::address::{ListenAddress, ListenerConfig, Place};
pub(crate) use self::listening::Listening;
pub use self::unix::SocketFile;
use crate::cli::DEFAULT_PORT;
use crate::systemd;

/// How long the name of an address may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that the kernel keeps until they are accepted. One beyond that tries again after a
/// second, so a flood must not fill this. The kernel's own limit is `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How much the kernel keeps for a client that does not read, in bytes; it takes twice as much. By
/// itself it would take up to 4 MiB, and a thousand clients that never read would keep the
/// processors busy with copying. Over a connection of 100 ms it still lets 2.5 MB a second through.
const SEND_BUFFER: u32 = 256 << 10;

/// Where to listen.
#[derive(Clone, Debug)]
pub enum Listen {
    /// `--web.listen-address`.
    Addresses(Vec<ListenAddress>),
    /// `--web.systemd-socket`: on the sockets that systemd opened (exporter-toolkit
    /// `web.ListenAndServe`).
    Systemd,
}

/// The sockets of the web server.
#[derive(Debug, Default)]
pub struct Opened {
    /// In the order of the flags, each with what protects it.
    pub listeners: Vec<(Listener, ListenerConfig)>,
    /// The files of unix sockets, which are removed with this.
    pub files: Vec<SocketFile>,
}

impl Listen {
    /// Listens on all of it, or on none.
    pub async fn open(&self) -> anyhow::Result<Opened> {
        match self {
            Self::Addresses(addresses) => {
                let mut opened = Opened::default();
                for address in addresses {
                    let added = opened.add(address).await;
                    added.with_context(|| format!("cannot listen on {}", address.place))?;
                }
                Ok(opened)
            }
            Self::Systemd => {
                let listeners = systemd::listeners()?.into_iter();
                let listeners = listeners.map(|listener| (listener, ListenerConfig::Shared));
                Ok(Opened { listeners: listeners.collect(), files: Vec::new() })
            }
        }
    }
}

impl Opened {
    async fn add(&mut self, address: &ListenAddress) -> anyhow::Result<()> {
        let listener = match &address.place {
            Place::Tcp { host, port } => Listener::tcp(bind(host, *port).await?)?,
            Place::Unix(path) => {
                let (listener, file) = unix::listen(path).await?;
                self.files.push(file);
                Listener::unix(listener)?
            }
        };
        self.listeners.push((listener, address.config.clone()));
        Ok(())
    }

    /// The socket for own health checks. Without it they go through the web server.
    pub fn health(&self) -> Option<Listener> {
        let address = self.listeners.iter().find_map(|(listener, _)| listener.address());
        let port = address.map_or(DEFAULT_PORT, |address| address.port());
        health::listen(port)
            .inspect_err(|error| {
                tracing::debug!(port, %error, "Cannot listen for own health checks");
            })
            .ok()
    }
}

/// Like Go, an empty host means all addresses of the machine, IPv6 too where there is any, and a
/// name with several addresses means its first one, IPv4 preferred.
async fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    if host.is_empty() {
        let all = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        return match listen(all) {
            Err(error)
                if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported) =>
            {
                listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            }
            result => result,
        }
        .map_err(|error| explain(error, port));
    }
    let found = timeout(RESOLVE_TIMEOUT, lookup_host((host, port)))
        .await
        .map_err(|_| anyhow!("the name {host} did not resolve within {RESOLVE_TIMEOUT:?}"))?
        .with_context(|| format!("the name {host} does not resolve"))?;
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    let Some(first) = found.first() else { bail!("the name {host} has no address") };
    listen(*first).map_err(|error| explain(error, port))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections of the process before.
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn explain(error: io::Error, port: u16) -> anyhow::Error {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program, perhaps another Swarmscout, listens there: end it, or choose another \
             port with --web.listen-address (port 0 takes a free one)"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: choose one of its own with --web.listen-address"
        }
        ErrorKind::PermissionDenied if port < 1024 => {
            "ports below 1024 are root's: choose a higher one with --web.listen-address"
        }
        _ => return error.into(),
    };
    anyhow!("{error}: {hint}")
}

/// Where a server that listens at `address` is reached from this machine by `http` or `https`.
pub(crate) fn local_url(scheme: &str, address: SocketAddr) -> String {
    let host = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port()))
        }
        address => address,
    };
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(address: &str) -> anyhow::Result<SocketAddr> {
        let address = address.parse().expect("it is an address");
        let opened = Listen::Addresses(vec![address]).open().await?;
        Ok(opened.listeners[0].0.address().expect("it is a TCP socket"))
    }

    #[tokio::test]
    async fn takes_the_forms_of_go() {
        for (address, expected) in
            [("127.0.0.1:0", "127.0.0.1"), ("localhost:0", "127.0.0.1"), ("0.0.0.0:0", "0.0.0.0")]
        {
            let local = open(address).await.expect(address);
            assert_eq!(local.ip().to_string(), expected, "{address}");
        }
        assert!(open(":0").await.expect("all addresses").ip().is_unspecified());
    }

    #[tokio::test]
    async fn says_what_is_wrong_and_what_helps() {
        let error = format!("{:#}", open("192.0.2.1:0").await.expect_err("it fails"));
        expect_test::expect!["cannot listen on 192.0.2.1:0: Cannot assign requested address (os error 99): this machine does not have that address: choose one of its own with --web.listen-address"].assert_eq(&error);
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = taken.local_addr().expect("it is bound").to_string();
        let error = format!("{:#}", open(&address).await.expect_err("taken"));
        assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
        assert!(error.contains("another program"), "{error}");
    }

    #[test]
    fn what_listens_everywhere_is_reached_by_loopback() {
        for (address, url) in [
            ("0.0.0.0:9465", "http://127.0.0.1:9465"),
            ("[::]:9465", "http://[::1]:9465"),
            ("10.0.0.1:80", "http://10.0.0.1:80"),
            ("[fd00::1]:80", "http://[fd00::1]:80"),
        ] {
            assert_eq!(local_url("http", address.parse().unwrap()), url);
        }
    }
}
