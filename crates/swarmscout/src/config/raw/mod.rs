//! What a file may say: every section with its keys, their types and defaults, as Prometheus 3.14
//! has them and with our own added.
//!
//! Flat tables, nothing more: what the values mean together is checked in `check`. Where a key that
//! is absent is filled in from elsewhere (the global section, another key), its default here is the
//! type's zero and `shown` says what it becomes.

#![expect(clippy::struct_field_names, reason = "a field is named as its key in the file")]

mod alerting;
mod file;
mod http;
mod relabel;
mod remote;
mod scrape;
mod sd;

pub(super) use alerting::*;
pub(super) use file::*;
pub(super) use http::*;
pub(super) use relabel::*;
pub(super) use remote::*;
pub(super) use scrape::*;
pub(super) use sd::*;
