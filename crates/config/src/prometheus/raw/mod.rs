//! What a file may say: every section with its keys, their types and defaults, as Prometheus 3.14
//! has them and with our own added.
//!
//! Flat tables, nothing more: what the values mean together is checked in `check`. Where a key that
//! is absent is filled in from elsewhere (the global section, another key), its default here is the
//! type's zero and `shown` says what it becomes.

mod alerting;
mod file;
mod relabel;
mod remote;
mod scrape;
mod sd;

pub(crate) use alerting::*;
pub(crate) use file::*;
pub(crate) use relabel::*;
pub(crate) use remote::*;
pub(crate) use scrape::*;
pub(crate) use sd::*;
