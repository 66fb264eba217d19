//! Outbound HTTP as Prometheus does it (prometheus/common `config/http_config.go`).
//!
//! **Invariant: every request has a deadline and a size limit, and no credential reaches another
//! host.** It may use `model`.
//!
//! Each configuration has one [`Client`]. It reads credentials again for each request. The maker of a
//! [`config::ProxyConfig`] reads the environment, never this crate.
//!
//! The layers, from the outside in, each a small module that knows only the next:
//!
//! | module | does |
//! |---|---|
//! | `client` | holds the deadline, follows redirects, puts the headers together |
//! | `redirect` | decides where an answer leads, and what must stay behind |
//! | `oauth2` | gets tokens, from a client of its own |
//! | `auth`, `headers`, `file` | make `Authorization` and configured headers, from files where configured |
//! | `exchange` | sends one request over hyper's pool, once more if a kept connection had died |
//! | `proxy` | decides which proxy is on the way |
//! | `connect` | opens sockets: TCP or unix, a way through a proxy, and TLS on top |
//! | `tls` | makes TLS configurations, again when files change, and words for what goes wrong |
//! | `foreign` | hides credentials in what a server says, and cuts it |
//! | `body`, `gzip` | hand out the answer piece by piece, within the deadline and the limit |
//!
//! What blocks never does so on the runtime's threads: `lane` reads what may hang, `disk` what it
//! reads, `cpu` does what takes long. All crates above use these three.
//!
//! What is asked for stands beside them: a [`Request`] goes to a [`Url`] or a Docker [`Host`].
//!
//! ```
//! use std::time::Duration;
//! use swarmscout_net::{Client, ClientOptions, Error, Host, HttpConfig, Request};
//!
//! async fn info(engine: &str) -> Result<bytes::Bytes, Error> {
//!     let options = ClientOptions::new("example/1.0", Duration::from_secs(5));
//!     let client = Client::new(&HttpConfig::default(), options)?;
//!     let host = Host::parse(engine)?; // unix:///var/run/docker.sock
//!     let request = Request::to(&host, "/info")?.timeout(Duration::from_secs(10)).max_body(1 << 20);
//!     client.get(request).await?.body.bytes().await
//! }
//! ```

mod auth;
mod body;
mod client;
pub mod config;
mod connect;
pub mod cpu;
pub mod disk;
mod error;
mod exchange;
mod file;
mod foreign;
#[doc(hidden)]
pub mod fuzzing;
mod gzip;
mod headers;
mod host;
pub mod lane;
mod oauth2;
mod proxy;
mod redirect;
mod request;
mod tls;
mod url;

pub use body::Body;
pub use client::{Client, ClientOptions, ReadClient, Response};
pub use config::HttpConfig;
pub use connect::{
    SocketAdvice, SocketOwner, Unresolved, connect_direct, connect_tcp, connect_unix, resolve,
    socket_owner,
};
pub use error::{ConnectCause, Error, io_words};
pub use exchange::explain_exchange;
pub use foreign::{ENOUGH, SHOWN, Secrets};
pub use host::{Host, Scheme};
pub use request::Request;
pub use tls::{
    CertificateFields, PeerCertificate, SystemRoots, certificate_fields, certificates_end,
    peer_certificate, seconds_in_words,
};
pub use url::{Url, UserInfo, redact as redact_url, without_password};
