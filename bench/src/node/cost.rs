//! 100 containers of a real Engine: the CPU of a scrape, and of the minutes in which it is scraped
//! every 15 s, beside `cAdvisor`.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::docker::Docker;
use super::engine::Proxy;
use super::peer::{Cadvisor, TUNINGS};
use super::{NodePart, living, setting};
use crate::process::{Process, pause_until};
use crate::report::{Report, count, mebibytes, milliseconds};

const CONTAINERS: usize = 100;
const SCRAPES: u32 = 200;
const INTERVAL: Duration = Duration::from_secs(15);

pub fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let docker = Docker::start(folder.path())?;
    docker.start_containers(CONTAINERS)?;
    let proxy = Proxy::before(&docker.socket, folder.path().join("ours.sock"))?;
    let ours = NodePart::start(folder.path(), &proxy.socket, &docker.parent.sysfs)?;
    ours.await_names(CONTAINERS)?;
    let text = ours.scrape("/metrics", "identity")?;
    report.row("containers", living(&text).len() as f64, None, "100", count);

    let before = proxy.requests();
    for (encoding, wanted) in [("identity", "≤ 10 ms"), ("gzip", "≤ 25 ms")] {
        let cpu = ours.process.cpu()?;
        for _ in 0..SCRAPES {
            ours.scrape("/metrics", encoding)?;
        }
        let cpu = (ours.process.cpu()? - cpu) / f64::from(SCRAPES);
        report.row(&format!("CPU of a scrape, {encoding}"), cpu, None, wanted, milliseconds);
    }
    let asked = (proxy.requests() - before) as f64;
    report.row("requests to dockerd in 400 scrapes", asked, None, "0", count);

    let mut peers = Vec::new();
    for tuning in &TUNINGS {
        peers.push(Cadvisor::start(folder.path(), &docker, tuning)?);
    }
    let all = || peers.iter().flatten();
    let scrape = || -> Result<[usize; 4]> {
        let mut sizes = [ours.scrape("/metrics", "gzip")?.len(), 0, 0, 0];
        for (size, peer) in sizes[1..].iter_mut().zip(&peers) {
            *size = peer.as_ref().map_or(Ok(0), |peer| peer.scrape().map(|text| text.len()))?;
        }
        Ok(sizes)
    };
    // They read all containers again when they are started.
    let mut next = Instant::now() + INTERVAL;
    for _ in 0..4 {
        scrape()?;
        pause_until(next);
        next += INTERVAL;
    }
    let minutes = setting("NODE_MINUTES", 5)?;
    let cpu = || -> Result<Vec<f64>> {
        std::iter::once(&ours.process)
            .chain(all().map(|peer| &peer.process))
            .map(Process::cpu)
            .collect()
    };
    let (cpu_before, engine_before) = (cpu()?, docker.process.cpu()?);
    let asked = || -> Vec<u64> {
        std::iter::once(proxy.requests()).chain(all().map(|peer| peer.proxy.requests())).collect()
    };
    let asked_before = asked();
    let mut sizes = [0; 4];
    for _ in 0..minutes * 4 {
        sizes = scrape()?;
        pause_until(next);
        next += INTERVAL;
    }
    let per_minute = |(after, before): (f64, f64)| (after - before) / minutes as f64;
    let cpu: Vec<_> = cpu()?.into_iter().zip(cpu_before).map(per_minute).collect();
    let asked: Vec<_> = asked()
        .into_iter()
        .zip(asked_before)
        .map(|(after, before)| (after - before) as f64 / minutes as f64)
        .collect();
    ensure!(cpu[0] > 0.0, "a scrape every 15 s takes no time");
    let cpu_of = |at: usize| cpu.get(at).copied();
    for (at, wanted) in [(1, "≤ 0.01"), (2, "≤ 0.05"), (3, "≤ 0.05")] {
        let what = TUNINGS[at - 1].name;
        let row = |name: &str| format!("{name}, cAdvisor {what}");
        report.row(
            &row("CPU a minute, a scrape every 15 s"),
            cpu[0],
            cpu_of(at),
            wanted,
            milliseconds,
        );
        report.row(
            &row("requests to dockerd a minute"),
            asked[0],
            asked.get(at).copied(),
            "0",
            count,
        );
        let size = peers[at - 1].as_ref().map(|_| sizes[at] as f64);
        report.row(&row("bytes of a scrape"), sizes[0] as f64, size, "", count);
        let memory = peers[at - 1].as_ref().map(|peer| peer.process.memory()).transpose()?;
        report.row(&row("memory"), ours.process.memory()?, memory, "", mebibytes);
    }
    let engine = per_minute((docker.process.cpu()?, engine_before));
    report.row("CPU a minute of dockerd meanwhile", engine, None, "", milliseconds);
    Ok(())
}
