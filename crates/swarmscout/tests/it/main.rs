//! The program: its configuration file, the table of faults, and the binary as its users run it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod config;
mod faults;
mod program;
mod prometheus_yaml;
