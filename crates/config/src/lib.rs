//! The configuration file, which is a `prometheus.yml`.
//!
//! ```text
//! bytes ─yaml→ nodes ─decode→ raw: what was written ─check→ Config: what the program needs
//!                                                             └ scrape_config_files: the same again
//! ```
//!
//! `raw` has every key of every section as a flat table, with its type, its default and its position
//! in the file; `check` has the rules between keys. A text that is not YAML is refused at its first
//! error.
//!
//! Only the main file and those of its `scrape_config_files` are read here. The clients that need a
//! secret read its file, when they need it.
//!
//! **Invariant: a file is accepted as a whole, or refused with all its errors**, each with its
//! position. No error and no written configuration shows a secret.
//!
//! It may use `discovery`, for the keys and types of sources, and what is below it.

mod files;
mod prometheus;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use swarmscout_config_decoder::{ConfigError, Errors, Options, Position, Warning};
use swarmscout_config_decoder::{Cx, Findings, HttpKeys, Value as _};
use swarmscout_discovery::JobConfig;
use swarmscout_net::{HttpConfig, Url};

pub use files::{Fingerprint, fingerprint};
use prometheus::check::{self, JobPlaces};
pub use prometheus::reference;
use prometheus::{foreign_keys, raw};

/// How many scalars and collections a file may hold, counting each as often as aliases repeat it. A
/// file of 5 MB has less than half a million.
const MAX_NODES: usize = 2_000_000;

/// A configuration file, checked, with all defaults filled in. No secret shows in its `Debug`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `scrape_configs`, in the order of the file, then those of `scrape_config_files`.
    pub jobs: Vec<ScrapeConfig>,
    /// `remote_write`, in the order of the file.
    pub remote_write: Vec<RemoteWrite>,
    /// The main file, with the defaults of absent keys.
    file: raw::File,
    /// The files of `scrape_config_files`, likewise.
    more: Vec<raw::ScrapeConfigFile>,
    /// What to save of one that the program generated: no secret can be in it.
    to_save: Option<Arc<str>>,
    /// Jobs of such a one that a later version will not have: another job has their targets.
    superseded: Vec<Arc<str>>,
}

/// One of `scrape_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeConfig {
    /// Its part for the target manager.
    pub job: JobConfig,
}

/// One of `remote_write`: checked and kept; nothing is sent by this version.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteWrite {
    /// Its name; empty unless configured.
    pub name: String,
    /// Where it would send.
    pub url: Url,
}

impl Config {
    /// All jobs as the target manager takes them.
    pub fn job_configs(&self) -> Vec<JobConfig> {
        self.jobs.iter().map(|job| job.job.clone()).collect()
    }

    /// The main file as Prometheus' `/status/config` shows it: every default written out, secrets as
    /// `<secret>`, passwords in URLs as `xxxxx`. `scrape_config_files` stands in it as it is; what
    /// those files hold does not. Reading it again gives the same configuration, but for the secrets.
    pub fn to_yaml(&self) -> String {
        self.file.encode().to_yaml()
    }

    /// What to save as a file: the text that the program has for a configuration that it made itself;
    /// else [`Self::to_yaml`].
    pub fn to_save(&self) -> String {
        self.to_save.as_ref().map_or_else(|| self.to_yaml(), ToString::to_string)
    }

    /// Notes that the program made the configuration itself: what to save of it, and those of its jobs
    /// that are not in there, since another job has their targets.
    pub fn made_from(&mut self, to_save: &str, superseded: &[&str]) {
        self.to_save = Some(Arc::from(to_save));
        self.superseded = superseded.iter().map(|name| Arc::from(*name)).collect();
    }

    /// Whether another job has the targets of this one, which is served for its readers only.
    pub fn is_superseded(&self, job: &str) -> bool {
        self.superseded.iter().any(|name| **name == *job)
    }

    /// One job as [`Self::to_yaml`] writes it, or `None` where there is no such job.
    pub fn job_yaml(&self, name: &str) -> Option<String> {
        let more = self.more.iter().flat_map(|file| &file.scrape_configs);
        let mut jobs = self.file.scrape_configs.iter().chain(more).flatten();
        jobs.find(|job| job.job_name == name).map(|job| job.encode().to_yaml())
    }
}

/// A configuration that was read, with its warnings.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// In the order of the files. The program logs them.
    pub warnings: Vec<Warning>,
    /// Every file that was read, the main one first, then those of `scrape_config_files`.
    pub files: Vec<PathBuf>,
}

/// Reads and checks the file at `path`, and the files that its `scrape_config_files` name. Relative
/// paths in a file are joined to its folder.
pub fn load(path: &Path, options: &Options) -> Result<Loaded, Errors> {
    read(&files::read_main(path)?, path, options, true)
}

/// Like [`load`], without the files that `scrape_config_files` names.
pub fn load_main(path: &Path, options: &Options) -> Result<Loaded, Errors> {
    parse(&files::read_main(path)?, path, options)
}

/// Checks the text of a configuration file that is, or would be, at `path`, without the files that
/// its `scrape_config_files` names.
pub fn parse(text: &[u8], path: &Path, options: &Options) -> Result<Loaded, Errors> {
    read(text, path, options, false)
}

/// Reads and checks a file that holds an `http_config` and nothing else, as promtool's
/// `--http.config.file` does.
pub fn load_http_config(path: &Path) -> Result<HttpConfig, Errors> {
    let instead = "write how to connect, as basic_auth or tls_config";
    let (root, _) = files::main_document(&files::read_main(path)?, path, instead)?;
    let mut cx = Cx::new(path, Some(root.clone()), Options::default(), &foreign_keys::ADVICE);
    let mut keys = HttpKeys::default();
    cx.read(&root, &mut keys);
    let http = keys.client(&mut cx);
    let mut findings = Findings::default();
    findings.add(cx);
    Errors::new(findings.errors).map_or(Ok(http), Err)
}

fn read(text: &[u8], path: &Path, options: &Options, all_files: bool) -> Result<Loaded, Errors> {
    let instead = "write \"scrape_configs: []\" if that is meant";
    let (root, more) = files::main_document(text, path, instead)?;
    let mut cx = Cx::new(path, Some(root.clone()), *options, &foreign_keys::ADVICE);
    files::warn_of_more(more, &mut cx);
    let mut file = raw::File::default();
    cx.read(&root, &mut file);
    let mut places = JobPlaces::default();
    let mut config = check::check(file, &mut places, &mut cx);
    let found = if all_files { files::find(&config.file, &mut cx) } else { Vec::new() };
    let mut findings = Findings::default();
    findings.add(cx);
    let (more, jobs) =
        files::read_found(&found, &config.file, *options, &mut places, &mut findings);
    config.more = more;
    config.jobs.extend(jobs);
    if let Some(errors) = Errors::new(findings.errors) {
        return Err(errors);
    }
    let files = [path.to_owned()].into_iter().chain(found).collect();
    Ok(Loaded { config, warnings: findings.warnings, files })
}
