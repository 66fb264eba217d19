//! Debian's `ZooKeeper`, written to by its own command line client.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{LEADER, Store};
use crate::process::Process;
use crate::program::free_port;
use crate::until;

const PATH: &str = "/swarm";

/// Milliseconds that a session outlives its client.
const SESSION_TIMEOUT: &str = "4000";

/// An ensemble.
#[derive(Debug)]
pub struct ZooKeeper {
    folder: PathBuf,
    members: Vec<Member>,
    client: Option<Client>,
    /// Clients so far.
    clients: usize,
}

#[derive(Debug)]
struct Member {
    port: u16,
    process: Option<Process>,
}

/// A session of zkCli.
#[derive(Debug)]
struct Client {
    process: Process,
    /// Commands so far.
    commands: usize,
}

impl ZooKeeper {
    /// Starts this many members, with their files in `folder`.
    pub fn up(folder: &Path, members: usize) -> Result<Self> {
        let mut peers = String::new();
        if members > 1 {
            for member in 0..members {
                let (quorum, election) = (free_port()?, free_port()?);
                writeln!(peers, "server.{}=127.0.0.1:{quorum}:{election}", member + 1)?;
            }
        }
        let mut ensemble =
            Self { folder: folder.to_owned(), members: Vec::new(), client: None, clients: 0 };
        for member in 0..members {
            let port = free_port()?;
            let data = ensemble.data(member);
            fs::create_dir_all(&data)?;
            fs::write(data.join("myid"), format!("{}\n", member + 1))?;
            let configuration = format!(
                "tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir={}\nclientPort={port}\n\
                 clientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
                 4lw.commands.whitelist=srvr\n{peers}",
                data.display()
            );
            fs::write(ensemble.configuration(member), configuration)?;
            ensemble.members.push(Member { port, process: None });
            ensemble.spawn(member)?;
        }
        for member in 0..members {
            ensemble.await_service(member)?;
        }
        Ok(ensemble)
    }

    fn data(&self, member: usize) -> PathBuf {
        self.folder.join(format!("zookeeper-{member}"))
    }

    fn configuration(&self, member: usize) -> PathBuf {
        self.folder.join(format!("zookeeper-{member}.cfg"))
    }

    fn spawn(&mut self, member: usize) -> Result<()> {
        let mut command = java("org.apache.zookeeper.server.quorum.QuorumPeerMain");
        command.arg(self.configuration(member));
        let log = self.folder.join(format!("zookeeper-{member}.log"));
        self.members[member].process = Some(Process::start(&mut command, &log)?);
        Ok(())
    }

    fn await_service(&self, member: usize) -> Result<()> {
        until("ZooKeeper's service", Duration::from_mins(1), || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.members[member].port))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"srvr")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            ensure!(answer.contains("Mode: "), "it says {answer:?}");
            Ok(())
        })
    }

    fn connect(&mut self) -> Result<Client> {
        self.clients += 1;
        let mut command = java("org.apache.zookeeper.ZooKeeperMain");
        command.args(["-server", &self.addresses(), "-timeout", SESSION_TIMEOUT]);
        let log = self.folder.join(format!("zkcli-{}.log", self.clients));
        let process = Process::start_with_input(&mut command, &log)?;
        Ok(Client { process, commands: 0 })
    }

    fn addresses(&self) -> String {
        let members = self.members.iter().map(|member| format!("127.0.0.1:{}", member.port));
        members.collect::<Vec<_>>().join(",")
    }

    /// Runs commands in the session that lasts.
    fn run(&mut self, commands: &[String]) -> Result<()> {
        until("a write to ZooKeeper", Duration::from_mins(2), || {
            let mut client = match self.client.take() {
                Some(client) => client,
                None => self.connect()?,
            };
            client.run(commands)?;
            self.client = Some(client);
            Ok(())
        })
    }
}

impl Store for ZooKeeper {
    fn url(&self) -> String {
        format!("zk://{}{PATH}", self.addresses())
    }

    fn port(&self, member: usize) -> u16 {
        self.members[member].port
    }

    fn put(&mut self, key: &str, value: &str) -> Result<()> {
        self.run(&writes(key, value, ""))
    }

    fn put_for_a_moment(&mut self, key: &str, value: &str) -> Result<()> {
        let mut client = self.connect()?;
        client.run(&writes(key, value, "-e"))?;
        // The server waits for it until the session times out.
        client.process.kill()
    }

    fn remove(&mut self, key: &str) -> Result<()> {
        self.run(&[format!("delete {PATH}/{key}")])
    }

    /// With the lock that the primary holds, below its key.
    fn elect(&mut self, address: &str) -> Result<()> {
        let mut commands = writes(LEADER, address, "");
        commands.push(format!("create -e {PATH}/{LEADER}/_c_1-lock-0000000000"));
        self.run(&commands)
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

impl Client {
    /// Runs commands and waits until all of them are done. That some fail (what exists is made
    /// again) does no harm, unless it is for want of a server.
    fn run(&mut self, commands: &[String]) -> Result<()> {
        let before = self.process.printed().len();
        self.commands += 1;
        let last = format!("/none-{}", self.commands);
        for command in commands {
            self.process.write(command)?;
        }
        self.process.write(&format!("get {last}"))?;
        let end = format!("Node does not exist: {last}");
        let printed = until("the end of zkCli's commands", Duration::from_secs(30), || {
            let printed = self.process.printed();
            ensure!(
                ["ConnectionLoss", &end].iter().any(|end| printed[before..].contains(end)),
                "it printed {printed}"
            );
            Ok(printed)
        })?;
        ensure!(!printed[before..].contains("ConnectionLoss"), "it printed {printed}");
        Ok(())
    }
}

/// As Swarm writes: what is above and the node itself are made empty, then the node is written.
fn writes(key: &str, value: &str, flag: &str) -> Vec<String> {
    let key = format!("{PATH}/{key}");
    let above = key.match_indices('/').skip(1).map(|(end, _)| format!("create {}", &key[..end]));
    let mut commands: Vec<_> = above.collect();
    commands.push(format!("create {flag} {key}"));
    commands.push(format!("set {key} {value}"));
    commands
}

/// A class of Debian's package `zookeeper`, whose jar names all the others.
fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.args(["-cp", "/usr/share/java/zookeeper.jar", class]);
    command
}
