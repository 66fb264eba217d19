//! A `dockerd` of its own, with containers that sleep.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::cgroups::Parent;
use super::engine::LABELS;
use crate::process::{Process, until};

/// Containers that are started at one time.
const AT_ONCE: usize = 4;

/// The Engine, running. It stops its containers when dropped.
#[derive(Debug)]
pub struct Docker {
    pub socket: PathBuf,
    pub containerd: PathBuf,
    pub process: Process,
    /// Its containers are below.
    pub parent: Parent,
}

impl Docker {
    pub fn start(folder: &Path) -> Result<Self> {
        let (socket, exec) = (folder.join("docker.sock"), folder.join("exec"));
        let config = folder.join("daemon.json");
        fs::write(&config, "{}")?;
        let parent = Parent::new(folder)?;
        let mut command = Command::new("dockerd");
        command.arg(format!("--cgroup-parent=/{}", parent.name));
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        command.arg("--config-file").arg(config);
        command.arg("--data-root").arg(folder.join("data")).arg("--exec-root").arg(&exec);
        command.arg("--pidfile").arg(folder.join("pid"));
        command.arg("--host").arg(format!("unix://{}", socket.display()));
        let process = Process::start(&mut command, &folder.join("dockerd"))?;
        let containerd = exec.join("containerd/containerd.sock");
        let docker = Self { socket, containerd, process, parent };
        until("dockerd", Duration::from_mins(1), || Ok(docker.run(&["version"]).ok()))?;
        docker.import(folder)?;
        Ok(docker)
    }

    /// A static busybox, as image.
    fn import(&self, folder: &Path) -> Result<()> {
        let root = folder.join("image/bin");
        fs::create_dir_all(&root)?;
        let place = Command::new("sh").args(["-c", "command -v busybox"]).output()?.stdout;
        let place = String::from_utf8(place)?;
        fs::copy(place.trim(), root.join("busybox")).context("cannot copy busybox")?;
        let archive = folder.join("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder.join("image")).arg("-cf").arg(&archive).arg(".");
        ensure!(tar.status()?.success(), "cannot make an image");
        let archive = archive.to_str().context("the folder has no name in UTF-8")?;
        self.run(&["import", archive, "registry.example.com/shop/web:1.2.3"]).map(drop)
    }

    /// Runs the docker command. What it prints.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket.display())).args(arguments);
        let output = command.output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker {}: {error}", arguments.join(" "));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts a container with the labels of a Swarm's task. Its ID.
    pub fn start_container(&self, number: usize) -> Result<String> {
        let (task, name) = (format!("{number:025}"), format!("shop_web.{number}.{number:025}"));
        let labels = LABELS.map(|(label, value)| {
            format!("--label={label}={}", value.replace("TASK", &task).replace("NAME", &name))
        });
        let name = format!("--name={name}");
        let mut arguments = vec!["run", "--detach", "--network=none", &name];
        arguments.extend(labels.iter().map(String::as_str));
        arguments.extend([
            "registry.example.com/shop/web:1.2.3",
            "/bin/busybox",
            "sleep",
            "1000000",
        ]);
        self.run(&arguments)
    }

    pub fn start_containers(&self, count: usize) -> Result<()> {
        std::thread::scope(|scope| {
            let starters = (0..AT_ONCE).map(|first| {
                scope.spawn(move || {
                    (first..count)
                        .step_by(AT_ONCE)
                        .try_for_each(|number| self.start_container(number).map(drop))
                })
            });
            let starters: Vec<_> = starters.collect();
            starters.into_iter().try_for_each(|one| one.join().expect("a starter does not panic"))
        })
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let ids = self.run(&["ps", "--all", "--quiet"]).unwrap_or_default();
        let ids: Vec<_> = ids.lines().collect();
        if !ids.is_empty() {
            let _ = self.run(&[&["rm", "--force"], &*ids].concat());
        }
        // Its containerd ends with it, and all mounts go.
        let _ = self.process.terminate(Duration::from_secs(30));
    }
}
