//! The servers and files of the table, and their faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use swarmscout_sim_stores::dns::{Data, DnsServer, Zone};
use swarmscout_sim_stores::zookeeper::ZooKeeper;
use swarmscout_simulator::{Fault, Server};

use super::rows::Spoil;

/// The node of ZooKeeper's that goes wrong, and what it holds.
const ZNODE: (&str, &str) = ("/swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375");

/// The records of a name without a fault.
const GOOD_HOSTS: [u8; 2] = [1, 2];

/// The server or file that answers.
pub(crate) enum Origin {
    File(Folder),
    Server(Server),
    ZooKeeper(ZooKeeper),
    /// This name at the server of all.
    Name(Arc<NameServer>, String),
}

impl Origin {
    /// An ensemble of one, with two nodes and a primary.
    pub(crate) fn zookeeper() -> Self {
        let ensemble = ZooKeeper::start(1).unwrap();
        ensemble.put(ZNODE.0, ZNODE.1);
        ensemble.put("/swarm/docker/swarm/nodes/10.0.0.2:2375", "10.0.0.2:2375");
        ensemble.put("/swarm/docker/swarm/leader", "10.0.0.9:3375");
        ensemble.put("/swarm/docker/swarm/leader/lock", "");
        Self::ZooKeeper(ensemble)
    }

    /// A name with two records.
    pub(crate) fn name(server: &Arc<NameServer>, name: String) -> Self {
        server.zone.set(&name, GOOD_HOSTS.map(service));
        Self::Name(Arc::clone(server), name)
    }

    /// The server, where it speaks HTTP.
    pub(crate) fn server(&self) -> Option<&Server> {
        match self {
            Self::Server(server) => Some(server),
            _ => None,
        }
    }

    /// Its URL, the path of the file, its address or its name.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::File(folder) => folder.file().display().to_string(),
            Self::Server(server) => server.url().to_owned(),
            Self::ZooKeeper(ensemble) => ensemble.addr(0).to_string(),
            Self::Name(_, name) => name.clone(),
        }
    }

    /// From now on this goes wrong.
    pub(crate) fn spoil(&self, spoil: &Spoil) {
        match (self, spoil) {
            (Self::File(folder), Spoil::Path(_, fault)) => folder.spoil(fault),
            (Self::Server(server), Spoil::Refuse) => server.refuse(),
            (Self::Server(server), Spoil::All(fault)) => server.faults().set(fault.clone()),
            (Self::Server(server), Spoil::Path(path, fault)) => {
                server.faults().set_for(path, fault.clone());
            }
            (Self::ZooKeeper(ensemble), Spoil::Refuse) => ensemble.refuse(0),
            (Self::ZooKeeper(ensemble), Spoil::ZooKeeper(fault)) => {
                ensemble.fault(0, Some(fault.clone()));
            }
            (Self::ZooKeeper(ensemble), Spoil::ZNode(data)) => {
                assert!(ensemble.set(ZNODE.0, data));
            }
            (Self::Name(server, name), Spoil::Dns(fault)) => {
                server.server.fault_for(name, fault.clone());
            }
            (Self::Name(server, name), Spoil::Records(records)) => {
                server.zone.set(name, records.iter().cloned());
            }
            (_, spoil) => unreachable!("nothing like it has {spoil:?}"),
        }
    }

    /// Ends the fault.
    pub(crate) fn heal(&self) {
        match self {
            Self::File(folder) => folder.write(folder.content),
            Self::Server(server) => {
                server.faults().clear();
                server.accept().unwrap();
            }
            Self::ZooKeeper(ensemble) => {
                ensemble.fault(0, None);
                ensemble.accept(0).unwrap();
                assert!(ensemble.set(ZNODE.0, ZNODE.1));
            }
            Self::Name(server, name) => {
                server.server.heal_name(name);
                server.zone.set(name, GOOD_HOSTS.map(service));
            }
        }
    }

    /// Replaces what is another at each run.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        match self {
            Self::File(_) => text.replace(&self.place(), "FILE"),
            Self::Server(server) => text.replace(&server.addr().unwrap().to_string(), "HOST"),
            Self::ZooKeeper(_) => text.replace(&self.place(), "HOST"),
            Self::Name(server, name) => text
                .replace(name.trim_end_matches('.'), "NAME")
                .replace(&server.as_written(), "HOST"),
        }
    }
}

/// A record of a service.
pub(crate) fn service(host: u8) -> Data {
    Data::Srv { priority: 1, weight: 1, port: 9100, target: format!("host-{host}.test.") }
}

/// A DNS server, and the `resolv.conf` that names it.
pub(crate) struct NameServer {
    server: DnsServer,
    zone: Zone,
    folder: Folder,
}

impl NameServer {
    pub(crate) fn start() -> Self {
        let zone = Zone::default();
        let server = DnsServer::start(&zone).unwrap();
        let folder = Folder::new("resolv.conf", "");
        let names = Self { server, zone, folder };
        let conf = format!("nameserver {}\noptions timeout:1 attempts:1\n", names.as_written());
        names.folder.write(conf);
        names
    }

    /// Its address as `resolv.conf` has it: only brackets make room for a port.
    fn as_written(&self) -> String {
        format!("[{}]:{}", self.server.addr().ip(), self.server.addr().port())
    }

    pub(crate) fn resolv_conf(&self) -> PathBuf {
        self.folder.file()
    }
}

/// A folder with one file. It goes with its owner.
pub(crate) struct Folder {
    path: PathBuf,
    name: &'static str,
    /// The content of the file without a fault.
    content: &'static str,
}

impl Folder {
    pub(crate) fn new(name: &'static str, content: &'static str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = format!("swarmscout-faults-{}-{number}", std::process::id());
        let folder = Self { path: std::env::temp_dir().join(path), name, content };
        fs::create_dir(&folder.path).unwrap();
        folder.write(content);
        folder
    }

    fn file(&self) -> PathBuf {
        self.path.join(self.name)
    }

    /// Replaces the file as a whole.
    fn write(&self, content: impl AsRef<[u8]>) {
        self.replace(|path| fs::write(path, content).unwrap());
    }

    fn replace(&self, write: impl FnOnce(&Path)) {
        let new = self.path.join("new");
        write(&new);
        fs::rename(new, self.file()).unwrap();
    }

    fn spoil(&self, fault: &Fault) {
        match fault {
            Fault::Body(content) => self.write(content),
            Fault::CutJson => self.write(&self.content[..self.content.len() / 2]),
            // A hole of that size.
            Fault::Huge(length) => {
                self.replace(|path| fs::File::create(path).unwrap().set_len(*length).unwrap());
            }
            fault => unreachable!("no file has {fault:?}"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
