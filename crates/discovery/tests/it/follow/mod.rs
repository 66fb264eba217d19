//! A Swarm that is followed over real sockets to a simulated one: by watch, by events and by polling,
//! with faults and without.
//!
//! Regular refreshes are an hour apart here, unless a test says otherwise: a change that reaches a set
//! was reported.

mod changes;
mod faults;
mod hosts;
mod labelled;
mod lists;
mod outage;
mod shared;
mod site;
