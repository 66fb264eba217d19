//! Discovery over real sockets, against the simulator, and against what other programs answered.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod dns;
mod follow;
mod hosts;
mod label_for_label;
mod limits;
mod lists;
mod plain_engines;
mod restart;
mod roles;
mod shared;
mod swarms;
