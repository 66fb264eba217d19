//! The program: the table of faults, and the binary as its users run it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod architecture;
mod faults;
mod program;
