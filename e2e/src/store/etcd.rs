//! Debian's etcd, written to through version 2 of its API, or by etcdctl.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Store;
use crate::process::{Process, run};
use crate::program::free_port;
use crate::{get, until};

const PATH: &str = "swarm";

/// Seconds that a key for a moment lives.
const MOMENT: &str = "3";

/// A cluster.
#[derive(Debug)]
pub struct Etcd {
    folder: PathBuf,
    api: Api,
    members: Vec<Member>,
}

/// Which version of the API is written to, and read. They do not see each other's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    V2,
    V3,
}

#[derive(Debug)]
struct Member {
    port: u16,
    peer_port: u16,
    process: Option<Process>,
}

impl Etcd {
    /// Starts this many members, with their files in `folder`.
    pub fn up(folder: &Path, members: usize, api: Api) -> Result<Self> {
        let member = || Ok(Member { port: free_port()?, peer_port: free_port()?, process: None });
        let list: Vec<_> = (0..members).map(|_| member()).collect::<Result<_>>()?;
        fs::create_dir_all(folder)?;
        let mut cluster = Self { folder: folder.to_owned(), api, members: list };
        for member in 0..members {
            cluster.spawn(member)?;
        }
        for member in 0..members {
            cluster.await_service(member)?;
        }
        Ok(cluster)
    }

    fn spawn(&mut self, member: usize) -> Result<()> {
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.peer_port);
        let peers = self.members.iter().enumerate();
        let peers: Vec<_> = peers.map(|(i, member)| format!("m{i}={}", peer(member))).collect();
        let (own, client) = (peer(&self.members[member]), self.client_url(member));
        let mut command = Command::new("etcd");
        command.args(["--enable-v2", "--name", &format!("m{member}"), "--data-dir"]);
        command.arg(self.folder.join(format!("etcd-{member}")));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &own, "--initial-advertise-peer-urls", &own]);
        command.args(["--initial-cluster", &peers.join(","), "--unsafe-no-fsync"]);
        let log = self.folder.join(format!("etcd-{member}.log"));
        self.members[member].process = Some(Process::start(&mut command, &log)?);
        Ok(())
    }

    fn await_service(&self, member: usize) -> Result<()> {
        let url = format!("{}/health", self.client_url(member));
        until("etcd's service", Duration::from_mins(1), || {
            let health = get(&url)?;
            ensure!(health.contains("true"), "it says {health}");
            Ok(())
        })
    }

    fn client_url(&self, member: usize) -> String {
        format!("http://127.0.0.1:{}", self.members[member].port)
    }

    /// Asks a member that runs, again while there is no leader.
    fn ask(&self, ask: impl Fn(&str) -> Result<String>) -> Result<String> {
        until("a write to etcd", Duration::from_mins(1), || {
            let alive = self.members.iter().position(|member| member.process.is_some());
            ask(&self.client_url(alive.context("no member runs")?))
        })
    }

    fn key(&self, key: &str) -> String {
        match self.api {
            Api::V2 => format!("/v2/keys/{PATH}/{key}"),
            Api::V3 => format!("{PATH}/{key}"),
        }
    }

    fn etcdctl(member: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", member]).args(arguments);
        run(&mut command)
    }
}

impl Store for Etcd {
    fn url(&self) -> String {
        let members = self.members.iter().map(|member| format!("127.0.0.1:{}", member.port));
        format!("etcd://{}/{PATH}", members.collect::<Vec<_>>().join(","))
    }

    fn options(&self) -> &'static str {
        match self.api {
            Api::V2 => "",
            Api::V3 => ", etcd_api: v3",
        }
    }

    fn port(&self, member: usize) -> u16 {
        self.members[member].port
    }

    fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let key = self.key(key);
        self.ask(|member| match self.api {
            Api::V2 => send("PUT", &format!("{member}{key}?value={value}")),
            Api::V3 => Self::etcdctl(member, &["put", &key, value]),
        })
        .map(drop)
    }

    fn put_for_a_moment(&mut self, key: &str, value: &str) -> Result<()> {
        let key = self.key(key);
        self.ask(|member| match self.api {
            Api::V2 => send("PUT", &format!("{member}{key}?value={value}&ttl={MOMENT}")),
            Api::V3 => {
                // `lease 694d… granted with TTL(3s)`
                let granted = Self::etcdctl(member, &["lease", "grant", MOMENT])?;
                let lease = granted.split_whitespace().nth(1).context("no lease")?;
                Self::etcdctl(member, &["put", "--lease", lease, &key, value])
            }
        })
        .map(drop)
    }

    fn remove(&mut self, key: &str) -> Result<()> {
        let key = self.key(key);
        self.ask(|member| match self.api {
            Api::V2 => send("DELETE", &format!("{member}{key}")),
            Api::V3 => Self::etcdctl(member, &["del", &key]),
        })
        .map(drop)
    }

    fn kill(&mut self, member: usize) -> Result<()> {
        self.members[member].process.take().map_or(Ok(()), Process::kill)
    }

    fn start(&mut self, member: usize) -> Result<()> {
        self.spawn(member)?;
        // Alone among dead ones it cannot serve yet.
        let alive = self.members.iter().filter(|member| member.process.is_some()).count();
        if 2 * alive > self.members.len() { self.await_service(member) } else { Ok(()) }
    }
}

/// A request without body.
fn send(method: &str, url: &str) -> Result<String> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
    let answer = match method {
        "PUT" => agent.put(url).send_empty(),
        _ => agent.delete(url).call(),
    };
    Ok(answer.with_context(|| url.to_owned())?.body_mut().read_to_string()?)
}
