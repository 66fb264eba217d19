//! Programs that run where an engine does: in its namespaces, as a program on the machine of a node.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cluster::{Cluster, only_child};
use crate::process::{Process, run};
use crate::program::swarmscout;

/// Whose rights a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// All of root's, which the socket of Docker needs.
    Root,
    /// No rights: the user 65532, without any capability.
    Unprivileged,
}

/// The user and group of a program without rights.
pub const UNPRIVILEGED_ID: u32 = 65532;

/// Shows the interfaces of the engine below `/sys`, where the mounts of the engine have those of the machine.
const SYSFS: &str = "
mkdir -p /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
exec \"$@\"
";

impl Cluster {
    /// A copy of Swarmscout that every user may run. The folder of the build may be root's alone.
    pub fn swarmscout_for_all(&self) -> Result<PathBuf> {
        let copy = self.folder().join("swarmscout");
        if !copy.exists() {
            fs::copy(swarmscout().get_program(), &copy)?;
        }
        Ok(copy)
    }

    /// A command in the network, the mounts and the process namespace of an engine. It gets TERM when the
    /// process ends that it is started by.
    pub fn beside(&self, name: &str, rights: Rights, command: &Command) -> Result<Command> {
        let engine = self.engine(name).dockerd().context("the engine does not run")?;
        let mut entered = Command::new("nsenter");
        entered.args(["--mount", "--net", "--uts", "--pid", "--target", &engine]);
        entered.args(["unshare", "--mount", "sh", "-ec", SYSFS, "sh"]);
        entered.args(["setpriv", "--pdeathsig=TERM"]);
        if rights == Rights::Unprivileged {
            entered.args(["--no-new-privs", "--clear-groups"]);
            entered.arg("--bounding-set=-all");
            entered
                .args([format!("--reuid={UNPRIVILEGED_ID}"), format!("--regid={UNPRIVILEGED_ID}")]);
        }
        entered.arg(command.get_program()).args(command.get_args());
        Ok(entered)
    }

    /// Runs a command to its end in the network and the mounts of an engine.
    pub fn run_beside(&self, name: &str, command: &[&str]) -> Result<String> {
        let engine = self.engine(name).dockerd().context("the engine does not run")?;
        let enter = ["--net", "--mount", "--target", &engine];
        run(Command::new("nsenter").args(enter).args(command))
    }
}

/// The status of a program that was started beside an engine, as `/proc` has it.
pub fn status(process: &Process) -> Result<String> {
    let pid = only_child(process).context("it does not run")?;
    Ok(fs::read_to_string(format!("/proc/{pid}/status"))?)
}
