//! A DNS server on loopback, UDP and TCP, with faults on demand.
//!
//! It answers from a [`Zone`], which may change while it runs, and keeps what it was asked. Several
//! servers may share a zone, as the name servers of one network do.

mod fault;
mod message;
mod zone;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

pub use fault::Fault;
pub use message::{Data, Query, Record, answer, code, kind, wire_name};
pub use zone::Zone;

/// This often a free port is searched for: the one that TCP gets may be taken for UDP.
const PORTS: usize = 100;

/// A running server. Ends when it is dropped.
#[derive(Debug)]
pub struct DnsServer {
    shared: Arc<Shared>,
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    zone: Zone,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queries: Vec<Query>,
    fault: Option<Fault>,
    /// By name, with its final dot.
    faults: HashMap<String, Fault>,
}

impl DnsServer {
    /// Starts a server of `zone` at a free port of 127.0.0.1.
    pub fn start(zone: &Zone) -> io::Result<Self> {
        let mut last = None;
        for _ in 0..PORTS {
            match Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), zone) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
                done => return done,
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
    }

    /// Starts a server of `zone` at this address. Port 0 is a free one.
    pub fn start_at(addr: SocketAddr, zone: &Zone) -> io::Result<Self> {
        let tcp = std::net::TcpListener::bind(addr)?;
        let addr = tcp.local_addr()?;
        let udp = std::net::UdpSocket::bind(addr)?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        let (tcp, udp) = (TcpListener::from_std(tcp)?, UdpSocket::from_std(udp)?);
        let shared = Arc::new(Shared { zone: zone.clone(), state: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(Arc::new(udp), shared.clone()));
        tasks.spawn(serve_tcp(tcp, shared.clone()));
        Ok(Self { shared, addr, _tasks: tasks })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every question meets this fault from now on.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().fault = Some(fault);
    }

    /// Every question for this name, written with its final dot, meets this fault from now on.
    pub fn fault_for(&self, name: &str, fault: Fault) {
        self.shared.state().faults.insert(name.to_owned(), fault);
    }

    /// Ends the faults of this name.
    pub fn heal_name(&self, name: &str) {
        self.shared.state().faults.remove(name);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.fault = None;
        state.faults.clear();
    }

    /// What it was asked so far, oldest first.
    pub fn queries(&self) -> Vec<Query> {
        self.shared.state().queries.clone()
    }

    /// How often it was asked so far.
    pub fn query_count(&self) -> usize {
        self.shared.state().queries.len()
    }

    /// Forgets what it was asked so far.
    pub fn forget_queries(&self) {
        self.shared.state().queries.clear();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn react(&self, message: &[u8], tcp: bool) -> Reaction {
        let Some(query) = Query::read(message, tcp) else { return Reaction::default() };
        let fault = {
            let mut state = self.state();
            state.queries.push(query.clone());
            state.faults.get(&query.name).or(state.fault.as_ref()).cloned()
        };
        let (code, records) = self.zone.look_up(&query.name, query.kind);
        let good = answer(&query, code, &records);
        let pause = if let Some(Fault::Late(late)) = fault { late } else { Duration::ZERO };
        let answers = match &fault {
            Some(fault) => fault.spoil(&query, good),
            None => vec![good],
        };
        Reaction { pause, answers, fault }
    }
}

/// What comes of a message.
#[derive(Default)]
struct Reaction {
    /// Before the first answer.
    pause: Duration,
    /// One after the other.
    answers: Vec<Vec<u8>>,
    fault: Option<Fault>,
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut late = JoinSet::new();
    let mut message = vec![0; 4096];
    loop {
        // What a client that is gone already does to the socket does not matter.
        let Ok((length, client)) = socket.recv_from(&mut message).await else { continue };
        let Reaction { pause, answers, .. } = shared.react(&message[..length], false);
        let socket = socket.clone();
        let send = async move {
            for answer in answers {
                let _ = socket.send_to(&answer, client).await;
            }
        };
        if pause.is_zero() {
            send.await;
        } else {
            late.spawn(async move {
                tokio::time::sleep(pause).await;
                send.await;
            });
        }
        while late.try_join_next().is_some() {}
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = shared.clone();
        connections.spawn(async move {
            // It ends with its client.
            let _ = serve_connection(stream, &shared).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut message = vec![0; length.into()];
        stream.read_exact(&mut message).await?;
        let Reaction { pause, answers, fault } = shared.react(&message, true);
        tokio::time::sleep(pause).await;
        for answer in answers {
            let length = u16::try_from(answer.len()).unwrap_or(u16::MAX).to_be_bytes();
            let framed = [&length[..], &answer].concat();
            match fault {
                Some(Fault::TcpCloses) => return Ok(()),
                Some(Fault::TcpSilence) => std::future::pending().await,
                Some(Fault::TcpCutShort) => {
                    return stream.write_all(&framed[..framed.len() / 2]).await;
                }
                _ => stream.write_all(&framed).await?,
            }
        }
    }
}
