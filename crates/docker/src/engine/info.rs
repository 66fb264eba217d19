//! `/info`: which Swarm an Engine is in, and as what.

use super::read::{Fault, Reader};
use super::refusal;

/// So many managers are named; a Swarm has seven at most, if it is a good one.
const MOST_MANAGERS: usize = 100;

/// The longest host name, in bytes.
const LONGEST: usize = 253;

/// What `/info` says of the Swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// ID of the Swarm; empty on workers, and while there is no leader.
    pub cluster: String,
    /// The Engine's own node ID.
    pub node: String,
    /// `active`, `inactive`, `pending`, `locked` or `error`.
    pub state: String,
    /// Why it is in state `error`, shortened.
    pub error: String,
    /// Whether the Engine is a manager.
    pub manager: bool,
    /// Hosts of the managers that the Engine knows, without port.
    pub managers: Vec<String>,
}

impl Info {
    /// Reads an answer. `None` where it is none.
    pub fn read(text: &[u8]) -> Option<Self> {
        let mut info = Self::default();
        Reader::new(text)
            .object(|r, key| match key {
                b"Swarm" => info.read_swarm(r),
                _ => r.skip().map(drop),
            })
            .ok()?;
        info.managers.sort();
        info.managers.dedup();
        info.managers.truncate(MOST_MANAGERS);
        Some(info)
    }

    fn read_swarm(&mut self, r: &mut Reader<'_>) -> Result<(), Fault> {
        r.object(|r, key| {
            match key {
                b"NodeID" => self.node = r.string()?.into_owned(),
                b"LocalNodeState" => self.state = r.string()?.into_owned(),
                b"Error" => {
                    self.error = refusal::shortened(r.string()?.trim_end_matches([' ', ':']));
                }
                b"ControlAvailable" => self.manager = r.boolean()?,
                b"Cluster" => r.object(|r, key| {
                    match key {
                        b"ID" => self.cluster = r.string()?.into_owned(),
                        _ => drop(r.skip()?),
                    }
                    Ok(())
                })?,
                b"RemoteManagers" => r.array(|r| {
                    r.object(|r, key| {
                        match key {
                            b"Addr" => {
                                let host = host_of(&r.string()?);
                                self.managers.extend(host.filter(|host| host.len() <= LONGEST));
                            }
                            _ => drop(r.skip()?),
                        }
                        Ok(())
                    })
                })?,
                _ => drop(r.skip()?),
            }
            Ok(())
        })
    }
}

/// The host of `10.77.2.11:2377` or `[2001:db8::1]:2377`, without brackets; `None` where there is
/// none.
pub fn host_of(address: &str) -> Option<String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| host.to_owned())
}
