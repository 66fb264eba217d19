//! `/info`: what an Engine is, which Swarm it is in, and as what.

use swarmscout_net::certificates_end;

use super::de::{self, Raw};
use super::messages as sent;
use super::read::{Fault, Reader};
use super::{refusal, time};

/// The most managers that are named. A Swarm has seven, rarely more.
const MOST_MANAGERS: usize = 100;

/// The longest host name, in bytes.
const LONGEST: usize = 253;

/// What `/info` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the answer")]
pub struct Info {
    /// Whether it counts containers, as every Engine and every master of classic Swarm does.
    pub is_engine: bool,
    /// Whether it is a master of classic Swarm.
    pub is_classic_master: bool,
    /// The host name of the Engine.
    pub name: String,
    /// The version of the Engine: `28.5.2`.
    pub engine_version: String,
    /// When the Swarm was created, in microseconds since 1970; 0 if unknown.
    pub cluster_created: i64,
    /// Whether the root certificate of the Swarm is being replaced.
    pub root_rotation: bool,
    /// When the root certificate of the Swarm ends, in seconds since 1970. `None` if it is not
    /// known: only managers know it.
    pub root_ends: Option<i64>,
    /// ID of the Swarm; empty on workers, and while there is no leader.
    pub cluster: String,
    /// The Engine's own node ID.
    pub node: String,
    /// `active`, `inactive`, `pending`, `locked` or `error`; empty without swarm mode.
    pub state: String,
    /// Why it is in state `error`, shortened.
    pub error: String,
    /// Whether the Engine is a manager.
    pub manager: bool,
    /// Hosts of the managers that the Engine knows, without port.
    pub managers: Vec<String>,
}

impl Info {
    /// Reads an answer.
    pub fn read(text: &[u8]) -> Result<Self, Fault> {
        let sent: sent::Info<'_> = de::read(&mut Reader::new(text))?;
        let mut managers = Vec::new();
        sent.managers.reader().array(|reader| {
            let sent: sent::RemoteManager<'_> = de::read(reader)?;
            managers.extend(host_of(&sent.address).filter(|host| host.len() <= LONGEST));
            Ok(())
        })?;
        managers.sort();
        managers.dedup();
        managers.truncate(MOST_MANAGERS);
        Ok(Self {
            is_engine: sent.containers.is_some(),
            is_classic_master: is_classic_master(&sent),
            name: sent.name.to_string(),
            engine_version: refusal::shortened(&sent.engine_version).into_owned(),
            cluster_created: time::micros(sent.cluster_created.text()?),
            root_rotation: sent.root_rotation,
            root_ends: certificates_end(sent.trust_root.as_bytes()),
            cluster: sent.cluster.to_string(),
            node: sent.node.to_string(),
            state: sent.state.to_string(),
            error: refusal::shortened(sent.error.trim_end_matches([' ', ':'])).into_owned(),
            manager: sent.manager,
            managers,
        })
    }
}

/// Recognised by the rows that come before those of the nodes: `Strategy` and `Nodes`, and in 0.1.0
/// `Nodes` alone. Up to 1.0.1 a backspace stands before each.
fn is_classic_master(sent: &sent::Info<'_>) -> bool {
    let (mut nodes, mut strategy, mut old) = (false, false, false);
    for rows in [&sent.system_status, &sent.driver_status] {
        for key in keys(rows) {
            nodes |= key == "Nodes";
            strategy |= key == "Strategy";
            old |= key == "\u{8}Nodes";
        }
    }
    old || (nodes && strategy)
}

/// The first text of each row. Rows of another type are of no interest.
fn keys(rows: &Raw<'_>) -> Vec<String> {
    let mut keys = Vec::new();
    let _ = rows.reader().array(|reader| {
        let read = reader.attempt(|reader| {
            let mut key = None;
            reader.array(|reader| {
                match key {
                    None => key = Some(reader.string()?.into_owned()),
                    Some(_) => drop(reader.skip()?),
                }
                Ok(())
            })?;
            Ok(key)
        })?;
        keys.extend(read.ok().flatten());
        Ok(())
    });
    keys
}

/// The host of `10.77.2.11:2377` or `[2001:db8::1]:2377`, without brackets; `None` where there is
/// none.
pub fn host_of(address: &str) -> Option<String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| host.to_owned())
}
