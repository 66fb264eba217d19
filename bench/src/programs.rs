//! The programs that are measured, each with a web server on a loopback port.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::process::Process;

/// A user, its password, and the bcrypt hash of it, of cost 10 as `htpasswd -B` makes it.
pub const USER: &str = "reader:correct horse";
pub const HASH: &str = "$2b$10$d83XTtx3Ic9GGkQEvigf4uuj24I5B23vtDdRI4AuXHT3Jo1/UJETG";

/// Swarmscout or the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Swarmscout,
    Prometheus,
}

/// One of them, running.
#[derive(Debug)]
pub struct Running {
    pub program: Program,
    pub process: Process,
    pub url: String,
    /// Its configuration.
    pub config: PathBuf,
    pub started: Instant,
}

impl Program {
    /// Whether it can be started here.
    pub fn is_there(self) -> bool {
        Command::new(self.path()).arg("--version").output().is_ok()
    }

    /// A command of it.
    pub fn command(self) -> Command {
        Command::new(self.path())
    }

    /// The size of its binary, in bytes.
    pub fn size(self) -> Result<u64> {
        let path = self.path();
        Ok(fs::metadata(&path).with_context(|| path.display().to_string())?.len())
    }

    /// Starts it in `folder` with this configuration file.
    pub fn start(self, folder: &Path, config: &str) -> Result<Running> {
        self.start_with(folder, config, &[])
    }

    /// As [`Self::start`], with more flags.
    pub fn start_with(self, folder: &Path, config: &str, flags: &[&str]) -> Result<Running> {
        self.run(Command::new(self.path()), folder, config, flags)
    }

    /// As [`Self::start_with`], where the allocator gives back at once what is freed: memory is
    /// what is in use.
    pub fn start_frugal(self, folder: &Path, config: &str, flags: &[&str]) -> Result<Running> {
        let mut command = Command::new(self.path());
        command.env("MIMALLOC_PURGE_DELAY", "0");
        self.run(command, folder, config, flags)
    }

    /// As [`Self::start`], where `/etc/resolv.conf` is this file: in a mount namespace of its own,
    /// which needs root.
    pub fn start_with_resolv_conf(
        self,
        folder: &Path,
        config: &str,
        resolv_conf: &Path,
    ) -> Result<Running> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c"]);
        command.arg(r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#);
        command.arg("sh").arg(resolv_conf).arg(self.path());
        self.run(command, folder, config, &[])
    }

    fn run(
        self,
        mut command: Command,
        folder: &Path,
        config: &str,
        flags: &[&str],
    ) -> Result<Running> {
        let file = folder.join("prometheus.yml");
        fs::write(&file, config)?;
        let address = free_address()?;
        command.current_dir(folder);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--web.listen-address={address}"));
        command.args(flags);
        if self == Self::Prometheus {
            command.arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()));
        }
        let started = Instant::now();
        let process = Process::start(&mut command, &folder.join("log"))?;
        let url = format!("http://{address}");
        Ok(Running { program: self, process, url, config: file, started })
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

/// An address of this machine on which no program listens.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Makes certificates in the folder `tls` of this folder: `ca.pem`, `server.pem`, `server-key.pem`.
pub fn certificates(folder: &Path) -> Result<()> {
    let mut command = Program::Swarmscout.command();
    let output = command.args(["tls", "init", "--hosts=127.0.0.1"]).current_dir(folder).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What this measures of ours, and of the peer where there is one.
pub fn both<T>(measure: impl Fn(Program) -> Result<T>) -> Result<(T, Option<T>)> {
    let ours = measure(Program::Swarmscout)?;
    let peer = Program::Prometheus.is_there().then(|| measure(Program::Prometheus)).transpose()?;
    Ok((ours, peer))
}

/// GETs a page; `None` for any status but 200 or while there is no listener.
pub fn get(url: &str) -> Option<Vec<u8>> {
    let mut response = agent().get(url).call().ok().filter(|response| response.status() == 200)?;
    response.body_mut().with_config().limit(4 << 30).read_to_vec().ok()
}

/// Gives a program another configuration, which it takes or refuses as it is good or not.
pub fn reload(running: &Running, config: &[u8], good: bool) -> Result<()> {
    replace(&running.config, config)?;
    let status = agent().post(format!("{}/-/reload", running.url)).send_empty()?.status();
    ensure!(
        status == if good { 200 } else { 500 },
        "a file that is good: {good} is answered {status}"
    );
    Ok(())
}

/// Puts a whole file in the place of another.
pub fn replace(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, content)?;
    Ok(fs::rename(new, file)?)
}

/// Whether a page is there that holds this text.
pub fn shows(url: &str, text: &str) -> bool {
    get(url).is_some_and(|body| body.windows(text.len()).any(|part| part == text.as_bytes()))
}

/// A client that takes every status for an answer.
pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(1)));
    config.http_status_as_error(false).build().into()
}
