//! `cAdvisor`, as it comes and tuned.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::docker::Docker;
use super::engine::Proxy;
use crate::process::{Process, until};
use crate::programs::{agent, free_address};

/// How it is started.
pub struct Tuning {
    pub name: &'static str,
    flags: &'static [&'static str],
}

/// What stacks set against its cost, and the groups off that the node part does not serve.
const TUNED: &[&str] = &[
    "--docker_only",
    "--store_container_labels=false",
    "--housekeeping_interval=10s",
    "--disable_metrics=advtcp,cpu_topology,cpuset,disk,hugetlb,memory_numa,percpu,perf_event,process,\
     referenced_memory,resctrl,sched,tcp,udp",
    "--allow_dynamic_housekeeping=false",
];

/// By itself it reads a container that does nothing less and less often, down to once a minute. The
/// last one is tuned and reads every container every 10 s.
pub const TUNINGS: [Tuning; 3] = [
    Tuning { name: "as it comes", flags: &[] },
    Tuning { name: "tuned", flags: TUNED.split_at(4).0 },
    Tuning { name: "tuned, and each container every 10 s", flags: TUNED },
];

pub struct Cadvisor {
    pub process: Process,
    pub proxy: Proxy,
    url: String,
    agent: ureq::Agent,
}

impl Cadvisor {
    /// Starts it, if there is one.
    pub fn start(folder: &Path, docker: &Docker, tuning: &Tuning) -> Result<Option<Self>> {
        let path = path();
        if Command::new(&path).arg("--version").output().is_err() {
            return Ok(None);
        }
        let name = tuning.name.replace([' ', ','], "-");
        let proxy = Proxy::before(&docker.socket, folder.join(format!("{name}.sock")))?;
        let address = free_address()?;
        let mut command = docker.parent.inside(&path);
        command.arg(format!("--listen_ip={}", address.ip()));
        command.arg(format!("--port={}", address.port()));
        command.arg(format!("--docker=unix://{}", proxy.socket.display()));
        command.arg(format!("--containerd={}", docker.containerd.display()));
        command.args(tuning.flags);
        let process = Process::start(&mut command, &folder.join(name))?;
        until("cAdvisor", Duration::from_mins(2), || Ok(TcpStream::connect(address).ok()))?;
        Ok(Some(Self { process, proxy, url: format!("http://{address}/metrics"), agent: agent() }))
    }

    /// One scrape, compressed, as Prometheus makes it. Its body.
    pub fn scrape(&self) -> Result<String> {
        let mut answer = self.agent.get(&self.url).header("Accept-Encoding", "gzip").call()?;
        Ok(answer.body_mut().with_config().limit(1 << 30).read_to_string()?)
    }
}

fn path() -> String {
    std::env::var("CADVISOR").unwrap_or_else(|_| "cadvisor".to_owned())
}
