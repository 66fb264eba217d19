//! A node part with reach alone, for the benchmark and for tries on a real node:
//! `node ADDRESS PROCFS LIST [FOLDER]`.
//!
//! `LIST` is a file of targets, one a line: `task container pid host|own scheme port path`. With
//! `FOLDER` it speaks TLS, and writes its certificate there: `server.pem`. It admits every client.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the output of a program")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use swarmscout_reach::{Reach, ReachOptions, ReachTarget, Reachable, ReachableTask};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, procfs, list, folder @ ..] = arguments.as_slice() else {
        return Err("usage: node ADDRESS PROCFS LIST [FOLDER]".into());
    };
    let mut options = ReachOptions::new(HeaderValue::from_static("swarmscout"));
    options.procfs = procfs.into();
    let list = read(&std::fs::read_to_string(list)?).ok_or("a line of the list is not valid")?;
    let (_list, reachable) = watch::channel(Arc::new(list));
    let reach = Arc::new(Reach::new(options, reachable));
    let tls = folder.first().map(|folder| acceptor(Path::new(folder))).transpose()?;
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (reach, tls) = (Arc::clone(&reach), tls.clone());
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let reach = Arc::clone(&reach);
                async move {
                    Ok::<_, Infallible>(reach.answer(&request.into_parts().0, true).await)
                }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            let ended = match tls {
                None => server.serve_connection(TokioIo::new(stream), service).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => server.serve_connection(TokioIo::new(stream), service).await,
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(error) = ended {
                eprintln!("{error}");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

fn read(list: &str) -> Option<Reachable> {
    let mut tasks = BTreeMap::<String, ReachableTask>::new();
    for line in list.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [id, container, pid, network, scheme, port, path] = words[..] else { return None };
        let task = tasks.entry(id.to_owned()).or_insert_with(|| ReachableTask {
            id: id.to_owned(),
            container: container.to_owned(),
            pid: pid.parse().unwrap_or_default(),
            host_network: network == "host",
            ..ReachableTask::default()
        });
        task.targets.push(ReachTarget::new(scheme, port.parse().ok()?, path)?);
    }
    Some(tasks.into_values().collect())
}

fn acceptor(folder: &Path) -> Result<TlsAcceptor, Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(folder.join("server.pem"), made.cert.pem())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
