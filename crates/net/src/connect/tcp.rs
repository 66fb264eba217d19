//! TCP, with names resolved by the system and both address families tried (RFC 8305).

use std::error::Error as StdError;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::error::io_words;

/// Probes of an idle connection, so that one to a vanished node is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(super) fn connector() -> HttpConnector<Resolver> {
    let mut connector = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector
}

/// Connects to the host and port of `uri`. The error is the cause in plain words.
pub(super) async fn open(
    connector: &mut HttpConnector<Resolver>,
    uri: Uri,
) -> Result<TcpStream, String> {
    match connector.call(uri).await {
        Ok(socket) => Ok(socket.into_inner()),
        Err(error) => Err(words(&error)),
    }
}

fn words(error: &(dyn StdError + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(Unresolved(error)) = error.downcast_ref() {
            return unresolved_words(error);
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return io_words(error);
        }
        cause = error.source();
    }
    error.to_string()
}

fn unresolved_words(error: &io::Error) -> String {
    let text = error.to_string();
    let detail = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    format!("cannot resolve the host name: {detail}")
}

/// The system's resolver, with an error that is told from other I/O errors.
#[derive(Clone, Debug)]
pub(super) struct Resolver(GaiResolver);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unresolved(io::Error);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = Unresolved;
    type Future = BoxFuture<'static, Result<GaiAddrs, Unresolved>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0.poll_ready(cx).map_err(Unresolved)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.0.call(name).map_err(Unresolved))
    }
}
