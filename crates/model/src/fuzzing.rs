//! The ways in for the fuzz targets of `crates/fuzz`. No part of this crate's interface.

pub use crate::relabel::regex::both_ways;
