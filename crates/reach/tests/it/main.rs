//! Decisions, addresses from recorded tables, and fetches from servers on loopback.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod decision;
mod faults;
mod fetch;
mod node;
mod support;
