//! A real DNS server, and programs that ask it.
//!
//! `resolv.conf` names no port and has one place: the server listens at port 53 of a loopback
//! address of its own, and each program gets a mount namespace where the file is another one.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::Process;
use crate::until;

/// Where the server listens.
pub const ADDRESS: &str = "127.53.0.2";

/// How the zone begins: it is the root's, so that the server knows of every name whether it exists.
const ZONE: &str =
    "$ORIGIN .\n$TTL 1\n@ SOA ns.example.com. root.example.com. 1 1 1 1 1\n@ NS ns.example.com.\n";

/// NSD. Ends when it is dropped.
#[derive(Debug)]
pub struct Nsd {
    folder: PathBuf,
    process: Option<Process>,
}

impl Nsd {
    /// Starts a server of these records, in the form of a zone file. Its files are in `folder`.
    pub fn start(folder: &Path, records: &str) -> Result<Self> {
        let mut server = Self { folder: folder.to_owned(), process: None };
        server.restart(records)?;
        Ok(server)
    }

    /// Starts it again with other records.
    pub fn restart(&mut self, records: &str) -> Result<()> {
        self.stop();
        let folder = self.folder.display();
        fs::write(self.folder.join("zone"), format!("{ZONE}{records}"))?;
        let config = self.folder.join("nsd.conf");
        fs::write(
            &config,
            format!(
                "server:\n  ip-address: {ADDRESS}\n  username: \"\"\n  zonesdir: \"{folder}\"\n  \
                 xfrdir: \"{folder}\"\n  pidfile: \"\"\n  database: \"\"\n  xfrdfile: \"\"\n  \
                 zonelistfile: \"{folder}/zones\"\nremote-control:\n  control-enable: no\n\
                 zone:\n  name: .\n  zonefile: zone\n"
            ),
        )?;
        // Packages put it in a folder that is not in every user's PATH.
        let program = ["/usr/sbin/nsd", "nsd"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("nsd"));
        let log = self.folder.join("nsd.log");
        self.process = Some(Process::start(command.arg("-d").arg("-c").arg(&config), &log)?);
        until("NSD", Duration::from_secs(20), || Ok(TcpStream::connect((ADDRESS, 53))?))?;
        Ok(())
    }

    /// Ends it. Its port is then closed.
    pub fn stop(&mut self) {
        self.process = None;
    }
}

/// The same command, where `/etc/resolv.conf` is `file`: a change of that file is seen there.
pub fn with_resolv_conf(file: impl AsRef<OsStr>, command: &Command) -> Command {
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--mount", "sh", "-c"]);
    wrapped.arg(r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#);
    wrapped.arg("sh").arg(file).arg(command.get_program()).args(command.get_args());
    wrapped
}
