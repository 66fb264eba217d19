//! The configuration file: a `prometheus.yml`, read as it is.
//!
//! ```text
//! bytes ─yaml→ nodes ─decode→ raw: what was written ─check→ Config: what the program needs
//! ```
//!
//! Two types with one step between. `raw` has every key of every section as a flat table, with
//! its type, its default and its place in the file; `check` holds the rules between keys. All
//! errors of a file are shown at once, each with its place; only what is no YAML ends at the first.
//!
//! Nothing here reads anything but the text that it is given: secret files are read when they are
//! needed, by whoever needs them.

mod check;
mod decode;
mod error;
mod out;
mod raw;
mod reference;
mod suggest;
mod yaml;

use std::io::Read as _;
use std::path::Path;

use swarmscout_discovery::JobConfig;
use swarmscout_net::Url;

use decode::{Cx, Value as _};
pub use error::{ConfigError, Errors, Position, Warning};
pub use reference::reference;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// A configuration file, checked, with all defaults filled in. No secret shows in its `Debug`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `scrape_configs`, in the order of the file.
    pub jobs: Vec<ScrapeConfig>,
    /// `remote_write`, in the order of the file.
    pub remote_write: Vec<RemoteWrite>,
    /// What was written, with what is absent filled in.
    file: raw::File,
}

/// One of `scrape_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeConfig {
    /// What the target manager needs of it.
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

    /// The file as Prometheus' `/status/config` shows it: every default written out, secrets as
    /// `<secret>`, passwords in URLs as `xxxxx`. Reading it again gives the same configuration, but
    /// for the secrets.
    pub fn to_yaml(&self) -> String {
        self.file.encode().to_yaml()
    }

    /// One job as [`Self::to_yaml`] writes it, or `None` where there is no such job.
    pub fn job_yaml(&self, name: &str) -> Option<String> {
        let mut jobs = self.file.scrape_configs.iter().flatten();
        jobs.find(|job| job.job_name == name).map(|job| job.encode().to_yaml())
    }
}

/// A configuration that was read, and what is doubtful in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// In the order of the file. The program logs them.
    pub warnings: Vec<Warning>,
}

/// How a file is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// `--agent`: sections that only a Prometheus server has are refused instead of warned of.
    pub agent: bool,
    /// Looks up an environment variable for `external_labels`.
    pub env: fn(&str) -> Option<String>,
}

/// Not an agent, in the environment of this process.
impl Default for Options {
    fn default() -> Self {
        Self { agent: false, env: |name| std::env::var(name).ok() }
    }
}

/// Reads and checks the file at `path`. Relative paths in it are joined to its folder.
pub fn load(path: &Path, options: &Options) -> Result<Loaded, Errors> {
    let unreadable = |reason: String| whole_file(path, None, &reason);
    let file = std::fs::File::open(path).map_err(|error| unreadable(unreadable_text(&error)))?;
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|error| unreadable(unreadable_text(&error)))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unreadable(format!("the file is larger than {} MiB", MAX_BYTES >> 20)));
    }
    parse(&text, path, options)
}

/// Checks the text of a configuration file that is, or would be, at `path`.
pub fn parse(text: &[u8], path: &Path, options: &Options) -> Result<Loaded, Errors> {
    let root = yaml::parse(text).map_err(|error| whole_file(path, error.at, &error.message))?;
    let mut cx = Cx::new(path, root.clone());
    let mut file = raw::File::default();
    if let Some(root) = root {
        cx.read(&root, &mut file);
    }
    let config = check::check(file, options, &mut cx);
    if let Some(errors) = Errors::new(cx.errors) {
        return Err(errors);
    }
    cx.warnings.sort_by_key(|warning| warning.position);
    Ok(Loaded { config, warnings: cx.warnings })
}

fn unreadable_text(error: &std::io::Error) -> String {
    format!("cannot read the configuration file: {error}")
}

fn whole_file(file: &Path, position: Option<Position>, message: &str) -> Errors {
    let (path, message) = (String::new(), message.to_owned());
    ConfigError { file: file.to_owned(), position, path, message }.into()
}
