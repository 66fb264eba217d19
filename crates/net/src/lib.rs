//! Outbound HTTP as Prometheus does it (prometheus/common `config/http_config.go`).
//!
//! One [`Client`] per configuration. Every request has a deadline and a limit for its answer;
//! credentials are read anew for each request and never cross to another host.

mod client;
pub mod config;
mod error;
mod host;
mod request;
mod url;

pub use client::{Body, Client, ClientOptions, Response};
pub use config::HttpConfig;
pub use error::Error;
pub use host::{Host, Scheme};
pub use request::Request;
pub use url::{Url, UserInfo};
