//! What the server reads, by the part of the program that it comes from.

use std::sync::Arc;
use std::time::SystemTime;

use swarmscout_config::Config;
use swarmscout_node_tasks::Board;
use swarmscout_publish::file_sd::FileStatus;
use swarmscout_publish::list::Cache;
use swarmscout_state::Exporter;
use swarmscout_web_config::DoorsHandle;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::view::Discovery;
use crate::{BuildInfo, Clock, Options};

/// Everything that the server reads.
#[derive(Clone, Debug)]
pub struct Context {
    /// What was found.
    pub discovery: Discovery,
    /// What is published of it.
    pub outputs: Outputs,
    /// The program itself.
    pub program: Program,
    /// Flags that the server obeys.
    pub options: Arc<Options>,
    /// Where the time comes from.
    pub clock: Clock,
}

/// The state of the outputs.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The lists of HTTP SD.
    pub lists: Arc<Cache>,
    /// State metrics; `None` if they are off.
    pub state_metrics: Option<Arc<Exporter>>,
    /// What the parts on nodes ask for.
    pub nodes: Arc<Board>,
    /// The files of file SD; empty without file SD.
    pub files: watch::Receiver<Arc<[FileStatus]>>,
}

/// The state of the program.
#[derive(Clone, Debug)]
pub struct Program {
    /// The configuration in use.
    pub config: watch::Receiver<Arc<Config>>,
    /// The result of the last reload.
    pub reload: watch::Receiver<ReloadStatus>,
    /// Whether requests for data are answered.
    pub ready: watch::Receiver<Readiness>,
    /// Where `/-/reload` and `/-/quit` go. Used only with [`Options::enable_lifecycle`].
    pub lifecycle: mpsc::Sender<LifecycleCommand>,
    /// The web configurations of the listeners, each once.
    pub doors: Arc<[DoorsHandle]>,
    /// All flags with their values as text, without the leading dashes: `config.file`.
    pub flags: Arc<[(String, String)]>,
    /// Version and build.
    pub build: BuildInfo,
    /// When the process started.
    pub started: SystemTime,
    /// The runtimes whose tasks are counted.
    pub runtimes: Arc<[Handle]>,
    /// The number of log lines that were dropped because stderr was not read.
    pub log_lines_dropped: fn() -> u64,
}

/// The result of the last load of the configuration.
#[derive(Clone, Debug)]
pub struct ReloadStatus {
    /// Why the last load failed; `None` if it succeeded. It holds no secret.
    pub error: Option<Arc<str>>,
    /// When the configuration in use was loaded.
    pub loaded: SystemTime,
    /// The warnings about the configuration in use.
    pub warnings: Arc<[String]>,
}

/// A request to the program.
#[derive(Debug)]
pub enum LifecycleCommand {
    /// Load the configuration file again. The answer says why it could not be used.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Shut down.
    Quit,
}

/// The program's stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The configuration is not loaded yet.
    Starting,
    /// Running.
    Ready,
    /// Shutting down.
    Stopping,
}
