//! Engines that end without notice.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::until;
use swarmscout_e2e::witness::Witness;

use crate::{
    NODES, PATIENCE, await_all, await_error, await_recovery, await_skipped, await_targets, config,
    nodes, tasks,
};

const NAME: &str = "manager-3";

/// Where Swarmscout runs there are three ways to the same socket: its path, its folder mounted
/// elsewhere, and itself mounted elsewhere. The last leads to a file that no longer exists.
pub(crate) fn killed(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let socket = cluster.socket(NAME);
    let (of_folder, of_file) = (folder.join("run"), folder.join("docker.sock"));
    let unix = |path: &Path| nodes(&[format!("unix://{}", path.display())]);
    let all = [NAME, "manager-2", "manager-1"].map(|name| cluster.url(name));
    let jobs = [
        ("path", unix(&socket)),
        ("folder", unix(&of_folder.join("docker.sock"))),
        ("file", unix(&of_file)),
        ("tcp", nodes(&all[..1])),
        ("any", nodes(&all)),
        ("tasks", tasks(&all)),
    ];
    let server = {
        let file = folder.join("killed.yml");
        fs::write(&file, config(&jobs))?;
        fs::create_dir(&of_folder)?;
        fs::write(&of_file, "")?;
        let mounts =
            r#"mount --bind "$1" "$2"; mount --bind "$1/docker.sock" "$3"; shift 3; exec "$@""#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", mounts, "sh"]);
        command.arg(socket.with_file_name("")).arg(&of_folder).arg(&of_file);
        command.arg(swarmscout().get_program());
        command.arg(format!("--config.file={}", file.display()));
        Server::start(command, folder, "killed")?
    };
    await_all(&server, &jobs)?;
    let witnesses = [
        ("path", NODES),
        ("folder", NODES),
        ("file", NODES),
        ("tcp", NODES),
        ("any", NODES),
        // That of the node that is down is to stop.
        ("tasks", NODES - 1),
    ]
    .map(|(job, least)| (Witness::of(&server.url, job), least));

    let before = fs::metadata(&socket)?.ino();
    cluster.kill(NAME)?;
    for job in ["path", "folder", "file"] {
        await_error(&server, job, "connection refused: nothing listens on this socket")?;
    }
    await_error(&server, "tcp", "connection refused")?;
    await_skipped(&server, "any", &all[0])?;
    until("a node that is down", PATIENCE, || {
        let nodes = server.sd("any")?;
        let down = nodes.iter().any(|(_, labels)| {
            labels["__meta_dockerswarm_node_hostname"] == NAME
                && labels["__meta_dockerswarm_node_status"] == "down"
        });
        ensure!(down, "{nodes:?}");
        Ok(())
    })?;
    await_targets(&server, "tasks", NODES - 1)?;

    cluster.restart(NAME)?;
    ensure!(fs::metadata(&socket)?.ino() != before, "the socket is still the same file");
    until("a manager that answers", PATIENCE, || cluster.docker_at(NAME, &["node", "ls"]))?;
    for job in ["path", "folder", "tcp"] {
        await_recovery(&server, job, NODES)?;
    }
    for job in ["any", "tasks"] {
        await_targets(&server, job, NODES)?;
    }
    await_error(&server, "file", "restart the container")?;
    for (witness, least) in witnesses {
        println!("{:?}", witness.saw_at_least(least)?);
    }
    Ok(())
}
