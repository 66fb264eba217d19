//! `swarmscout tls`, with the lines that it prints for a manager.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::cluster::Cluster;
use crate::process::run;
use crate::program::swarmscout;

/// The digits at the end of the names of secrets, by what is before them.
#[derive(Debug, Default)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Runs `swarmscout tls` in the folder of the cluster, and makes the secrets that it names.
    pub fn make(&mut self, cluster: &Cluster, arguments: &[&str]) -> Result<()> {
        let mut tls = swarmscout();
        let printed = run(tls.arg("tls").args(arguments).current_dir(cluster.folder()))?;
        for line in printed.lines() {
            let Some(arguments) = line.trim().strip_prefix("docker secret create ") else {
                continue;
            };
            let (secret, file) = arguments.split_once(' ').context("no file")?;
            let file = cluster.folder().join(file).display().to_string();
            cluster.docker(&["secret", "create", secret, &file])?;
            let (kind, end) = secret.rsplit_once('-').context("no digits")?;
            self.0.insert(kind.to_owned(), end.to_owned());
        }
        Ok(())
    }

    /// The digits of `swarmscout-KIND`.
    pub fn end(&self, kind: &str) -> Result<&str> {
        let end = self.0.get(&format!("swarmscout-{kind}"));
        end.map(String::as_str).with_context(|| format!("{kind}: {self:?}"))
    }
}
