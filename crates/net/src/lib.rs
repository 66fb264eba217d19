//! Outbound HTTP as Prometheus does it (prometheus/common `config/http_config.go`).
//!
//! One [`Client`] per configuration. Every request has a deadline and a limit for its answer;
//! credentials are read anew for each request and never cross to another host.

mod auth;
mod body;
mod client;
pub mod config;
mod connect;
mod error;
mod exchange;
mod file;
mod gzip;
mod host;
mod redirect;
mod request;
mod tls;
mod url;

pub use body::Body;
pub use client::{Client, ClientOptions, Response};
pub use config::HttpConfig;
pub use error::Error;
pub use host::{Host, Scheme};
pub use request::Request;
pub use url::{Url, UserInfo};
