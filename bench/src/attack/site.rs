//! The program under attack: one address without TLS, one with TLS and passwords.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::process::{Process, until};
use crate::programs::{HASH, Program, USER, certificates, free_address};
use crate::serve::targets;

/// As many as one list of a busy Swarm has.
const TARGETS: usize = 1_000;
/// For one step of a connection.
const DEADLINE: Duration = Duration::from_secs(5);

/// A way into the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Plain,
    /// TLS, and a password.
    Tls,
}

pub(super) struct Site {
    pub(super) process: Process,
    /// The list, as the reader got it at first.
    pub(super) body: Vec<u8>,
    plain: SocketAddr,
    tls: SocketAddr,
    client: Arc<ClientConfig>,
    client_http2: Arc<ClientConfig>,
    _folder: tempfile::TempDir,
}

/// A connection of either kind.
pub(super) trait Connection: Read + Write + Send {}

impl<T: Read + Write + Send> Connection for T {}

impl Site {
    pub(super) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        certificates(path)?;
        let config = format!(
            "tls_server_config: {{cert_file: tls/server.pem, key_file: tls/server-key.pem}}\n\
             basic_auth_users: {{reader: {HASH}}}\n"
        );
        fs::write(path.join("web.yml"), config)?;
        fs::write(path.join("targets.json"), targets(TARGETS))?;
        let tls = free_address()?;
        let flag = format!("--web.listen-address={tls},config={}", path.join("web.yml").display());
        let config =
            "scrape_configs:\n- job_name: many\n  file_sd_configs:\n  - files: [targets.json]\n";
        let running = Program::Swarmscout.start_frugal(path, config, &[&flag])?;
        let plain = running.url.trim_start_matches("http://").parse()?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(path.join("tls/ca.pem"))?)?;
        let mut client =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        // Each handshake is a whole one.
        client.resumption = rustls::client::Resumption::disabled();
        let mut client_http2 = client.clone();
        client_http2.alpn_protocols = vec![b"h2".to_vec()];
        let mut site = Self {
            process: running.process,
            body: Vec::new(),
            plain,
            tls,
            client: Arc::new(client),
            client_http2: Arc::new(client_http2),
            _folder: folder,
        };
        site.body = until("the list", Duration::from_secs(30), || {
            Ok(site.read(Door::Plain).ok().filter(|body| body.len() > TARGETS))
        })?;
        ensure!(site.read(Door::Tls)? == site.body, "two doors, two answers");
        Ok(site)
    }

    /// The list, by a new connection.
    pub(super) fn read(&self, door: Door) -> Result<Vec<u8>> {
        self.request(door, "/sd/many", USER)
    }

    /// The body of an answer of status 200, by a new connection.
    pub(super) fn request(&self, door: Door, path: &str, user: &str) -> Result<Vec<u8>> {
        let mut connection = self.connect(door)?;
        let credentials = BASE64_STANDARD.encode(user);
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Basic {credentials}\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "another status");
        let head = answer.windows(4).position(|part| part == b"\r\n\r\n").context("no head")?;
        Ok(answer.split_off(head + 4))
    }

    pub(super) fn connect(&self, door: Door) -> Result<Box<dyn Connection>> {
        Ok(match door {
            Door::Plain => Box::new(self.socket(door)?),
            Door::Tls => Box::new(self.handshake(&self.client)?),
        })
    }

    /// A connection that speaks HTTP/2.
    pub(super) fn connect_http2(&self) -> Result<Box<dyn Connection>> {
        Ok(Box::new(self.handshake(&self.client_http2)?))
    }

    /// A connection without a handshake.
    pub(super) fn socket(&self, door: Door) -> Result<TcpStream> {
        let address = match door {
            Door::Plain => self.plain,
            Door::Tls => self.tls,
        };
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(stream)
    }

    fn handshake(
        &self,
        config: &Arc<ClientConfig>,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut socket = self.socket(Door::Tls)?;
        let mut session =
            ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(session, socket))
    }
}
