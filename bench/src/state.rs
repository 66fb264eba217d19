//! State metrics: the first rendering, one after a change, an unchanged one, and what they cost beside
//! discovery.
//!
//! The peer is swarm-scheduler-exporter, where `SWARM_SCHEDULER_EXPORTER` names its program.

mod peer;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::peer::{Peer, family_of, size_of};
use crate::classic;
use crate::process::until;
use crate::programs::{Program, Running};
use crate::refresh::Swarm;
use crate::report::{Report, mebibytes, milliseconds};

/// How often a change is made and shown.
const CHANGES: u32 = 20;

/// The families that say what the peer says of services and nodes.
const SAME_FACTS: [&str; 9] = [
    "service_desired_tasks",
    "service_running_tasks",
    "service_schedulable_tasks",
    "service_at_desired",
    "service_tasks",
    "service_update_state",
    "service_update_started_timestamp_seconds",
    "service_update_completed_timestamp_seconds",
    "nodes",
];

/// This one says more; of its labels the peer has these.
const INFO: (&str, [&str; 3]) = ("dockerswarm_service_info", ["service", "stack", "mode"]);

pub fn run(report: &mut Report) -> Result<()> {
    for (nodes, tasks, wanted) in
        [(1000, 10_000, ["< 60 ms", "< 3 ms", "< 40 MiB"]), (3000, 100_000, ["", "", ""])]
    {
        measure(report, nodes, tasks, wanted)?;
    }
    measure_cluster(report)?;
    measure_classic(report)
}

/// The label `cluster` of all targets, and none, in the place of the peer.
fn measure_cluster(report: &mut Report) -> Result<()> {
    let swarm = Swarm::start_watched(1000, 10_000)?;
    let cost = |flags: &[&str]| -> Result<[f64; 3]> {
        let flags = [&["--no-state.metrics"], flags].concat();
        let mut runs = Vec::new();
        for _ in 0..5 {
            let scout = running(&swarm, &flags)?;
            let list = length(&format!("{}/sd/swarm", scout.url), "identity");
            let list = list.context("/sd/swarm does not answer")?;
            runs.push([scout.process.cpu()?, scout.process.memory()?, list]);
        }
        Ok([0, 1, 2].map(|figure| {
            runs.sort_by(|a, b| a[figure].total_cmp(&b[figure]));
            runs[runs.len() / 2][figure]
        }))
    };
    let (with, without) = (cost(&["--cluster=home"])?, cost(&[])?);
    let shows: [fn(f64) -> String; 3] = [milliseconds, mebibytes, mebibytes];
    let whats = ["CPU until the first list", "memory after it", "size of it"];
    for (i, (what, show)) in whats.into_iter().zip(shows).enumerate() {
        let what = format!("{what}, with --cluster, without, 1000 nodes, 10000 tasks");
        report.row(&what, with[i], Some(without[i]), "", show);
    }
    Ok(())
}

/// A classic Swarm whose nodes all report again between two scrapes.
fn measure_classic(report: &mut Report) -> Result<()> {
    let server = classic::reporting()?;
    let refreshed = |count| {
        let has = || Ok((server.request_count() > count).then_some(()));
        until("a refresh", Duration::from_mins(1), has)
    };
    let start = |flags: &[&str]| -> Result<Running> {
        let (folder, before) = (tempfile::tempdir()?, server.request_count());
        let config = classic::config(server.url());
        let scout = Program::Swarmscout.start_with(folder.path(), &config, flags)?;
        refreshed(before + 5)?;
        Ok(scout)
    };
    let memory_without = start(&["--no-state.metrics"])?.process.memory()?;
    let scout = start(&[])?;
    let url = format!("{}/metrics/swarm", scout.url);
    let cost = || -> Result<(f64, f64)> {
        let before = scout.process.cpu()?;
        let bytes = length(&url, "gzip").context("/metrics/swarm does not answer")?;
        Ok((scout.process.cpu()? - before, bytes))
    };
    let size = format!("{} classic nodes", classic::NODES);
    let (first, gzip) = cost()?;
    report.row(
        &format!("CPU of the first /metrics/swarm, gzip, {size}"),
        first,
        None,
        "",
        milliseconds,
    );
    report.row(&format!("its size with gzip, {size}"), gzip, None, "", mebibytes);
    let mut sum = 0.0;
    for _ in 0..CHANGES {
        let before = refreshes(&scout)?;
        let is_over = || Ok((refreshes(&scout)? > before).then_some(()));
        until("a refresh", Duration::from_mins(1), is_over)?;
        sum += cost()?.0;
    }
    let again = sum / f64::from(CHANGES);
    report.row(
        &format!("CPU of one after a report of each node, {size}"),
        again,
        None,
        "",
        milliseconds,
    );
    let memory = scout.process.memory()? - memory_without;
    report.row(&format!("memory of state metrics, {size}"), memory, None, "", mebibytes);
    Ok(())
}

fn measure(report: &mut Report, nodes: usize, tasks: usize, wanted: [&str; 3]) -> Result<()> {
    let size = format!("{nodes} nodes, {tasks} tasks");
    let swarm = Swarm::start_watched(nodes, tasks)?;
    let peer = std::env::var_os("SWARM_SCHEDULER_EXPORTER");
    let peer = peer.map(|path| Peer::measure(path, &swarm)).transpose()?;
    let without = running(&swarm, &["--no-state.metrics"])?;
    let memory_without = without.process.memory()?;
    drop(without);
    let scout = running(&swarm, &[])?;
    let url = format!("{}/metrics/swarm", scout.url);

    let cost = |encoding: &str| -> Result<(f64, f64)> {
        let before = scout.process.cpu()?;
        let bytes = length(&url, encoding).context("/metrics/swarm does not answer")?;
        Ok((scout.process.cpu()? - before, bytes))
    };
    let (first, gzip) = cost("gzip")?;
    report.row(
        &format!("CPU of the first /metrics/swarm, gzip, {size}"),
        first,
        None,
        wanted[0],
        milliseconds,
    );
    let (unchanged, _) = cost("gzip")?;
    report.row(&format!("CPU of an unchanged one, {size}"), unchanged, None, "", milliseconds);
    let (_, text) = cost("identity")?;
    report.row(&format!("its size, {size}"), text, None, "", mebibytes);
    report.row(&format!("its size with gzip, {size}"), gzip, None, "", mebibytes);
    let text = crate::programs::get(&url).context("/metrics/swarm does not answer")?;
    let text = String::from_utf8(text)?;
    let same = size_of(&text, |family| {
        let family = family.strip_prefix("dockerswarm_");
        family.is_some_and(|family| SAME_FACTS.contains(&family))
    });
    let of_peer = peer.as_ref().map(|peer| peer.bytes);
    let all = same + size_of(&text, |family| family == INFO.0);
    let what = format!("size of what both say, with all that info says, {size}");
    report.row(&what, all, of_peer, "", mebibytes);
    let same = same + info_size(&text);
    let what = format!("size of what both say, {size}");
    report.row(&what, same, of_peer, "< 0.33 of the peer", mebibytes);
    let memory = scout.process.memory()? - memory_without;
    let of_peer = peer.as_ref().map(|peer| peer.memory);
    report.row(&format!("memory of state metrics, {size}"), memory, of_peer, wanted[2], mebibytes);

    let service = swarm.state.services().swap_remove(0).meta.id;
    let mut sum = 0.0;
    for change in 0..CHANGES {
        let version = format!("shop/service:{change}");
        swarm.state.edit_service(&service, |service| {
            let spec = &mut service.spec.task_template.container_spec;
            if let Some(spec) = spec {
                spec.image.clone_from(&version);
            }
        });
        // The change costs discovery what it costs; the rendering of it is what is measured.
        let count = format!("_changes_total{{swarm=\"{}\"}} {}", swarm.url(), change + 1);
        until("the change", Duration::from_mins(1), || Ok(shows(&scout, &count).then_some(())))?;
        sum += cost("gzip")?.0;
    }
    let after_one = sum / f64::from(CHANGES);
    let of_peer = peer.map(|peer| peer.cpu);
    let what = format!("CPU of one after a change; of a poll, {size}");
    report.row(&what, after_one, of_peer, wanted[1], milliseconds);
    Ok(())
}

/// The bytes of the info of services, with the labels that the peer has.
fn info_size(text: &str) -> f64 {
    let (name, labels) = INFO;
    let of_line = |line: &str| {
        let labels = labels.iter().filter_map(|label| {
            let start = format!("{label}=\"");
            let at = line.find(&format!(",{start}")).map(|at| at + 1);
            let rest = &line[at.or_else(|| line.find(&format!("{{{start}")).map(|at| at + 1))?..];
            // With its comma or brace.
            Some(start.len() + rest[start.len()..].find('"')? + 2)
        });
        (name.len() + 1 + labels.sum::<usize>() + " 1\n".len()) as f64
    };
    text.lines().filter(|line| family_of(line) == name).map(of_line).sum()
}

/// How many refreshes it has finished.
fn refreshes(scout: &Running) -> Result<f64> {
    let text = crate::programs::get(&format!("{}/metrics", scout.url)).unwrap_or_default();
    let text = String::from_utf8(text)?;
    let name = "prometheus_sd_refresh_duration_seconds_count{";
    let counts = text.lines().filter(|line| line.starts_with(name));
    let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum())
}

fn shows(scout: &Running, text: &str) -> bool {
    crate::programs::shows(&format!("{}/metrics", scout.url), text)
}

/// One that has seen the whole Swarm.
fn running(swarm: &Swarm, flags: &[&str]) -> Result<Running> {
    let folder = tempfile::tempdir()?;
    let config = format!(
        "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs: [{{host: '{}', refresh_interval: 1h}}]\n",
        swarm.url()
    );
    let scout = Program::Swarmscout.start_with(folder.path(), &config, flags)?;
    until("the first list", Duration::from_mins(2), || {
        Ok(crate::programs::get(&format!("{}/sd/swarm", scout.url)).map(drop))
    })?;
    Ok(scout)
}

/// The bytes of an answer, as they are sent.
fn length(url: &str, encoding: &str) -> Option<f64> {
    let (address, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect(address).ok()?;
    let head =
        format!("GET /{path} HTTP/1.0\r\nHost: {address}\r\nAccept-Encoding: {encoding}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    answer.starts_with(b"HTTP/1.0 200").then_some((answer.len() - body) as f64)
}
