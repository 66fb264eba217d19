//! From what was written to what the program works with: the rules that hold between keys, in
//! Prometheus' words, and the values that absent keys take from elsewhere.
//!
//! Every rule is tried, whatever others found, so that a file's errors are shown together; a rule
//! about a key that could not even be read stays silent.

mod file;
mod global;
mod relabel;
mod remote;
mod scrape;
mod sd;
mod server;

pub(crate) use file::{JobPlaces, check, jobs};
