//! Simulated stores and DNS servers, for tests and benchmarks.
//!
//! ```text
//!  etcd::Etcd ───── etcd::Member        versions 2 and 3 of its API, with watches
//!  consul::Consul ─ consul::Agent       the key-value store, with blocking queries
//!                     tokens::Tokens      the service of `token://`
//!                           │
//!                      simulator::http::Server
//!
//!  zookeeper::ZooKeeper                 an ensemble, with faults of its own
//!  dns::Zone ─ dns::DnsServer           UDP and TCP, with faults of its own
//! ```
//!
//! Like the simulated Swarm, these servers follow what real ones answered (`fixtures/`), never what
//! the reader of an answer expects.
//!
//! **Invariant: the program never links this crate.** Only `[dev-dependencies]` and the benchmarks
//! name it. It depends on the simulator.

pub mod consul;
pub mod dns;
pub mod etcd;
pub mod tokens;
pub mod zookeeper;
