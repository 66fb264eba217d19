//! The clients over real sockets, against the simulator.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod swarmkit;
