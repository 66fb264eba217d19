//! TCP, with names resolved by the system and both address families tried (RFC 8305).

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::net::TcpStream;
use tower_service::Service;

use super::names::{Resolver, Unresolved};
use crate::error::{ConnectCause, ConnectFailure};

/// An idle connection is probed after this long, so that one to a vanished node is noticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Between two probes that are not answered.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// After this number of them the connection is closed.
const PROBES: u32 = 3;

/// For connections that are opened within this time.
pub(super) fn connector(within: Duration) -> HttpConnector<Resolver> {
    let mut connector = HttpConnector::new_with_resolver(Resolver(within));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(PROBE_INTERVAL));
    connector.set_keepalive_retries(Some(PROBES));
    connector
}

/// Connects to the host and port of `uri`.
pub(super) async fn open(
    connector: &mut HttpConnector<Resolver>,
    uri: Uri,
) -> Result<TcpStream, ConnectFailure> {
    match connector.call(uri).await {
        Ok(socket) => Ok(socket.into_inner()),
        Err(error) => Err(failure(&error)),
    }
}

fn failure(error: &(dyn StdError + 'static)) -> ConnectFailure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(unresolved) = error.downcast_ref::<Unresolved>() {
            let reason = format!("cannot resolve the host name: {unresolved}");
            return ConnectFailure::new(ConnectCause::Unresolved, reason);
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return ConnectFailure::io(error);
        }
        cause = error.source();
    }
    error.to_string().into()
}
