//! Where the web server listens: `host:port`, as Prometheus writes addresses, or where systemd says.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use swarmscout_web as web;
use tokio::net::{TcpListener, lookup_host};
use tokio::time::timeout;

use crate::systemd;

/// How long the name of an address may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where to listen.
#[derive(Clone, Debug)]
pub enum Listen {
    /// `--web.listen-address`.
    Addresses(Vec<String>),
    /// `--web.systemd-socket`: on the sockets that systemd opened (exporter-toolkit
    /// `web.ListenAndServe`).
    Systemd,
}

impl Listen {
    /// Listens on all of it, or on none.
    pub async fn open(&self) -> anyhow::Result<Vec<web::Listener>> {
        match self {
            Self::Addresses(addresses) => {
                let listeners = bind(addresses).await?.into_iter().map(web::Listener::tcp);
                listeners.collect::<Result<_, _>>().context("cannot read the address of a socket")
            }
            Self::Systemd => {
                let listeners = systemd::listeners()?.into_iter().map(|listener| {
                    listener.set_nonblocking(true)?;
                    web::Listener::tcp(TcpListener::from_std(listener)?)
                });
                listeners.collect::<Result<_, _>>().context("cannot listen on systemd's sockets")
            }
        }
    }
}

/// Listens on all of these addresses, or on none.
async fn bind(addresses: &[String]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = bind_one(address).await;
        listeners.push(listener.with_context(|| format!("cannot listen on {address}"))?);
    }
    Ok(listeners)
}

/// Like Go, an empty host means all addresses of the machine, IPv6 too where there is any, and a
/// name with several addresses means its first one, IPv4 preferred.
async fn bind_one(address: &str) -> anyhow::Result<TcpListener> {
    let (host, port) = split(address)?;
    if host.is_empty() {
        let all = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        return match TcpListener::bind(all).await {
            Err(error)
                if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported) =>
            {
                TcpListener::bind(("0.0.0.0", port)).await
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
    TcpListener::bind(first).await.map_err(|error| explain(error, port))
}

/// Host, without brackets, and port.
fn split(address: &str) -> anyhow::Result<(&str, u16)> {
    let (host, port) = address.rsplit_once(':').ok_or_else(|| {
        anyhow!("the port is missing: write host:port, or :port for all addresses")
    })?;
    let port = port.parse().map_err(|_| anyhow!("{port:?} is not a port from 0 to 65535"))?;
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => Ok((host, port)),
        None if host.contains(':') => bail!("an IPv6 address stands in brackets: [{host}]:{port}"),
        None => Ok((host, port)),
    }
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

/// Where a server that listens at `address` is reached from this machine.
pub(crate) fn local_url(address: SocketAddr) -> String {
    let host = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port()))
        }
        address => address,
    };
    format!("http://{host}")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[tokio::test]
    async fn takes_the_forms_of_go() {
        for (address, expected) in
            [("127.0.0.1:0", "127.0.0.1"), ("localhost:0", "127.0.0.1"), ("0.0.0.0:0", "0.0.0.0")]
        {
            let listeners = bind(&[address.to_owned()]).await.expect(address);
            let local = listeners[0].local_addr().expect("it is bound");
            assert_eq!(local.ip().to_string(), expected, "{address}");
        }
        let all = bind(&[String::from(":0")]).await.expect("all addresses");
        assert!(all[0].local_addr().expect("it is bound").ip().is_unspecified());
    }

    async fn check_error(address: &str, expected: &Expect) {
        let error = bind(&[address.to_owned()]).await.expect_err(address);
        expected.assert_eq(&format!("{error:#}"));
    }

    #[tokio::test]
    async fn says_what_is_wrong_and_what_helps() {
        check_error("9465", &expect!["cannot listen on 9465: the port is missing: write host:port, or :port for all addresses"]).await;
        check_error(
            "::1:9465",
            &expect!["cannot listen on ::1:9465: an IPv6 address stands in brackets: [::1]:9465"],
        )
        .await;
        check_error(
            "127.0.0.1:70000",
            &expect![[
                r#"cannot listen on 127.0.0.1:70000: "70000" is not a port from 0 to 65535"#
            ]],
        )
        .await;
        check_error(
            "127.0.0.1:http",
            &expect![[r#"cannot listen on 127.0.0.1:http: "http" is not a port from 0 to 65535"#]],
        )
        .await;
        check_error("192.0.2.1:0", &expect!["cannot listen on 192.0.2.1:0: Cannot assign requested address (os error 99): this machine does not have that address: choose one of its own with --web.listen-address"]).await;
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken = bind(&[String::from("127.0.0.1:0")]).await.expect("a free port");
        let address = taken[0].local_addr().expect("it is bound").to_string();
        let error = format!("{:#}", bind(std::slice::from_ref(&address)).await.expect_err("taken"));
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
            assert_eq!(local_url(address.parse().unwrap()), url);
        }
    }
}
