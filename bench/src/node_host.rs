//! The node's own metrics beside node exporter with the same collectors: first every series is
//! compared, then the CPU of a thousand scrapes.
//!
//! Our side is the crate behind a small server of its own: this program again, with
//! [`SERVE`]. When `swarmscout node` serves `/metrics/node`, [`ours`] starts that instead.
//!
//! The peer is `prometheus-node-exporter` in the path; `NODE_EXPORTER` names another one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use swarmscout_exposition::Format;
use swarmscout_exposition::families::Families;
use swarmscout_node::host::{Collectors, Host, Identity, Scope, Versions};
use swarmscout_node::roots::Roots;

use crate::process::{Process, until};
use crate::programs::agent;
use crate::report::{Report, count, mebibytes, seconds};

/// The argument with which this program serves the node's metrics.
pub const SERVE: &str = "--serve-node-host";

const COLLECTORS: [&str; 15] = [
    "cpu",
    "meminfo",
    "filesystem",
    "diskstats",
    "netdev",
    "loadavg",
    "stat",
    "vmstat",
    "uname",
    "time",
    "filefd",
    "conntrack",
    "pressure",
    "hwmon",
    "thermal_zone",
];

/// What node exporter has and we do not: docs/node-metrics.md has the reasons.
const NOT_OURS: [&str; 16] = [
    "go_",
    "process_",
    "promhttp_",
    "node_exporter_",
    "node_scrape_",
    "node_cpu_core_throttles_total",
    "node_cpu_package_throttles_total",
    "node_cpu_online",
    "node_cpu_isolated",
    "node_cooling_device_",
    "node_disk_info",
    "node_filesystem_purgeable_bytes",
    "node_network_receive_nohandler_total",
    "node_nf_conntrack_stat_",
    "node_time_zone_offset_seconds",
    "node_time_clocksource_",
];

/// What older versions of node exporter have in addition, or lack.
const OF_VERSIONS: [&str; 8] = [
    "node_memory_Balloon_bytes",
    "node_memory_FileHugePages_bytes",
    "node_memory_FilePmdMapped_bytes",
    "node_memory_Hugetlb_bytes",
    "node_memory_KReclaimable_bytes",
    "node_memory_SecPageTables_bytes",
    "node_filesystem_mount_info",
    "node_pressure_irq_stalled_seconds_total",
];

/// The defaults of node exporter 1.12. Debian has others.
const UPSTREAM: [&str; 4] = [
    "--collector.diskstats.device-exclude=^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\\d+n\\d+p)\\d+$",
    "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|\
     var/lib/containers/storage/.+)($|/)",
    "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|\
     devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|\
     selinuxfs|squashfs|erofs|sysfs|tracefs)$",
    "--collector.netdev.device-exclude=^$",
];

const SCRAPES: usize = 2000;

type Series = BTreeMap<String, f64>;

pub fn run(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (ours, our_url) = ours(folder.path())?;
    let peer = std::env::var("NODE_EXPORTER").unwrap_or("prometheus-node-exporter".to_owned());
    let peer = if Command::new(&peer).arg("--version").output().is_ok() {
        Some(node_exporter(&peer, folder.path())?)
    } else {
        None
    };
    if let Some((_, url)) = &peer {
        let compared = compare(&our_url, url)?;
        report.row("node: series equal to node exporter's", compared as f64, None, "all", count);
    }
    let (our_cpu, our_bytes) = cost(&ours, &our_url)?;
    let peer = peer.map(|(process, url)| cost(&process, &url)).transpose()?;
    let peer_cpu = peer.map(|(cpu, _)| cpu);
    report.row("node: CPU of 1,000 scrapes", our_cpu, peer_cpu, "≤ 1/3", seconds);
    report.row(
        "node: CPU of one scrape",
        our_cpu / 1000.0,
        peer_cpu.map(|cpu| cpu / 1000.0),
        "",
        |s| format!("{:.0} µs", s * 1e6),
    );
    report.row("node: bytes of one scrape", our_bytes, peer.map(|(_, bytes)| bytes), "", count);
    let memory = ours.memory()?;
    report.row("node: memory", memory, None, "", mebibytes);
    Ok(())
}

/// Serves the node's metrics until it is killed; the first line of output is the address.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mut host = Host::new(Roots::default(), Collectors::default(), Arc::default());
    for stream in listener.incoming() {
        // A client may close its connection.
        let _ = answer(&stream?, &mut host);
    }
    Ok(())
}

fn answer(mut stream: &TcpStream, host: &mut Host) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        // A request ends with an empty line.
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line != "\r\n" {
            continue;
        }
        host.read(Scope { node: true, machine: false });
        let mut out = Families::new(Format::Text);
        host.write_node(&Identity::default(), &Versions::default(), &mut out);
        let body = out.finish();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    }
}

fn ours(folder: &Path) -> Result<(Process, String)> {
    let log = folder.join("ours");
    let process = Process::start(Command::new(std::env::current_exe()?).arg(SERVE), &log)?;
    let address = until("our address", Duration::from_secs(10), || {
        let log = std::fs::read_to_string(&log)?;
        Ok(log.split_once('\n').map(|(address, _)| address.to_owned()))
    })?;
    Ok((process, format!("http://{address}/metrics")))
}

fn node_exporter(path: &str, folder: &Path) -> Result<(Process, String)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let collectors = COLLECTORS.map(|name| format!("--collector.{name}"));
    let mut command = Command::new(path);
    command.arg(format!("--web.listen-address={address}"));
    command.arg("--collector.disable-defaults").args(collectors).args(UPSTREAM);
    let process = Process::start(&mut command, &folder.join("peer"))?;
    until("node exporter", Duration::from_secs(10), || Ok(TcpStream::connect(address).ok()))?;
    Ok((process, format!("http://{address}/metrics")))
}

fn get(agent: &ureq::Agent, url: &str) -> Result<String> {
    let request = agent.get(url).header("Accept-Encoding", "identity");
    Ok(request.call()?.into_body().read_to_string()?)
}

/// CPU seconds of a thousand scrapes, and the bytes of one.
fn cost(process: &Process, url: &str) -> Result<(f64, f64)> {
    let agent = agent();
    let mut bytes = 0;
    for _ in 0..20 {
        bytes = get(&agent, url)?.len();
    }
    let before = process.cpu()?;
    for _ in 0..SCRAPES {
        get(&agent, url)?;
    }
    let cpu = process.cpu()? - before;
    Ok((cpu * 1000.0 / SCRAPES as f64, bytes as f64))
}

/// Compares both until each of our values lay between two of the peer's. How many there are.
fn compare(ours: &str, theirs: &str) -> Result<usize> {
    let agent = agent();
    let get = |url| series(&get(&agent, url)?);
    let mut open: Option<BTreeSet<String>> = None;
    let mut all = 0;
    let mut shown = String::new();
    for _ in 0..100 {
        let (before, our, after) = (get(theirs)?, get(ours)?, get(theirs)?);
        all = our.len();
        let names = our.keys().chain(before.keys()).cloned().collect();
        let open = open.get_or_insert(names);
        shown.clear();
        open.retain(|name| {
            let values = (our.get(name), before.get(name), after.get(name));
            let is_equal = match values {
                (Some(our), Some(before), Some(after)) => {
                    let (low, high) = (before.min(*after), before.max(*after));
                    // Node exporter multiplies by 0.001, which is not exact.
                    let more = high.abs() * 1e-12;
                    (low - more..=high + more).contains(our)
                }
                _ => false,
            };
            if !is_equal {
                let _ = write!(shown, "\n{name}: {values:?}");
            }
            !is_equal
        });
        if open.is_empty() {
            return Ok(all);
        }
    }
    ensure!(all > 0, "no series");
    bail!("of {all} series these differ (ours, before, after):{shown}")
}

/// Series with sorted labels, without empty ones, without what is not compared.
fn series(text: &str) -> Result<Series> {
    let mut all = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').context("no value")?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let is_left_out = NOT_OURS.iter().any(|start| name.starts_with(start))
            || OF_VERSIONS.contains(&name)
            || name.starts_with("swarmscout_")
            // Older versions do not have it for a file system that does not answer.
            || (name == "node_filesystem_readonly" && labels.contains("device_error=\"")
                && !labels.contains("device_error=\"\""));
        if is_left_out {
            continue;
        }
        let labels = labels.strip_suffix('}').context("no end of labels")?;
        // No value here holds `",`.
        let mut labels: Vec<_> = labels.split_inclusive("\",").collect();
        labels.retain(|label| {
            // Older versions do not have this one.
            !label.trim_end_matches(',').ends_with("=\"\"") && !label.starts_with("device_error=")
        });
        let mut labels: Vec<_> = labels.iter().map(|label| label.trim_end_matches(',')).collect();
        labels.sort_unstable();
        let value = value.parse().with_context(|| line.to_owned())?;
        all.insert(format!("{name}{{{}}}", labels.join(",")), value);
    }
    Ok(all)
}
