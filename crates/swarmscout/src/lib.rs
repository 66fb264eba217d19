//! Swarmscout, the program: command line, configuration file, reload, outputs, web pages.
//!
//! A library so that tests, benchmarks and fuzz targets reach its parts; its interface is the
//! command line, not this.

pub mod cli;
pub mod config;
pub mod logging;
pub mod web;
