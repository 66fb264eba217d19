//! The metrics of one node and of its containers, read from `/proc` and `/sys/fs/cgroup`.
//!
//! **Invariant: a number is what its file said during the scrape, and what cannot be read is absent,
//! never 0.** Between scrapes nothing is read. No file that is kept open pins a cgroup or a network
//! namespace, and the process of a container is never taken for another one with its PID.
//!
//! | module | does |
//! |---|---|
//! | `roots` | says where the host's `/proc`, `/sys` and `/` are mounted |
//! | `read` | reads files of the kernel: kept descriptors, limits on sizes, one buffer |
//! | `unavailable` | holds what is missing on this node, and why |
//! | `engine` | facts by the Docker Engine of this node, and events of its containers |
//! | `ends` | how often containers ended, by service |
//! | `task_ends` | finds the ends in what a manager lists of this node's tasks |
//! | `facts` | what a manager or an engine knows of the containers of this node |
//! | `cgroup` | finds the cgroups of containers, and parses their files |
//! | `containers` | reads all containers at a scrape, and writes their series |
//! | `host` | the node itself: `node_*`, `machine_*`, the root's `container_*` |
//!
//! Series are written by `swarmscout_exposition::families`.

mod cgroup;
pub mod containers;
pub mod ends;
pub mod engine;
pub mod facts;
pub mod host;
pub mod read;
pub mod roots;
pub mod task_ends;
pub mod unavailable;
