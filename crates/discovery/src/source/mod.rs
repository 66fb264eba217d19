//! The sources of the configuration file.

pub mod docker;
pub mod dockerswarm;
