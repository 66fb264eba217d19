//! The exporters behind the demo's targets.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use swarmscout_simulator::Listen;
use swarmscout_simulator::exporter::Exporter;

/// How often other ports are tried.
const ATTEMPTS: usize = 5;

/// Exporters that run, by their address.
#[derive(Debug, Default)]
pub(super) struct Exporters(BTreeMap<SocketAddr, Exporter>);

impl Exporters {
    /// Starts and ends exporters until these run, each with its name in its series. Fails with
    /// the first that cannot listen; the others run.
    pub(super) fn keep(&mut self, wanted: BTreeMap<SocketAddr, String>) -> anyhow::Result<()> {
        let mut result = Ok(());
        self.0.retain(|addr, _| wanted.contains_key(addr));
        for exporter in self.0.values() {
            // Servers remember their requests, for tests; here they are not read.
            exporter.server.forget_requests();
        }
        for (addr, name) in wanted {
            if self.0.contains_key(&addr) {
                continue;
            }
            match Exporter::start(Listen::Addr(addr), &name) {
                Ok(exporter) => {
                    self.0.insert(addr, exporter);
                }
                Err(error) if result.is_ok() => {
                    let error = anyhow::Error::new(error);
                    result = Err(error.context(format!("cannot listen on {addr} for the demo")));
                }
                Err(_) => {}
            }
        }
        result
    }
}

/// Calls `start` with ports that nothing uses on any address of this machine, the preferred ones if
/// possible, until it succeeds: another program may take one in between.
pub(super) fn with_free_ports<const N: usize, T>(
    preferred: [u16; N],
    mut start: impl FnMut([u16; N]) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut wanted = preferred;
    for _ in 1..ATTEMPTS {
        if let Ok(started) = start(free_ports(wanted)?) {
            return Ok(started);
        }
        wanted = [0; N];
    }
    start(free_ports(wanted)?)
}

fn free_ports<const N: usize>(mut wanted: [u16; N]) -> io::Result<[u16; N]> {
    for port in &mut wanted {
        *port = free_port(*port)?;
    }
    Ok(wanted)
}

/// The preferred port if nothing uses it on any address, else another.
fn free_port(preferred: u16) -> io::Result<u16> {
    let probe = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    probe(preferred).or_else(|_| probe(0))?.local_addr().map(|addr| addr.port())
}
