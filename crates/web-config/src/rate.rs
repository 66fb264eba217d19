//! `rate_limit`.

use std::time::Duration;

/// The limit of requests: a bucket of tokens, one for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// After each of these intervals there is one more token. Never zero.
    pub interval: Duration,
    /// The most tokens, which are there at the start. At least one.
    pub burst: u32,
}
