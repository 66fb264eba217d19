//! The programs that are measured, each with a web server on a loopback port.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process::Process;

/// Swarmscout or the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Swarmscout,
    Prometheus,
}

/// One of them, running.
#[derive(Debug)]
pub struct Running {
    pub process: Process,
    pub url: String,
    pub started: Instant,
}

impl Program {
    /// Whether it can be started here.
    pub fn is_there(self) -> bool {
        Command::new(self.path()).arg("--version").output().is_ok()
    }

    /// The size of its binary, in bytes.
    pub fn size(self) -> Result<u64> {
        let path = self.path();
        Ok(fs::metadata(&path).with_context(|| path.display().to_string())?.len())
    }

    /// Starts it in `folder` with this configuration file.
    pub fn start(self, folder: &Path, config: &str) -> Result<Running> {
        let file = folder.join("prometheus.yml");
        fs::write(&file, config)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(self.path());
        command.current_dir(folder);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        if self == Self::Prometheus {
            command.arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()));
        }
        let started = Instant::now();
        let process = Process::start(&mut command, &folder.join("log"))?;
        Ok(Running { process, url: format!("http://127.0.0.1:{port}"), started })
    }

    fn path(self) -> PathBuf {
        let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/swarmscout");
        match self {
            Self::Swarmscout => std::env::var_os("SWARMSCOUT").map_or_else(built, PathBuf::from),
            Self::Prometheus => {
                std::env::var_os("PROMETHEUS").map_or_else(|| "prometheus".into(), PathBuf::from)
            }
        }
    }
}

/// GETs a page; `None` for any status but 200 or while nobody listens.
pub fn get(url: &str) -> Option<Vec<u8>> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(1))).build().into();
    let mut response = agent.get(url).call().ok()?;
    response.body_mut().with_config().limit(4 << 30).read_to_vec().ok()
}
