//! Reads 1,000 names of the DNS: what they cost, and whether a server meets them all at once.
//!
//! Needs root: the file `resolv.conf` names no port, so the simulated server listens at port 53 of
//! an address of loopback that is its own, and each program sees a `resolv.conf` of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use swarmscout_sim_stores::dns::{Data, DnsServer, Fault, Zone};

use crate::process::until;
use crate::programs::{Program, both};
use crate::report::{Report, count, seconds};

const NAMES: usize = 1000;
/// Refreshes that are counted, after the first.
const REFRESHES: usize = 4;
/// Between the beginnings of two refreshes. Less than a usual one, so as not to take minutes; long
/// enough for the questions of one refresh to be distinguished from those of the next.
const REFRESH: Duration = Duration::from_secs(5);
/// Refreshes are further apart than this, questions of one refresh are not.
const BETWEEN: Duration = Duration::from_secs(2);
/// How long a slow server takes to answer.
const SLOW: Duration = Duration::from_millis(100);
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 4);

pub fn run(report: &mut Report) -> Result<()> {
    let (ours, peer) = both(measure)?;
    let peer = peer.as_ref();
    let cpu = |figures: &Figures| figures.cpu;
    report.row("CPU of a refresh of 1,000 DNS names", cpu(&ours), peer.map(cpu), "", seconds);
    for (what, figure, wanted) in [
        (
            "most questions in 10 ms",
            (|figures| figures.in_10_ms) as fn(&Figures) -> f64,
            "no burst",
        ),
        ("most questions in 100 ms", |figures| figures.in_100_ms, "no burst"),
        ("most unanswered at a time, where answers take 100 ms", |figures| figures.open, "<= 64"),
    ] {
        report.row(what, figure(&ours), peer.map(figure), wanted, count);
    }
    let wall = |figures: &Figures| figures.wall;
    report.row("from its first question to its last", wall(&ours), peer.map(wall), "", seconds);
    Ok(())
}

struct Figures {
    /// Seconds a refresh.
    cpu: f64,
    /// Seconds a refresh.
    wall: f64,
    in_10_ms: f64,
    in_100_ms: f64,
    /// Questions that wait for answers of a slow server.
    open: f64,
}

fn measure(program: Program) -> Result<Figures> {
    let zone = Zone::default();
    let mut config = format!(
        "scrape_configs:\n- job_name: names\n  scrape_interval: 1h\n  dns_sd_configs:\n  \
         - type: A\n    port: 9100\n    refresh_interval: {}s\n    names:\n",
        REFRESH.as_secs()
    );
    for i in 0..NAMES {
        let name = format!("tasks.service-{i}");
        writeln!(config, "    - {name}")?;
        let network = u8::try_from(i / 250)?;
        zone.set(&name, (1..4).map(|task| Data::A([10, 0, network, task].into())));
    }
    // Found, not scraped: the peer would scrape what it keeps.
    config.push_str("  relabel_configs: [{action: drop, regex: .*}]\n");
    let server = DnsServer::start_at((SERVER, 53).into(), &zone)
        .with_context(|| format!("cannot listen at port 53 of {SERVER}, which needs root"))?;
    let folder = tempfile::tempdir()?;
    let resolv_conf = folder.path().join("resolv.conf");
    fs::write(&resolv_conf, format!("nameserver {SERVER}\n"))?;
    let running = program.start_with_resolv_conf(folder.path(), &config, &resolv_conf)?;
    let await_refreshes = |refreshes| {
        until("refreshes of the names", Duration::from_mins(2), || {
            Ok((server.query_count() >= refreshes * NAMES).then_some(()))
        })
    };
    let times = || server.queries().iter().map(|query| query.at).collect::<Vec<_>>();

    await_refreshes(1)?;
    let before = running.process.cpu()?;
    await_refreshes(1 + REFRESHES)?;
    let cpu = (running.process.cpu()? - before) / REFRESHES as f64;
    let asked = times();
    let refreshes: Vec<&[Instant]> = asked.chunk_by(|a, b| *b - *a < BETWEEN).collect();
    let wall =
        refreshes.iter().map(|refresh| refresh[refresh.len() - 1] - refresh[0]).sum::<Duration>();

    server.fault(Fault::Late(SLOW));
    server.forget_queries();
    await_refreshes(2)?;
    Ok(Figures {
        cpu,
        wall: wall.as_secs_f64() / refreshes.len() as f64,
        in_10_ms: most_within(&asked, Duration::from_millis(10)),
        in_100_ms: most_within(&asked, Duration::from_millis(100)),
        open: most_within(&times(), SLOW),
    })
}

/// The most of these moments that lie within so short a time.
fn most_within(times: &[Instant], time: Duration) -> f64 {
    let numbers = (0..times.len())
        .map(|first| times[first..].partition_point(|other| *other - times[first] < time));
    numbers.max().unwrap_or_default() as f64
}
