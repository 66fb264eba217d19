//! The model against what Prometheus answered.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod prometheus;
