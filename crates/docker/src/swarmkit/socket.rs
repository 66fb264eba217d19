//! From the path of a control socket to a connection.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use swarmscout_net::{SocketAdvice, connect_unix, io_words};
use swarmscout_refresh::RefreshContext;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::connection::{Connection, Sender};
use super::refusal::{Place, within};
use crate::Error;
use crate::engine::MAX_ANSWER;

/// What helps where the socket is not there, or is dead.
const ADVICE: SocketAdvice = SocketAdvice {
    missing: "only the Engine of a manager has it; in a container, mount its folder (volumes: \
              [\"/var/run/docker/swarm:/var/run/docker/swarm\"]); if it is not at \
              docker/swarm/control.sock beside docker.sock, name it with swarmkit_socket",
    stale: "the Engine is down, or made a new one when it started: in a container, mount the \
            folder (/var/run/docker/swarm), not the socket",
    closed: "Docker gives the folder of this socket to root alone, so only root can use it",
};

/// Pieces of a large listing are let come this far ahead of who reads them.
const WINDOW: u32 = 4 << 20;

/// A control socket: where it is, and how it is spoken to.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    max_answer: usize,
    user_agent: HeaderValue,
    tasks: TaskTracker,
    tls: Arc<ClientConfig>,
}

impl ControlSocket {
    /// Sends nothing yet.
    pub fn new(path: impl Into<PathBuf>, context: &RefreshContext) -> Self {
        let max_answer = context.max_answer.min(MAX_ANSWER);
        Self {
            path: path.into(),
            max_answer: usize::try_from(max_answer).unwrap_or(usize::MAX),
            user_agent: HeaderValue::from_str(&context.user_agent)
                .unwrap_or(HeaderValue::from_static("swarmscout")),
            tasks: context.tasks.clone(),
            tls: tls(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the socket and greets: TLS, then HTTP/2. Fails with what to do: no such socket, no
    /// permission for it, no one listening, something else listening.
    pub async fn connect(&self, deadline: Instant) -> Result<Connection, Error> {
        let place = Place::of(&self.path);
        within(&place, deadline, async {
            let socket = connect_unix(&self.path, ADVICE).await?;
            // It is neither sent nor checked.
            let name = ServerName::from(Ipv4Addr::LOCALHOST);
            let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await;
            let stream = tls.map_err(|error| place.not_connected(&explain(&error)))?;
            let (requests, connection) =
                hyper::client::conn::http2::Builder::new(Executor(self.tasks.clone()))
                    .initial_stream_window_size(WINDOW)
                    .initial_connection_window_size(2 * WINDOW)
                    .handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| place.not_connected(&error.to_string()))?;
            // Callers that wait for an answer learn how it ended.
            let driver = self.tasks.spawn(async move { drop(connection.await) });
            let driver = Arc::new(AbortOnDropHandle::new(driver));
            let sender = Sender::new(requests, self.user_agent.clone(), driver);
            Ok(Connection::new(sender, place.clone(), self.max_answer))
        })
        .await
    }
}

fn explain(error: &io::Error) -> String {
    let words = io_words(error);
    if error.kind() != io::ErrorKind::InvalidData {
        return words;
    }
    format!(
        "{words}: this is not a control socket of SwarmKit, which speaks TLS (it is called \
         control.sock, not docker.sock)"
    )
}

/// What HTTP/2 does beside its connection.
#[derive(Clone, Debug)]
struct Executor(TaskTracker);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

fn tls() -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnySocketHolder::new(&provider));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.enable_sni = false;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Any certificate will do, so long as the server has its key: it is the node's own, signed by a CA
/// that only the Swarm has, and says nothing of the socket. Whom this speaks to is decided by who
/// may put a socket at this path, as with Docker's own, which speaks no TLS at all.
#[derive(Debug)]
struct AnySocketHolder(WebPkiSupportedAlgorithms);

impl AnySocketHolder {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for AnySocketHolder {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
