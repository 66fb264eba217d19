//! What is asked, and who answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use serde_json::Value;
use swarmscout_simulator::engine::Recording;
use swarmscout_simulator::{Fault, Listen, Request, Response, Server, classic};

use crate::rows::Spoil;

/// One column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    File,
    Http,
    Masters,
    Nodes,
    Services,
    Tasks,
    /// Tasks, where it is not their list that goes wrong but one that explains them.
    OtherLists,
    Docker,
}

/// The good answer of file and HTTP SD.
pub(crate) const GROUPS: &str = r#"[{"targets":["10.0.0.1:9100","10.0.0.2:9100"],"labels":{"zone":"a","size":"1"}},{"targets":["10.0.0.3:9100"],"labels":{"zone":"b"}}]"#;

/// The services that are left of the recorded Swarm, with their tasks: one in ingress mode on a
/// network, one in host mode, one with a port that Swarm chose.
const SERVICES: [&str; 3] = ["web", "agent", "random-port"];

/// What engine and master answer while all is well, by path.
static ANSWERS: LazyLock<BTreeMap<&str, Bytes>> = LazyLock::new(|| {
    let recording = |path| Recording::THREE_NODES.body(path).unwrap();
    let list = |path| serde_json::from_slice::<Vec<Value>>(recording(path)).unwrap();
    let (mut services, mut tasks) = (list("/services"), list("/tasks"));
    services.retain(|service| SERVICES.iter().any(|name| service["Spec"]["Name"] == *name));
    tasks.retain(|task| services.iter().any(|service| task["ServiceID"] == service["ID"]));
    let text = |list: &[Value]| Bytes::from(serde_json::to_vec(list).unwrap());
    let (_, _, info) =
        classic::RECORDED.iter().find(|(version, case, _)| (*version, *case) == MASTER).unwrap();
    BTreeMap::from([
        ("/services", text(&services)),
        ("/tasks", text(&tasks)),
        ("/nodes", Bytes::from_static(recording("/nodes"))),
        ("/networks", Bytes::from_static(recording("/networks"))),
        ("/containers/json", Bytes::from_static(recording("/containers/json"))),
        ("/info", Bytes::from_static(info)),
        ("/sd", Bytes::from_static(GROUPS.as_bytes())),
    ])
});

/// The recording that the master answers with.
const MASTER: (&str, &str) = ("1.2.9", "healthy");

/// What a server answers while all is well.
fn answer(request: &Request) -> Response {
    match request.path.trim_start_matches("/v1.41") {
        "/_ping" => Response::new("text/plain", "OK").with("Api-Version", "1.41"),
        path => Response::json(ANSWERS[path].clone()),
    }
}

impl Source {
    pub(crate) const ALL: [Self; 8] = [
        Self::File,
        Self::Http,
        Self::Masters,
        Self::Nodes,
        Self::Services,
        Self::Tasks,
        Self::OtherLists,
        Self::Docker,
    ];

    /// Head of its column.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Http => "HTTP",
            Self::Masters => "classic masters",
            Self::Nodes => "nodes",
            Self::Services => "services",
            Self::Tasks => "tasks",
            Self::OtherLists => "networks of tasks",
            Self::Docker => "docker",
        }
    }

    /// Whether it is asked over HTTP.
    pub(crate) const fn is_server(self) -> bool {
        !matches!(self, Self::File)
    }

    /// How the paths end at which the list is that goes wrong.
    pub(crate) const fn list(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Http => "/sd",
            Self::Masters => "/info",
            Self::Nodes => "/nodes",
            Self::Services => "/services",
            Self::Tasks => "/tasks",
            Self::OtherLists => "/networks",
            Self::Docker => "/containers/json",
        }
    }

    /// What is answered at a path while all is well.
    pub(crate) fn answer(path: &str) -> &'static [u8] {
        if path.is_empty() { GROUPS.as_bytes() } else { &ANSWERS[path] }
    }

    /// Starts who answers.
    pub(crate) fn start(self) -> Origin {
        match self {
            Self::File => Origin::File(Folder::new()),
            _ => Origin::Server(Server::start(Listen::Tcp, answer).unwrap()),
        }
    }

    /// Its section of a job.
    pub(crate) fn yaml(self, origin: &Origin) -> String {
        let place = origin.place();
        let (section, keys) = match self {
            Self::File => ("file", format!("files: ['{place}']")),
            Self::Http => ("http", format!("url: '{place}/sd'")),
            Self::Masters => ("swarm", format!("masters: ['{place}']")),
            Self::Nodes => ("dockerswarm", format!("host: '{place}', role: nodes")),
            Self::Services => ("dockerswarm", format!("host: '{place}', role: services")),
            Self::Tasks | Self::OtherLists => {
                ("dockerswarm", format!("host: '{place}', role: tasks"))
            }
            Self::Docker => ("docker", format!("host: '{place}'")),
        };
        format!("{section}_sd_configs: [{{{keys}, refresh_interval: 300ms}}]")
    }
}

/// Who answers, and what goes wrong there.
pub(crate) enum Origin {
    File(Folder),
    Server(Server),
}

impl Origin {
    pub(crate) fn server(&self) -> Option<&Server> {
        match self {
            Self::File(_) => None,
            Self::Server(server) => Some(server),
        }
    }

    /// Its URL, or the path of the file.
    fn place(&self) -> String {
        match self {
            Self::File(folder) => folder.file().display().to_string(),
            Self::Server(server) => server.url().to_owned(),
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
            (Self::File(_), spoil) => unreachable!("no file has {spoil:?}"),
        }
    }

    /// From now on all is well.
    pub(crate) fn heal(&self) {
        match self {
            Self::File(folder) => folder.write(GROUPS.as_bytes()),
            Self::Server(server) => {
                server.faults().clear();
                server.accept().unwrap();
            }
        }
    }

    /// Replaces what is another at each run.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        match self.server() {
            Some(server) => text.replace(&server.addr().unwrap().to_string(), "HOST"),
            None => text.replace(&self.place(), "FILE"),
        }
    }
}

/// A folder with one file of targets. It goes with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("swarmscout-faults-{}-{number}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir(&folder.0).unwrap();
        folder.write(GROUPS.as_bytes());
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.join("targets.json")
    }

    /// Replaces the file as a whole.
    fn write(&self, content: &[u8]) {
        self.replace(|path| fs::write(path, content).unwrap());
    }

    fn replace(&self, write: impl FnOnce(&Path)) {
        let new = self.0.join("new");
        write(&new);
        fs::rename(new, self.file()).unwrap();
    }

    fn spoil(&self, fault: &Fault) {
        match fault {
            Fault::Body(content) => self.write(content),
            Fault::CutJson => self.write(&GROUPS.as_bytes()[..GROUPS.len() / 2]),
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
        let _ = fs::remove_dir_all(&self.0);
    }
}
