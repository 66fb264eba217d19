//! A server that answers like an Engine for the containers of [`super::cgroups`], and a proxy before
//! a real one. Both count requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

/// The server. It runs as long as this program.
#[derive(Debug)]
pub struct Engine {
    pub socket: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// PID by ID.
    containers: Mutex<BTreeMap<String, u32>>,
    followers: Mutex<Vec<UnixStream>>,
    requests: AtomicU64,
}

impl Engine {
    pub fn start(folder: &Path) -> Result<Self> {
        let socket = folder.join("engine.sock");
        let listener = UnixListener::bind(&socket)?;
        let shared = Arc::<Shared>::default();
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                // A client may close its connection.
                std::thread::spawn(move || drop(server.converse(stream)));
            }
        });
        Ok(Self { socket, shared })
    }

    /// How often it was asked.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Has one more container, and says so.
    pub fn started(&self, id: &str, pid: u32) {
        locked(&self.shared.containers).insert(id.to_owned(), pid);
        self.shared.say(id, "start", "");
    }

    /// Has one less, and says so.
    pub fn removed(&self, id: &str) {
        locked(&self.shared.containers).remove(id);
        self.shared.say(id, "die", r#","exitCode":"137""#);
        self.shared.say(id, "destroy", "");
    }
}

impl Shared {
    fn converse(&self, stream: UnixStream) -> Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line)? != 0 {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let mut header = String::new();
            while stream.read_line(&mut header)? > 2 {
                header.clear();
            }
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            line.clear();
            let path = target.split('?').next().unwrap_or_default();
            let path = path
                .strip_prefix("/v")
                .and_then(|path| path.find('/').map(|at| &path[at..]))
                .unwrap_or(path);
            let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.47\r\nContent-Type: application/json\r\n";
            if path == "/events" {
                let mut client = stream.get_ref().try_clone()?;
                write!(client, "{head}Transfer-Encoding: chunked\r\n\r\n")?;
                locked(&self.followers).push(client);
                continue;
            }
            let answer = match path {
                "/_ping" => Some(String::new()),
                "/info" => Some(r#"{"Name":"bench","ServerVersion":"27.0.0"}"#.to_owned()),
                "/networks" => Some("[]".to_owned()),
                "/containers/json" => Some(self.list()),
                path => path
                    .strip_prefix("/containers/")
                    .and_then(|path| path.strip_suffix("/json"))
                    .and_then(|id| Some(detail(id, *locked(&self.containers).get(id)?))),
            };
            let client = stream.get_mut();
            match answer {
                Some(answer) => {
                    write!(client, "{head}Content-Length: {}\r\n\r\n{answer}", answer.len())?;
                }
                None => write!(
                    client,
                    "HTTP/1.1 404 Not Found\r\nApi-Version: 1.47\r\nContent-Length: 2\r\n\r\n{{}}"
                )?,
            }
        }
        Ok(())
    }

    fn list(&self) -> String {
        let mut list = "[".to_owned();
        for id in locked(&self.containers).keys() {
            let comma = if list.len() > 1 { "," } else { "" };
            let _ = write!(list, r#"{comma}{{"Id":"{id}","State":"running"}}"#);
        }
        list + "]"
    }

    fn say(&self, id: &str, action: &str, more: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"image":"{IMAGE}","name":"{}","com.docker.swarm.service.name":"shop_web"{more}}}}},"time":{},"timeNano":{}}}"#,
            name(id),
            now.as_secs(),
            now.as_nanos(),
        );
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        locked(&self.followers).retain_mut(|client| client.write_all(chunk.as_bytes()).is_ok());
    }
}

/// As Swarm resolves it.
const IMAGE: &str = "registry.example.com/shop/web:1.2.3@sha256:\
                     8d9001d32c6a703d95921a77115050f33dd823d3f1730bd35215dcbecad6dc20";

fn name(id: &str) -> String {
    format!("shop_web.{}.{}", &id[62..], &id[..25])
}

/// As `/containers/<id>/json`, with the labels of a Swarm's task.
fn detail(id: &str, pid: u32) -> String {
    let (task, name) = (&id[..25], name(id));
    format!(
        r#"{{"Id":"{id}","Name":"/{name}","Created":"2026-11-01T10:00:00.5Z","State":{{"Status":"running","Running":true,"Pid":{pid},"ExitCode":0,"OOMKilled":false,"StartedAt":"2026-11-01T10:00:01.5Z","FinishedAt":"0001-01-01T00:00:00Z"}},"HostConfig":{{"NetworkMode":"default"}},"Config":{{"Image":"{IMAGE}","Labels":{{{}}}}}}}"#,
        LABELS
            .map(|(label, value)| {
                format!(r#""{label}":"{}""#, value.replace("TASK", task).replace("NAME", &name))
            })
            .join(",")
    )
}

/// What Swarm gives the container of a stack's task. `TASK` and `NAME` stand for its own.
pub const LABELS: [(&str, &str); 6] = [
    ("com.docker.stack.namespace", "shop"),
    ("com.docker.swarm.node.id", "w1vn38k2v7r5yzn0q8t3fj6xa"),
    ("com.docker.swarm.service.id", "9b3l2xqvw0m4c7t5k8n1d6zhs"),
    ("com.docker.swarm.service.name", "shop_web"),
    ("com.docker.swarm.task.id", "TASK"),
    ("com.docker.swarm.task.name", "NAME"),
];

/// A proxy before a socket, which passes everything on. It runs as long as this program.
#[derive(Debug)]
pub struct Proxy {
    pub socket: PathBuf,
    requests: Arc<AtomicU64>,
}

impl Proxy {
    pub fn before(engine: &Path, socket: PathBuf) -> Result<Self> {
        let listener = UnixListener::bind(&socket)?;
        let (requests, engine) = (Arc::<AtomicU64>::default(), engine.to_owned());
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(engine) = UnixStream::connect(&engine) else { continue };
                let (Ok(to), Ok(back)) = (engine.try_clone(), client.try_clone()) else { continue };
                let seen = Arc::clone(&seen);
                let seen = move |bytes: &[u8]| {
                    seen.fetch_add(count(bytes), Ordering::Relaxed);
                };
                std::thread::spawn(move || pass(client, to, seen));
                std::thread::spawn(move || pass(engine, back, |_| ()));
            }
        });
        Ok(Self { socket, requests })
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Requests that begin in this piece. A client writes the head of a request at once.
fn count(bytes: &[u8]) -> u64 {
    bytes.windows(11).filter(|part| part == b" HTTP/1.1\r\n").count() as u64
}

fn pass(mut from: UnixStream, mut to: UnixStream, seen: impl Fn(&[u8])) {
    let mut room = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut room) {
        seen(&room[..read]);
        if to.write_all(&room[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
