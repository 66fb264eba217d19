//! Where the configuration comes from, at the start and at each reload.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use swarmscout_config::{self as config, Fingerprint, Loaded};
use swarmscout_net::lane;

use crate::auto_reload::AutoReload;
use crate::detect::{self, Environment, Found};

/// How long a file may take to be read and checked: it may lie on a network that hangs.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum ConfigSource {
    /// A file, read each time.
    File {
        /// As it was named.
        path: PathBuf,
        /// How it is to be read.
        options: config::Options,
    },
    /// What runs on the local Docker Engine, asked each time.
    Engine(Environment),
    /// A text that the program holds itself.
    Text {
        /// How it is called in messages.
        name: &'static str,
        /// YAML.
        yaml: Arc<str>,
    },
}

/// An attempt to load a configuration.
#[derive(Debug)]
pub struct Attempt {
    /// The configuration, or one line for each fault.
    pub loaded: Result<Loaded, String>,
    /// What its files held just before they were read; `None` where it has no files, or where
    /// reading them took too long.
    pub fingerprint: Option<Fingerprint>,
}

impl ConfigSource {
    /// Reads and checks all of it.
    pub async fn load(&self) -> Attempt {
        let loaded = match self {
            Self::File { path, options } => return load_file(path, *options).await,
            Self::Engine(environment) => detect::detect(environment).await.and_then(|found| {
                let Found { what, host, yaml, to_save, deprecated } = found;
                tracing::info!(
                    found = what,
                    host,
                    "No configuration file: using the local Docker Engine"
                );
                if !deprecated.is_empty() {
                    tracing::warn!(
                        jobs = deprecated.join(", "),
                        instead = detect::SUCCESSOR,
                        "Built-in jobs are deprecated: let Prometheus read the new job instead"
                    );
                }
                parse(ENGINE, &yaml, &to_save, &deprecated)
            }),
            Self::Text { name, yaml } => parse(name, yaml, yaml, &[]),
        };
        Attempt { loaded, fingerprint: None }
    }

    /// What checks its files for changes. `None`, and a warning, where it has none.
    pub fn auto_reload(&self, interval: Duration) -> Option<AutoReload> {
        if let Self::File { path, .. } = self {
            return Some(AutoReload::new(path.clone(), interval));
        }
        tracing::warn!(from = %self, "--config.auto-reload has no effect: there is no \
            configuration file; SIGHUP asks the Engine again");
        None
    }
}

/// What to do where there is no such file.
const NO_FILE: &str = ": give its path by --config.file=, or start without that flag to find all that \
    the local Docker Engine runs";

async fn load_file(path: &Path, options: config::Options) -> Attempt {
    let path = path.to_owned();
    let lane = path.clone();
    let read = lane::read(&lane, LOAD_TIMEOUT, move || {
        // In this order: a change between the two is seen once more, not missed.
        let fingerprint = config::fingerprint(&path);
        let loaded = config::load(&path, &options).map_err(|errors| {
            let found = std::fs::symlink_metadata(&path);
            (errors, found.is_err_and(|error| error.kind() == ErrorKind::NotFound))
        });
        (fingerprint, loaded)
    });
    let (fingerprint, loaded) = match read.await {
        Ok((fingerprint, Ok(loaded))) => (Some(fingerprint), Ok(loaded)),
        Ok((fingerprint, Err((errors, is_missing)))) => {
            let advice = if is_missing { NO_FILE } else { "" };
            (Some(fingerprint), Err(format!("{errors}{advice}")))
        }
        Err(stuck) => (None, Err(stuck.to_string())),
    };
    Attempt { loaded, fingerprint }
}

/// How a configuration made for the local Engine is called in messages.
const ENGINE: &str = "the local Docker Engine";

/// Checks a text that the program made itself. Another of its jobs has the targets of `superseded`, which
/// are not in what is to be saved.
fn parse(name: &str, yaml: &str, to_save: &str, superseded: &[&str]) -> Result<Loaded, String> {
    let options = config::Options { agent: false, env: |_| None };
    let loaded = config::parse(yaml.as_bytes(), name.as_ref(), &options);
    let mut loaded = loaded.map_err(|errors| errors.to_string())?;
    loaded.config.made_from(to_save, superseded);
    Ok(loaded)
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => path.display().fmt(f),
            Self::Engine(_) => f.write_str(ENGINE),
            Self::Text { name, .. } => f.write_str(name),
        }
    }
}
