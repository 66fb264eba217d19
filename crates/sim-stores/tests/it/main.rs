//! The simulated stores against what real ones answered.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod etcd;
mod zookeeper;
