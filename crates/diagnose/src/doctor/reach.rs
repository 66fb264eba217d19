//! Which ports listen, and whether metrics are there.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use http::Uri;
use swarmscout_net::{Client, connect_tcp};

use crate::probe::{Limits, Outcome, probe};

/// This number of connections is opened at the same time.
const AT_ONCE: usize = 32;

/// A connection must stand within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// What listens must answer within this time, and with no more.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(3), max_body: 16 << 20 };

/// An address to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// What it is for: `service shop_web`.
    pub(super) subject: String,
    /// IPv6 in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) scheme: String,
    /// With the query.
    pub(super) path: String,
}

/// What is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listener {
    /// Something else than metrics.
    Other,
    /// What wants credentials first.
    Guarded,
    Metrics,
}

impl Attempt {
    /// The same URL with another port. `None` for a URL without a host.
    pub(super) fn of_url(subject: &str, url: &str, port: u16) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        Some(Self {
            subject: subject.to_owned(),
            host: url.host()?.to_owned(),
            port,
            scheme: url.scheme_str()?.to_owned(),
            path: url.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    /// The port of a URL.
    pub(super) fn port_of(url: &str) -> Option<u16> {
        let url: Uri = url.parse().ok()?;
        let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
        Some(url.port_u16().unwrap_or(usual))
    }

    pub(super) fn url(&self) -> String {
        let Self { host, port, scheme, path, .. } = self;
        format!("{scheme}://{host}:{port}{path}")
    }
}

/// Tries these addresses. The result has those at which something listens, in the same order. Those
/// that are left when the time is over are not in it.
pub(super) async fn listening(
    client: &Client,
    attempts: Vec<Attempt>,
    within: Duration,
) -> Vec<(Attempt, Listener)> {
    let requests = attempts.into_iter().enumerate().map(|(place, attempt)| {
        let client = client.clone();
        async move {
            let address = format!("{}:{}", attempt.host, attempt.port);
            connect_tcp(&address, CONNECT_WITHIN).await.ok()?;
            let listener = match probe(&client, &attempt.url(), LIMITS).await.outcome {
                Outcome::Up => Listener::Metrics,
                Outcome::Unauthorized => Listener::Guarded,
                _ => Listener::Other,
            };
            Some((place, attempt, listener))
        }
    });
    let found = stream::iter(requests).buffer_unordered(AT_ONCE);
    let found = found.take_until(tokio::time::sleep(within));
    let mut found: Vec<_> = found.filter_map(std::future::ready).collect().await;
    found.sort_by_key(|(place, ..)| *place);
    found.into_iter().map(|(_, attempt, listener)| (attempt, listener)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::super::Doctor;
    use super::*;

    /// Answers connections with this body.
    fn server(body: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().map_while(Result::ok) {
                if connection.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                    connection.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn only_what_listens_is_found_and_metrics_are_known() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (metrics, page) = (server("up 1\n"), server("<html>"));
        let url = "http://127.0.0.1:1/metrics?a=b";
        let attempts = [closed, page, metrics].map(|port| Attempt::of_url("x", url, port).unwrap());
        assert_eq!(attempts[1].url(), format!("http://127.0.0.1:{page}/metrics?a=b"));
        let client = Doctor::new("test").unwrap().client;
        let found = listening(&client, attempts.into(), Duration::from_secs(20)).await;
        let found: Vec<_> = found.iter().map(|(attempt, what)| (attempt.port, *what)).collect();
        assert_eq!(found, [(page, Listener::Other), (metrics, Listener::Metrics)]);
        assert_eq!(Attempt::of_url("x", "no url", 1), None);
    }
}
