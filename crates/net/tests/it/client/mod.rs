//! The client over real sockets, against servers that misbehave on demand.

mod auth;
mod bodies;
mod connections;
mod deadlines;
mod headers;
mod hung_files;
mod oauth2;
mod post;
mod proxy;
mod redirects;
mod server;
mod tls;
mod unix;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use swarmscout_net::{Client, ClientOptions, Error, HttpConfig, Request, Response};

/// Much longer than any test takes.
const AMPLE: Duration = Duration::from_secs(20);

/// A client with `config`.
fn client(config: &HttpConfig) -> Client {
    try_client(config).unwrap()
}

fn try_client(config: &HttpConfig) -> Result<Client, Error> {
    Client::new(config, ClientOptions::new("Swarmscout/test", AMPLE))
}

fn request(url: &str) -> Request {
    Request::new(url).unwrap().timeout(AMPLE)
}

/// Sends a GET with the default configuration.
async fn get(url: &str) -> Result<Response, Error> {
    client(&HttpConfig::default()).get(request(url)).await
}

/// The whole body as text.
async fn text(response: Response) -> String {
    String::from_utf8(response.body.bytes().await.unwrap().to_vec()).unwrap()
}

/// Lets the connection of an answer that was read to its end go back to the pool.
async fn return_to_pool() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "swarmscout-net-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// `text` with this folder's path replaced by `DIR`.
    fn hide(&self, text: &str) -> String {
        text.replace(Path::to_str(&self.0).unwrap(), "DIR")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
