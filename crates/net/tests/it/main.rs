//! The client over real sockets, and URLs.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod client;
mod url;
