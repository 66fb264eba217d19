//! Which Docker the engines run: that of the machine, or one in a folder of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::run;

/// A Docker engine: `dockerd`, and in its folder what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    /// A path, or the name `dockerd` alone: that of the machine.
    dockerd: PathBuf,
}

impl Docker {
    /// The one of the machine's packages.
    pub fn of_machine() -> Self {
        Self { dockerd: PathBuf::from("dockerd") }
    }

    /// The one that `DOCKERD` names: the path of a `dockerd`. `e2e/engines/build` makes one.
    pub fn named() -> Option<Self> {
        let dockerd = std::env::var_os("DOCKERD").filter(|path| !path.is_empty())?;
        Some(Self { dockerd: PathBuf::from(dockerd) })
    }

    /// The one that `DOCKERD` names, else that of the machine.
    pub fn from_env() -> Self {
        Self::named().unwrap_or_else(Self::of_machine)
    }

    /// Program, version and build, as `dockerd --version` prints them.
    pub fn version(&self) -> Result<String> {
        let mut command = Command::new(&self.dockerd);
        self.set_path(&mut command);
        run(command.arg("--version"))
    }

    /// The command line of `dockerd` as far as every engine has it. A `daemon.json` beside the
    /// program is its configuration.
    pub(crate) fn dockerd(&self) -> Vec<OsString> {
        let mut line = vec![self.dockerd.clone().into_os_string()];
        if let Some(file) = self.beside("daemon.json") {
            line.extend([OsString::from("--config-file"), file.into_os_string()]);
        }
        line
    }

    /// The command `docker` that speaks to it. An old one and a new engine have no version of the API
    /// in common.
    pub fn client(&self) -> Command {
        Command::new(self.beside("docker").unwrap_or_else(|| PathBuf::from("docker")))
    }

    /// Lets a command find `containerd`, `runc` and the others that belong to this engine first.
    pub(crate) fn set_path(&self, command: &mut Command) {
        let Some(folder) = self.folder() else { return };
        let mut path = folder.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command.env("PATH", path);
    }

    fn folder(&self) -> Option<&Path> {
        self.dockerd.parent().filter(|folder| !folder.as_os_str().is_empty())
    }

    fn beside(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder()?.join(name)).filter(|path| path.exists())
    }
}
