//! The ways in for the fuzz targets of `crates/fuzz`: parsers that are reached through their source
//! only. No part of this crate's interface.

use std::path::Path;
use std::time::Instant;

use swarmscout_model::LabelsBuilder;

use crate::limits::{LONGEST_LABEL, Meter};
pub use crate::source::dns::fuzzing as dns;
pub use crate::source::nodelist::fuzzing as stores;
pub use crate::source::swarmscout::settings::fuzzing::labels;
use crate::source::{classic, file, http, nodelist};
pub use crate::storage::fuzzing as storage;
use crate::{Groups, Problem};

/// What one refresh yields: groups, and what was skipped.
pub type Found = Result<(Groups, Vec<Problem>), String>;

/// Reads the answers of a classic master, one refresh after the other, as the source does.
#[derive(Debug)]
pub struct Master(classic::NodeCache);

impl Master {
    /// Nothing is known yet; targets get this port.
    pub fn new(port: &str) -> Self {
        Self(classic::NodeCache::new(port))
    }

    /// Reads the body of `/info`.
    pub fn read(&mut self, json: &[u8]) -> Found {
        let mut meter = Meter::unlimited(LONGEST_LABEL);
        let read = self.0.read(json, Vec::new(), Instant::now(), &mut meter);
        let refreshed = read.map_err(|error| error.to_string())?.refreshed;
        Ok((refreshed.value, refreshed.problems))
    }
}

/// Reads an answer to HTTP SD that came from `url`.
pub fn http_sd(json: &[u8], url: &str) -> Result<Groups, String> {
    let mut meter = Meter::unlimited(LONGEST_LABEL);
    let read = http::parse(json, url, &mut meter);
    read.map(|(groups, _)| groups).map_err(|error| error.to_string())
}

/// Reads a file of file SD; its name says what it is.
pub fn file_sd(path: &Path, text: &[u8]) -> Result<Groups, String> {
    let mut meter = Meter::unlimited(LONGEST_LABEL);
    let read = file::parse(path, text, &mut LabelsBuilder::new(), &mut meter);
    read.map(|(groups, _)| groups).map_err(|error| error.to_string())
}

/// Whether one element of a path matches the pattern of one.
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    file::pattern::matches(pattern, name)
}

/// The groups of a list of nodes, each `host:port`, with the primary master's.
pub fn node_list(nodes: &[String], primary: Option<&str>) -> (Groups, Vec<Problem>) {
    let mut meter = Meter::unlimited(LONGEST_LABEL);
    let found = nodelist::groups(nodes, primary, "8080", &Groups::new(), &mut meter);
    found.expect("an answer that a fuzzer makes is small")
}
