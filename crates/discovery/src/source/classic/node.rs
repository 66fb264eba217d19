//! Makes the labels of a node's target.

use std::net::Ipv6Addr;
use std::ops::Range;

use swarmscout_docker::classic::{ClassicNode, UNKNOWN_NODE, bytes, split_labels};
use swarmscout_model::labels::{ADDRESS, INSTANCE};
use swarmscout_model::name::push_sanitized;
use swarmscout_model::{Labels, LabelsWriter};
use swarmscout_refresh::problems::{Problems, shown};

use super::super::moby::AddressWriter;
use crate::limits::MOST_LABELS;

/// What the target of a node shows. Containers, reservations and the time of the last report are left
/// out: they change all the time, and each change would be one of its target. They are state metrics.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TargetNode<'a> {
    name: &'a str,
    addr: &'a str,
    id: &'a str,
    status: &'a str,
    error: &'a str,
    labels: &'a str,
    server_version: &'a str,
    total_cpus: &'a str,
    total_memory: &'a str,
}

impl<'a> TargetNode<'a> {
    pub(super) fn of(node: &'a ClassicNode<'_>) -> Self {
        Self {
            name: &node.name,
            addr: &node.addr,
            id: &node.id,
            status: &node.status,
            error: &node.error,
            labels: node.labels(),
            server_version: &node.server_version,
            total_cpus: node.cpus().total,
            total_memory: node.memory().total,
        }
    }

    /// The labels of its target.
    pub(super) fn labels(
        &self,
        port: &str,
        address: &mut AddressWriter,
        writer: &mut LabelsWriter,
        problems: &mut Problems,
    ) -> Labels {
        let mut problem = |reason, detail| {
            problems.push("node", self.name, reason, detail);
        };
        // In the order of their names, for which the writer is fast.
        match host_of(self.addr) {
            Some(host) => writer.push(ADDRESS, address.host(host, port)),
            None => problem("address without host", self.addr.to_owned()),
        }
        writer.push("__meta_swarm_node_error", self.error);
        writer.push("__meta_swarm_node_id", self.id);
        write_labels(self, writer, &mut problem);
        if self.name != UNKNOWN_NODE {
            writer.push("__meta_swarm_node_name", self.name);
        }
        writer.push("__meta_swarm_node_server_version", self.server_version);
        writer.push("__meta_swarm_node_status", self.status);
        writer.push("__meta_swarm_node_total_cpus", self.total_cpus);
        if let Some(bytes) = bytes(self.total_memory) {
            writer.push("__meta_swarm_node_total_memory_bytes", &bytes.to_string());
        }
        writer.push(INSTANCE, self.addr);
        writer.build()
    }
}

/// Writes the engine's labels. Of keys that become one name, the smallest counts.
fn write_labels(
    node: &TargetNode<'_>,
    writer: &mut LabelsWriter,
    problem: &mut impl FnMut(&'static str, String),
) {
    let mut names = String::new();
    // One more than the limit is enough to detect that there are too many.
    let mut labels: Vec<_> = split_labels(node.labels)
        .take(MOST_LABELS + 1)
        .map(|(key, value)| {
            let start = names.len();
            names.push_str("__meta_swarm_node_label_");
            push_sanitized(&mut names, key);
            (start..names.len(), key, value)
        })
        .collect();
    let name = |(name, ..): &(Range<usize>, &str, &str)| &names[name.clone()];
    // The sort is stable: the last of equal keys stays last.
    labels.sort_by(|a, b| (name(a), a.1).cmp(&(name(b), b.1)));
    for same_name in labels.chunk_by(|a, b| name(a) == name(b)) {
        let mut same_key = same_name.chunk_by(|a, b| a.1 == b.1);
        // If several keys become one name, the smallest key counts, in any order.
        if let Some(label @ (_, key, value)) = same_key.next().and_then(<[_]>::last) {
            writer.push(name(label), value);
            for (_, other, _) in same_key.flatten() {
                let [other, key, name] = [other, key, name(label)].map(shown);
                let detail = format!("{other:?} is hidden by {key:?}, both are {name}");
                problem("label keys that become one name", detail);
            }
        }
    }
}

/// The host of an engine's address, without port and brackets.
///
/// Some versions write IPv6 addresses without brackets (`fe80::1:2375`). The port then follows the
/// last colon.
pub(in crate::source) fn host_of(addr: &str) -> Option<&str> {
    let host = if let Some(rest) = addr.strip_prefix('[') {
        rest.split_once(']')?.0
    } else {
        match addr.rsplit_once(':') {
            Some((host, _)) if !host.contains(':') || host.parse::<Ipv6Addr>().is_ok() => host,
            Some(_) if addr.parse::<Ipv6Addr>().is_ok() => addr,
            Some(_) => return None,
            None => addr,
        }
    };
    let usable = !host.is_empty() && !host.contains(['/', '[', ']']);
    (usable && !host.chars().any(|c| c.is_whitespace() || c.is_control())).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (addr, host) in [
            ("10.77.1.11:2375", Some("10.77.1.11")),
            ("node-1.example.com:2375", Some("node-1.example.com")),
            ("node-1", Some("node-1")),
            ("[fe80::1]:2375", Some("fe80::1")),
            ("[fe80::1]", Some("fe80::1")),
            ("fe80::1:2375", Some("fe80::1")),
            ("::1:2375", Some("::1")),
            ("1:2:3:4:5:6:7:8", Some("1:2:3:4:5:6:7:8")),
            ("", None),
            (":2375", None),
            ("[]:2375", None),
            ("[fe80::1", None),
            ("tcp://10.0.0.1:2375", None),
            ("a b:2375", None),
            ("a:b:c", None),
        ] {
            assert_eq!(host_of(addr), host, "{addr}");
        }
    }
}
