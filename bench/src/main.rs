//! Measures Swarmscout, and Prometheus beside it, on a simulated Swarm grown to size.
//!
//! `cargo run --release --manifest-path bench/Cargo.toml [NAME…]` builds nothing but itself: build
//! the program first with `cargo build --release`. Without a name every benchmark runs. Prints a
//! Markdown table: what, ours, the peer's, the ratio, and what is wanted. CPU seconds and memory are
//! the kernel's, read from `/proc`; wall time is given where it is what users feel.
//!
//! The peer is the `prometheus` in the path (`PROMETHEUS` names another); where there is none its
//! column stays empty.

mod classic;
mod look;
mod process;
mod programs;
mod relabel;
mod report;
mod serve;
mod start;

use anyhow::{Result, bail};

use crate::report::Report;

type Benchmark = fn(&mut Report) -> Result<()>;

const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("look", look::run),
    ("classic", classic::run),
    ("relabel", relabel::run),
    ("start", start::run),
    ("serve", serve::run),
];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) =
        wanted.iter().find(|name| BENCHMARKS.iter().all(|(known, _)| known != name))
    {
        let known: Vec<_> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        bail!("there is no benchmark {unknown:?}; there are {}", known.join(", "));
    }
    // The simulator's servers live on this runtime; what they cost is not counted.
    let runtime = tokio::runtime::Runtime::new()?;
    let _inside = runtime.enter();
    let mut report = Report::new();
    for (name, benchmark) in BENCHMARKS {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            benchmark(&mut report)?;
        }
    }
    Ok(())
}
