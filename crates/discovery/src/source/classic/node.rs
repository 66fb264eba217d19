//! Reads the rows of one node, and makes its labels.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::ops::Range;

use swarmscout_docker::engine::Reader;
use swarmscout_model::labels::{ADDRESS, INSTANCE};
use swarmscout_model::name::push_sanitized;
use swarmscout_model::{Labels, LabelsWriter};
use swarmscout_refresh::problems::{Problems, shown};

use super::super::moby::AddressWriter;
use super::info::{bad_row, pair};
use crate::limits::MOST_LABELS;

/// The name of a node that its master never reached.
const UNKNOWN: &str = "(unknown)";

/// A node, as its master describes it. Missing members are empty.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    name: Cow<'a, str>,
    addr: Cow<'a, str>,
    id: Cow<'a, str>,
    status: Cow<'a, str>,
    containers: Cow<'a, str>,
    reserved_cpus: Cow<'a, str>,
    reserved_memory: Cow<'a, str>,
    labels: Cow<'a, str>,
    error: Cow<'a, str>,
    updated_at: Cow<'a, str>,
    server_version: Cow<'a, str>,
}

impl<'a> Node<'a> {
    /// Reads `[[" node-1","10.0.0.1:2375"],["  └ Status","Healthy"],…]`.
    pub(super) fn read(rows: &'a [u8], problems: &mut Problems) -> Self {
        let mut node = Self::default();
        let mut first = true;
        let before = problems.mark();
        let read = Reader::new(rows).array(|reader| {
            let row = reader.skip()?;
            let is_first = std::mem::take(&mut first);
            let Ok((key, value)) = pair(row) else {
                bad_row(row, problems);
                return Ok(());
            };
            if is_first {
                node.addr = value;
                node.name = match key {
                    Cow::Borrowed(key) => key.trim_start().into(),
                    Cow::Owned(key) => key.trim_start().to_owned().into(),
                };
                return Ok(());
            }
            match key.trim_start_matches([' ', '└']) {
                "ID" => node.id = value,
                "Status" => node.status = value,
                "Containers" => node.containers = value,
                "Reserved CPUs" => node.reserved_cpus = value,
                "Reserved Memory" => node.reserved_memory = value,
                "Labels" => node.labels = value,
                "Error" if value != "(none)" => node.error = value,
                "UpdatedAt" => node.updated_at = value,
                "ServerVersion" => node.server_version = value,
                _ => {}
            }
            Ok(())
        });
        debug_assert!(read.is_ok(), "the rows were found by the same reader");
        problems.name_since(before, &node.name);
        node
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
            problems.push("node", &self.name, reason, detail);
        };
        // In the order of their names, for which the writer is fast.
        match host_of(&self.addr) {
            Some(host) => writer.push(ADDRESS, address.host(host, port)),
            None => problem("address without host", self.addr.to_string()),
        }
        let containers = Containers::read(&self.containers);
        writer.push("__meta_swarm_node_containers", containers.all);
        writer.push("__meta_swarm_node_containers_paused", containers.paused);
        writer.push("__meta_swarm_node_containers_running", containers.running);
        writer.push("__meta_swarm_node_containers_stopped", containers.stopped);
        writer.push("__meta_swarm_node_error", &self.error);
        writer.push("__meta_swarm_node_id", &self.id);
        write_labels(&self.labels, writer, &mut problem);
        if self.name != UNKNOWN {
            writer.push("__meta_swarm_node_name", &self.name);
        }
        let (reserved_cpus, total_cpus) = halves(&self.reserved_cpus);
        let (reserved_memory, total_memory) = halves(&self.reserved_memory);
        writer.push("__meta_swarm_node_reserved_cpus", reserved_cpus);
        push_bytes("__meta_swarm_node_reserved_memory_bytes", reserved_memory, writer);
        writer.push("__meta_swarm_node_server_version", &self.server_version);
        writer.push("__meta_swarm_node_status", &self.status);
        writer.push("__meta_swarm_node_total_cpus", total_cpus);
        push_bytes("__meta_swarm_node_total_memory_bytes", total_memory, writer);
        writer.push("__meta_swarm_node_updated_at", &self.updated_at);
        writer.push(INSTANCE, &self.addr);
        writer.build()
    }
}

/// Writes the engine's labels.
///
/// Swarm writes a map into one row: sorted `k=v` pairs, joined by `, `. A value may hold both `=`
/// and `, `, so a new label starts only where a key and `=` follow the comma. That is not always
/// right: `list=x, y=z, zone=fake` could be one label or three, and is read as three. If a key then
/// occurs twice, the last one counts, which is usually the real one.
fn write_labels(
    row: &str,
    writer: &mut LabelsWriter,
    problem: &mut impl FnMut(&'static str, String),
) {
    let mut names = String::new();
    // One more than the limit is enough to detect that there are too many.
    let mut labels: Vec<_> = split_labels(row)
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

/// Key and value of each label of the row.
fn split_labels(row: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(row);
    std::iter::from_fn(move || {
        let row = rest?;
        let end = row
            .match_indices(", ")
            .map(|(comma, _)| comma)
            .find(|comma| starts_with_key(&row[comma + 2..]));
        rest = end.map(|end| &row[end + 2..]);
        Some(&row[..end.unwrap_or(row.len())])
    })
    .filter_map(|label| label.split_once('='))
}

/// Whether a text starts with a key and `=`. Keys with spaces exist, but are rare: such a text is
/// more likely the rest of a sentence.
fn starts_with_key(text: &str) -> bool {
    // The first of these decides. A search for `=` after each comma would take quadratic time if
    // there is none.
    let end = text.find(['=', ' ', ',']);
    end.is_some_and(|end| end > 0 && text.as_bytes()[end] == b'=')
}

/// `2 (1 Running, 0 Paused, 1 Stopped)`, or `2`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Containers<'a> {
    all: &'a str,
    running: &'a str,
    paused: &'a str,
    stopped: &'a str,
}

impl<'a> Containers<'a> {
    fn read(text: &'a str) -> Self {
        let (all, states) = text.split_once(" (").unwrap_or((text, ""));
        let mut containers = Self { all, ..Self::default() };
        for state in states.trim_end_matches(')').split(", ") {
            match state.split_once(' ') {
                Some((count, "Running")) => containers.running = count,
                Some((count, "Paused")) => containers.paused = count,
                Some((count, "Stopped")) => containers.stopped = count,
                _ => {}
            }
        }
        containers
    }
}

/// Both sides of `1 / 2`.
fn halves(text: &str) -> (&str, &str) {
    text.split_once(" / ").unwrap_or((text, ""))
}

/// Writes a size such as `24.72 GiB` as a number of bytes, and nothing for a text that is not a
/// size. The master has rounded it to four digits.
fn push_bytes(name: &str, text: &str, writer: &mut LabelsWriter) {
    let bytes = || {
        let (number, unit) = text.split_once(' ')?;
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let power = units.iter().position(|known| *known == unit)?;
        let number = number.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)?;
        Some((number * 1024_f64.powi(i32::try_from(power).ok()?)).round())
    };
    if let Some(bytes) = bytes() {
        writer.push(name, &bytes.to_string());
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

    #[test]
    fn labels() {
        for (row, labels) in [
            ("", &[][..]),
            ("a=1", &[("a", "1")]),
            ("a=1, b=2", &[("a", "1"), ("b", "2")]),
            ("note=a,b=c d, zone=z1", &[("note", "a,b=c d"), ("zone", "z1")]),
            ("url=http://h:1/?q=1&r=2", &[("url", "http://h:1/?q=1&r=2")]),
            ("city=Zürich ✓, empty=, z=1", &[("city", "Zürich ✓"), ("empty", ""), ("z", "1")]),
            ("note=one, two, a=b", &[("note", "one, two"), ("a", "b")]),
            ("note=well, so be=it, a=b", &[("note", "well, so be=it"), ("a", "b")]),
            ("list=x, y=z, zone=fake", &[("list", "x"), ("y", "z"), ("zone", "fake")]),
            ("no label at all", &[]),
        ] {
            assert_eq!(split_labels(row).collect::<Vec<_>>(), labels, "{row}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0 B", Some("0")),
            ("64 MiB", Some("67108864")),
            ("24.72 GiB", Some("26542897889")),
            ("1.5 KiB", Some("1536")),
            ("", None),
            ("64", None),
            ("x MiB", None),
            ("-1 B", None),
            ("inf GiB", None),
            ("1 GB", None),
        ] {
            let mut writer = LabelsWriter::new();
            push_bytes("x", text, &mut writer);
            assert_eq!(writer.build().get("x"), bytes, "{text}");
        }
    }

    #[test]
    fn containers() {
        let read = |text| {
            let containers = Containers::read(text);
            [containers.all, containers.running, containers.paused, containers.stopped]
        };
        assert_eq!(read("8"), ["8", "", "", ""]);
        assert_eq!(read("9 (5 Running, 3 Paused, 1 Stopped)"), ["9", "5", "3", "1"]);
        assert_eq!(read(""), ["", "", "", ""]);
    }
}
