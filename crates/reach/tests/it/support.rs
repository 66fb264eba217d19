//! A node with a task, whose process is a folder, and targets on loopback.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use swarmscout_reach::{
    CutOff, Reach, ReachBody, ReachOptions, ReachTarget, Reachable, ReachableTask,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub(crate) const CONTAINER: &str =
    "78e37991ebe3ce50f640047980ca42628a8f017e859c52b4b592b755c7a73f58";
pub(crate) const PID: u32 = 42;

/// A folder that goes with the value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("reach-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and the folders that it lies in.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A node with one task in the host's network.
pub(crate) struct Node {
    pub(crate) folder: Folder,
    pub(crate) reach: Arc<Reach>,
    pub(crate) list: watch::Sender<Arc<Reachable>>,
}

pub(crate) fn task(port: u16, scheme: &str) -> ReachableTask {
    let targets = ["/metrics", "/other"].map(|path| ReachTarget::new(scheme, port, path).unwrap());
    ReachableTask {
        id: "t1".to_owned(),
        name: "web.1".to_owned(),
        container: CONTAINER.to_owned(),
        pid: PID,
        host_network: true,
        targets: targets.into(),
        ..ReachableTask::default()
    }
}

impl Node {
    pub(crate) fn new(task: ReachableTask, change: impl FnOnce(&mut ReachOptions)) -> Self {
        let folder = Folder::new();
        folder.write(&format!("{PID}/cgroup"), &format!("0::/../docker-{CONTAINER}.scope\n"));
        let mut options = ReachOptions::new(HeaderValue::from_static("swarmscout/test"));
        options.procfs = folder.path().join("");
        options.sysfs = folder.path().join("sys");
        change(&mut options);
        let (list, reachable) = watch::channel(Arc::new([task].into_iter().collect()));
        Self { folder, reach: Arc::new(Reach::new(options, reachable)), list }
    }

    /// Lists one task alone.
    pub(crate) fn publish(&self, task: ReachableTask) {
        self.list.send_replace(Arc::new([task].into_iter().collect()));
    }

    /// Fetches `/metrics` of the port.
    pub(crate) async fn get(&self, port: u16) -> Response<ReachBody> {
        self.get_with(&format!("/reach/t1/http/{port}/metrics"), &[]).await
    }

    pub(crate) async fn get_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<ReachBody> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        self.reach.answer(&parts, true).await
    }

    /// The counter of a reason.
    pub(crate) fn count<'a>(counts: impl Iterator<Item = (&'a str, u64)>, reason: &str) -> u64 {
        let mut counts = counts.filter(|(name, _)| *name == reason);
        counts.next().unwrap_or_else(|| panic!("{reason} is not counted")).1
    }
}

/// The reason that stands in an answer of our own; `""` in one of a target.
pub(crate) fn reason<T>(answer: &Response<T>) -> &str {
    answer.headers().get("x-swarmscout-reach-error").map_or("", |it| it.to_str().unwrap())
}

/// All of a body.
pub(crate) async fn read(answer: Response<ReachBody>) -> Result<String, CutOff> {
    let bytes = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A server whose connections a function answers, each with its number from 0 on.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The requests as they came.
    pub(crate) requests: mpsc::Receiver<String>,
    _tasks: JoinSet<()>,
}

impl Target {
    pub(crate) async fn new<F>(answer: impl Fn(Connection, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, requests) = mpsc::channel(1000);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let stream = listener.accept().await.unwrap().0;
                connections.spawn(answer(Connection { stream, seen: seen.clone() }, number));
            }
        });
        Self { address, requests, _tasks: tasks }
    }

    /// One that sends each connection's first request the same bytes, and closes it.
    pub(crate) async fn once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::new(move |mut connection, _| {
            let answer = Arc::clone(&answer);
            async move {
                if connection.request().await.is_some() {
                    connection.send(&answer).await;
                }
            }
        })
        .await
    }

    /// One that answers any number of requests on each connection the same.
    pub(crate) async fn kept(answer: &'static str) -> Self {
        Self::new(move |mut connection, _| async move {
            while connection.request().await.is_some() {
                connection.send(answer.as_bytes()).await;
            }
        })
        .await
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A node whose task listens here.
    pub(crate) fn node(&self, change: impl FnOnce(&mut ReachOptions)) -> Node {
        Node::new(task(self.port(), "http"), change)
    }
}

/// A connection of a client.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    seen: mpsc::Sender<String>,
}

impl Connection {
    /// The header of the next request; `None` if the client closes.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text.push(char::from(self.stream.read_u8().await.ok()?));
        }
        self.seen.send(text.clone()).await.unwrap();
        Some(text)
    }

    /// Whether the client took it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Resolves when the client closes.
    pub(crate) async fn closed(&mut self) {
        let mut byte = [0];
        while self.stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
    }
}
