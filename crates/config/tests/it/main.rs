//! The configuration file, and YAML, against what Prometheus made of both.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod config;
mod prometheus_yaml;
