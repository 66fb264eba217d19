//! Where the configuration comes from, at the start and at each reload.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::{self, Loaded};
use crate::detect::{self, Environment, Found};

/// How long a file may take to be read and checked: it may lie on a network that hangs.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum ConfigSource {
    /// A file, read anew each time.
    File {
        /// As it was named.
        path: PathBuf,
        /// How it is to be read.
        options: config::Options,
    },
    /// What runs at the Docker engine at hand, asked anew each time.
    Engine(Environment),
    /// A text that the program holds itself.
    Text {
        /// How it is called in messages.
        name: &'static str,
        /// YAML.
        yaml: Arc<str>,
    },
}

impl ConfigSource {
    /// Reads and checks all of it. The error holds one line for each fault.
    pub async fn load(&self) -> Result<Loaded, String> {
        match self {
            Self::File { path, options } => {
                let (path, options) = (path.clone(), *options);
                let shown = path.display().to_string();
                let read = tokio::task::spawn_blocking(move || config::load(&path, &options));
                match timeout(LOAD_TIMEOUT, read).await {
                    Ok(Ok(loaded)) => loaded.map_err(|errors| errors.to_string()),
                    Ok(Err(error)) => Err(format!("{shown}: reading it broke off: {error}")),
                    Err(_) => Err(format!("{shown}: not read within {LOAD_TIMEOUT:?}")),
                }
            }
            Self::Engine(environment) => {
                let Found { what, host, yaml } = detect::detect(environment).await?;
                tracing::info!(found = what, host, "Configured for the Docker engine at hand");
                parse(ENGINE, &yaml)
            }
            Self::Text { name, yaml } => parse(name, yaml),
        }
    }
}

/// How a configuration made for the engine at hand is called in messages.
const ENGINE: &str = "the Docker engine at hand";

/// Checks a text that the program made itself.
fn parse(name: &str, yaml: &str) -> Result<Loaded, String> {
    let options = config::Options { agent: false, env: |_| None };
    config::parse(yaml.as_bytes(), name.as_ref(), &options).map_err(|errors| errors.to_string())
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
