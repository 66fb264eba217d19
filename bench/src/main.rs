//! Measures Swarmscout, and Prometheus beside it, on a simulated Swarm grown to size.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml [NAME…]` builds nothing but itself: build
//! the program first with `cargo build --release`. Without a name every benchmark runs but those
//! that need root or take many minutes, the campaigns; these end with an error where something is
//! seen that must never be. Prints a Markdown table: what, ours, the peer's, the ratio, and what is
//! wanted. CPU seconds and memory are the kernel's, read from `/proc`; wall time is given where it
//! is what users feel.
//!
//! The peer is the `prometheus` in the path (`PROMETHEUS` names another); where there is none its
//! column stays empty.

mod api;
mod attack;
mod changes;
mod classic;
mod dns;
mod doors;
mod explain;
mod follow;
mod idle;
mod labels;
mod node;
mod node_host;
mod process;
mod programs;
mod reach;
mod readers;
mod real;
mod refresh;
mod relabel;
mod reload;
mod report;
mod scale;
mod serve;
mod soak;
mod start;
mod state;
mod waiting;
mod zookeeper;

use anyhow::{Result, bail};

use crate::report::Report;

type Benchmark = fn(&mut Report) -> Result<()>;

const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("refresh", refresh::run),
    ("classic", classic::run),
    ("relabel", relabel::run),
    ("start", start::run),
    ("serve", serve::run),
    ("state", state::run),
    ("changes", changes::run),
];

/// Run by name only.
const CAMPAIGNS: &[(&str, Benchmark)] = &[
    ("follow", follow::run),
    ("idle", idle::run),
    ("labels", labels::run),
    ("explain", explain::run),
    ("real", real::run),
    ("scale", scale::run),
    ("dns", dns::run),
    ("reload", reload::run),
    ("readers", readers::run),
    ("api", api::run),
    ("waiting", waiting::run),
    ("doors", doors::run),
    ("reach", reach::run),
    ("soak", soak::run),
    ("attack", attack::run),
    ("node-host", node_host::run),
    ("node", node::run),
    ("node-cadvisor", node::cadvisor),
    ("node-sizes", node::sizes),
    ("node-churn", node::churn),
    ("node-docker", node::with_docker),
    ("node-idle", node::idle),
];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == [node_host::SERVE] {
        return node_host::serve();
    }
    let all = || BENCHMARKS.iter().chain(CAMPAIGNS);
    if let Some(unknown) = wanted.iter().find(|name| all().all(|(known, _)| known != name)) {
        let known: Vec<_> = all().map(|(name, _)| *name).collect();
        bail!("there is no benchmark {unknown:?}; there are {}", known.join(", "));
    }
    // The simulator's servers live on this runtime; what they cost is not counted.
    let runtime = tokio::runtime::Runtime::new()?;
    let _inside = runtime.enter();
    let mut report = Report::new();
    let without_name = BENCHMARKS.iter().filter(|_| wanted.is_empty());
    let by_name = all().filter(|(name, _)| wanted.iter().any(|want| want == name));
    for (_, benchmark) in without_name.chain(by_name) {
        benchmark(&mut report)?;
    }
    Ok(())
}
