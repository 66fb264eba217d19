//! The configuration file, and YAML, compared with recorded results of Prometheus.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod config;
mod prometheus_yaml;
