//! The sources of the configuration file.
