//! Outbound HTTP as Prometheus does it (prometheus/common `config/http_config.go`).
//!
//! One [`Client`] per configuration. Every request has a deadline and a limit for its answer;
//! credentials are read anew for each request and never cross to another host.

pub mod client;
pub mod config;
mod error;
pub mod url;

pub use client::{Body, Client, ClientOptions, Request, Response};
pub use config::HttpConfig;
pub use error::Error;
pub use url::Host;
