//! Requests that wait for a change (`?wait=`).

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};

use crate::access::InUse;
pub use crate::connections::TooManyWait;
use crate::connections::{Place, Waiting};
use crate::listener::Peer;

/// Lets a request wait. Handlers take it as an argument.
#[derive(Clone, Debug)]
pub struct LongPoll {
    /// `None` for a request that came by no connection.
    place: Option<Arc<Place>>,
    entered: Option<(InUse, Peer)>,
}

impl<S: Sync> FromRequestParts<S> for LongPoll {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let extensions = &parts.extensions;
        let entered = extensions.get().cloned().zip(extensions.get().cloned());
        Ok(Self { place: extensions.get().cloned(), entered })
    }
}

impl LongPoll {
    /// The request waits until the returned value is dropped. Meanwhile its connection does not count.
    pub fn start(&self) -> Result<WaitingRequest, TooManyWait> {
        self.place.as_ref().ok_or(TooManyWait::All)?.wait().map(WaitingRequest)
    }

    /// Resolves once another version of the web configuration is in use, by which this client may have
    /// no right any longer. Then it must ask again.
    pub async fn revoked(&self) -> Response {
        match &self.entered {
            Some((in_use, peer)) => in_use.replaced(peer).await,
            None => std::future::pending().await,
        }
        let message = "the web configuration has changed: ask again\n";
        (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
    }
}

/// A request that waits.
#[derive(Debug)]
pub struct WaitingRequest(#[expect(dead_code, reason = "it counts until it is dropped")] Waiting);

/// Marks the answer to a request that waited: the time until it says nothing of the server's speed.
#[derive(Clone, Copy, Debug)]
pub struct Waited;

impl IntoResponse for TooManyWait {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::All => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests wait for a change (--web.max-waiting): ask without wait\n",
            ),
            Self::Client => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests of this client wait for a change: one client may have as many as \
                 are free for others (--web.max-waiting); ask without wait\n",
            ),
        };
        (status, [(header::RETRY_AFTER, "5")], message).into_response()
    }
}
