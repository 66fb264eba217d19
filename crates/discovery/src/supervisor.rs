//! The owner of time: see the module documentation of the crate.
