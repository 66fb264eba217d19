//! The exporters behind the demo's targets.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use swarmscout_simulator::Listen;
use swarmscout_simulator::exporter::Exporter;

/// How many ports are tried beside the preferred one.
const ATTEMPTS: usize = 16;

/// Exporters that run, by their address.
#[derive(Debug, Default)]
pub(super) struct Exporters(BTreeMap<SocketAddr, Exporter>);

impl Exporters {
    /// Starts and ends exporters until these run, each telling its name in its series.
    pub(super) fn keep(&mut self, wanted: BTreeMap<SocketAddr, String>) {
        self.0.retain(|addr, _| wanted.contains_key(addr));
        for exporter in self.0.values() {
            // Servers remember what they were asked, for tests; nobody reads it here.
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
                Err(error) => {
                    tracing::warn!(%addr, %error, "An exporter of the demo cannot listen");
                }
            }
        }
    }
}

/// A port that nothing uses on any address of this machine: the preferred one, or another.
pub(super) fn free_port(preferred: u16) -> io::Result<u16> {
    let others = std::iter::repeat_n(0, ATTEMPTS);
    let mut result = probe(preferred);
    for port in others {
        if result.is_ok() {
            break;
        }
        result = probe(port);
    }
    result
}

fn probe(port: u16) -> io::Result<u16> {
    let all = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    Ok(all.local_addr()?.port())
}
