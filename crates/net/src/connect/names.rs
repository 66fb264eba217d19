//! Names of hosts, looked up by the system (`getaddrinfo`).
//!
//! That blocks for as long as the system's resolver likes, and cannot be ended. So each name has
//! its [lane](crate::lane): however many ask for it at one time, it is looked up once.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::lane::Lanes;

/// The addresses, with port 0, or the reason for their absence.
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;

static NAMES: LazyLock<Lanes<Found>> = LazyLock::new(|| Lanes::new("lookup", 16, 64));

/// The system's resolver. Has three quarters of what it is made with, so that the error is its own.
#[derive(Clone, Debug)]
pub(super) struct Resolver(pub(super) Duration);

/// Why a name has no address. Distinguished from other I/O errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unresolved(String);

/// The addresses of a name, by the system's resolver.
pub async fn resolve(name: &str, within: Duration) -> Result<Vec<IpAddr>, Unresolved> {
    let found = addresses(name, within).await?;
    Ok(found.into_iter().map(|address| address.ip()).collect())
}

async fn addresses(name: &str, within: Duration) -> Result<Vec<SocketAddr>, Unresolved> {
    let lookup = |name: &str| (name, 0).to_socket_addrs().map(Iterator::collect);
    let found = timeout(within, look_up(&NAMES, name, lookup)).await;
    let found = found.map_err(|_| {
        Unresolved(format!("no answer within {within:.0?} from this machine's resolver"))
    })?;
    found.map_err(|error| {
        let text = error.to_string();
        let prefix = "failed to lookup address information: ";
        Unresolved(text.strip_prefix(prefix).unwrap_or(&text).to_owned())
    })
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = BoxFuture<'static, Result<Self::Response, Unresolved>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let within = self.0 / 4 * 3;
        async move { Ok(addresses(name.as_str(), within).await?.into_iter()) }.boxed()
    }
}

/// What a lookup of `name` brings that ends after this was called.
async fn look_up(
    lanes: &'static LazyLock<Lanes<Found>>,
    name: &str,
    lookup: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Found {
    let asked = Instant::now();
    let lane = lanes.lane(OsStr::new(name));
    let mut turn = lane.turn().await;
    if let Some((ended, found)) = &*turn
        && *ended >= asked
    {
        return found.clone();
    }
    let name = name.to_owned();
    let work = move || {
        let found = lookup(&name).map_err(Arc::new);
        *turn = Some((Instant::now(), found.clone()));
        found
    };
    let started = lanes.on_thread(&lane, &AtomicBool::default(), work).await;
    started.unwrap_or_else(|error| Err(Arc::new(error)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn who_ask_at_one_time_share_one_lookup() {
        static LANES: LazyLock<Lanes<Found>> = LazyLock::new(|| Lanes::new("test", 1, 1));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let lookups = Arc::new(AtomicUsize::new(0));
        let (answer, answers) = mpsc::channel::<()>();
        let first = {
            let lookups = Arc::clone(&lookups);
            look_up(&LANES, "a", move |_| {
                lookups.fetch_add(1, Ordering::Relaxed);
                let _ = answers.recv();
                Ok(vec![address])
            })
        };
        let asks = || {
            let lookups = Arc::clone(&lookups);
            look_up(&LANES, "a", move |name| {
                lookups.fetch_add(1, Ordering::Relaxed);
                Err(io::Error::other(format!("no {name}")))
            })
        };
        // Both wait for the first one before that has its answer.
        let then = async { drop(answer) };
        let ((found, others), ()) =
            tokio::join!(async { tokio::join!(first, join_all([asks(), asks()])) }, then);
        for found in others.into_iter().chain([found]) {
            assert_eq!(found.unwrap(), [address]);
        }
        assert_eq!(lookups.load(Ordering::Relaxed), 1);
        // Later it is another lookup.
        assert_eq!(asks().await.unwrap_err().to_string(), "no a");
        assert_eq!(lookups.load(Ordering::Relaxed), 2);
    }
}
