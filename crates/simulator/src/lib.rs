//! A simulated Docker Swarm, for tests, benchmarks and `swarmscout demo`.
//!
//! ```text
//!  swarm::Swarm ──┬─ engine::Engine     the Engine API of one of its nodes, TCP or unix socket
//!  (model, seed)  └─ swarmkit::ControlSocket  SwarmKit's own socket: watch and lists, gRPC
//!  classic::Cluster ─ classic::Master   `/info` of standalone Swarm, any version from 0.1.0 on
//!                     exporter::Exporter  `/metrics`
//!                           │
//!                      http::Server     faults on demand, a log of the requests
//! ```
//!
//! **Invariant: it answers what real Swarms answered** (`fixtures/`, each file recorded byte for
//! byte), never what the reader of an answer expects. So the encoders share no type with Swarmscout's
//! decoders. It may use `model`.
//!
//! A server listens as soon as its constructor returns, serves until it is dropped, and owns every
//! task it starts. All constructors need a tokio runtime around them. What is generated (IDs,
//! times, addresses) depends on a seed alone.

pub mod classic;
pub mod engine;
pub mod exporter;
pub mod fault;
pub mod http;
pub mod swarm;
pub mod swarmkit;
#[doc(hidden)]
pub mod testing;

pub use fault::{Fault, Faults};
pub use http::{Listen, Reply, Request, Response, Server};
