//! The way in for the fuzz target of `crates/fuzz`. No part of this crate's interface.

use std::io::Write as _;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use xxhash_rust::xxh3::xxh3_64;

use super::Key;
use super::format::{self, Stored};
use crate::limits::{LONGEST_ENGINE_LABEL, Meter};

/// What a file holds.
pub fn read(file: &[u8]) -> Result<Stored, String> {
    let mut meter = Meter::unlimited(LONGEST_ENGINE_LABEL);
    format::read(file, file.len() as u64, &mut meter).map_err(|error| error.to_string())
}

/// The file that holds this.
pub fn write(stored: &Stored) -> Vec<u8> {
    let mut file = Vec::new();
    format::write(&mut file, stored.key, stored.as_of, &stored.groups)
        .unwrap_or_else(|error| unreachable!("memory takes all: {error}"));
    file
}

/// A file with these counts in its header, this body and a good checksum.
pub fn seal(groups: u32, targets: u32, body: &[u8]) -> Vec<u8> {
    let header = format::header(Key([7; 16]), SystemTime::UNIX_EPOCH, groups, targets);
    let mut encoder = DeflateEncoder::new(header.to_vec(), Compression::fast());
    let sealed = encoder.write_all(body).and_then(|()| encoder.finish());
    let mut file = sealed.unwrap_or_else(|error| unreachable!("memory takes all: {error}"));
    let checksum = xxh3_64(&file);
    file.extend(checksum.to_le_bytes());
    file
}
