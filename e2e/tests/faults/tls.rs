//! A real engine that takes only clients with a certificate of its authority.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use swarmscout_e2e::cluster::Cluster;
use swarmscout_e2e::docker::Docker;
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::until;
use swarmscout_e2e::witness::Witness;

use crate::{PATIENCE, await_error, await_recovery, await_targets, tunnel};

const NAME: &str = "secured";

/// Both sides get certificates of a new authority, the engine first; and without a file the
/// environment of Docker's own client is understood. The way there may be a tunnel.
pub(crate) fn rotated(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let (server_side, client_side) = (folder.join("server"), folder.join("client"));
    fs::create_dir_all(&server_side)?;
    fs::create_dir_all(&client_side)?;
    let file = |name: &str| server_side.join(name).display().to_string();
    let options = vec![
        "--tlsverify".to_owned(),
        format!("--tlscacert={}", file("ca.pem")),
        format!("--tlscert={}", file("cert.pem")),
        format!("--tlskey={}", file("key.pem")),
    ];
    // The names of the certificate are known only with the engine: any address of it will do.
    let address = cluster.next_address();
    let first = Authority::new(folder, "first")?;
    first.issue(&server_side, &address, "serverAuth")?;
    first.issue(&client_side, &address, "clientAuth")?;
    cluster.add_alone(NAME, options)?;
    ensure!(cluster.engine(NAME).address == address, "another address than was announced");
    cluster.docker_by_socket(NAME, &["swarm", "init", "--advertise-addr", &address])?;

    let path = |name: &str| client_side.join(name).display().to_string();
    let tls_config = format!(
        "{{ca_file: '{}', cert_file: '{}', key_file: '{}'}}",
        path("ca.pem"),
        path("cert.pem"),
        path("key.pem")
    );
    let config = format!(
        "scrape_configs:\n- job_name: nodes\n  dockerswarm_sd_configs:\n  - host: https://{address}:2375\n    \
         role: nodes\n    refresh_interval: 2s\n    tls_config: {tls_config}\n"
    );
    let server = Server::swarmscout(folder, "tls", &config)?;
    await_targets(&server, "nodes", 1)?;
    without_a_file(folder, &address, &client_side)?;
    tunnel::read_through(folder, &address, &tls_config)?;

    let witness = Witness::of(&server.url, "nodes");
    let second = Authority::new(folder, "second")?;
    second.issue(&server_side, &address, "serverAuth")?;
    cluster.stop(NAME);
    cluster.start_alone(NAME)?;
    await_error(&server, "nodes", "certificate")?;
    second.issue(&client_side, &address, "clientAuth")?;
    await_recovery(&server, "nodes", 1)?;

    // The right authority for the server, and a certificate that the engine does not take.
    first.issue(&client_side, &address, "clientAuth")?;
    fs::copy(second.file("ca.pem"), client_side.join("ca.pem"))?;
    await_error(&server, "nodes", "certificate")?;
    second.issue(&client_side, &address, "clientAuth")?;
    await_recovery(&server, "nodes", 1)?;
    println!("{:?}", witness.saw_at_least(1)?);
    cluster.stop(NAME);
    Ok(())
}

/// `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, as the docker command reads them.
fn without_a_file(folder: &Path, address: &str, certificates: &Path) -> Result<()> {
    let empty = folder.join("empty");
    fs::create_dir_all(&empty)?;
    let host = format!("tcp://{address}:2375");
    let environment = |command: &mut Command| {
        command.env("DOCKER_HOST", &host).env("DOCKER_TLS_VERIFY", "1");
        command.env("DOCKER_CERT_PATH", certificates);
    };
    let mut docker = Docker::from_env().client();
    environment(&mut docker);
    run(docker.args(["node", "ls"]))?;
    let mut command = swarmscout();
    environment(command.current_dir(&empty));
    let server = Server::start(command, &empty, "no-file")?;
    until("swarm-nodes", PATIENCE, || {
        let nodes = server.sd("swarm-nodes")?;
        ensure!(nodes.len() == 1, "{nodes:?}");
        Ok(())
    })
}

/// A certificate authority of the openssl command.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Result<Self> {
        let authority = Self { folder: folder.join(name) };
        fs::create_dir_all(&authority.folder)?;
        openssl(&authority.folder, &["req", "-x509", "-newkey", "ec", "-pkeyopt"], |command| {
            command.args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
            command.args([
                "-subj",
                &format!("/CN={name}"),
                "-keyout",
                "ca-key.pem",
                "-out",
                "ca.pem",
            ]);
        })?;
        Ok(authority)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Puts `ca.pem`, `cert.pem` and `key.pem` into a folder, each at once as a whole.
    fn issue(&self, into: &Path, address: &str, usage: &str) -> Result<()> {
        openssl(&self.folder, &["req", "-newkey", "ec", "-pkeyopt"], |command| {
            command.args(["ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"]);
            command.args(["-keyout", "key.pem", "-out", "request.pem"]);
        })?;
        let extensions = format!("subjectAltName=IP:{address}\nextendedKeyUsage={usage}\n");
        fs::write(self.file("extensions"), extensions)?;
        openssl(&self.folder, &["x509", "-req", "-in", "request.pem", "-days", "2"], |command| {
            command.args(["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"]);
            command.args(["-extfile", "extensions", "-out", "cert.pem"]);
        })?;
        for name in ["ca.pem", "key.pem", "cert.pem"] {
            let new = into.join("new");
            fs::copy(self.file(name), &new)?;
            fs::rename(&new, into.join(name))?;
        }
        Ok(())
    }
}

fn openssl(folder: &Path, arguments: &[&str], more: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments);
    more(&mut command);
    run(&mut command).map(drop)
}
