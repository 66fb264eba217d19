//! Reads the rows of one node.

use std::borrow::Cow;

use swarmscout_refresh::problems::Problems;

use super::info::{bad_row, pair};
use crate::engine::{Reader, micros_of};

/// The name of a node that its master never reached.
pub const UNKNOWN_NODE: &str = "(unknown)";

/// A node, as its master describes it. Missing members are empty.
#[derive(Debug, Default)]
pub struct ClassicNode<'a> {
    /// Its host name; [`UNKNOWN_NODE`] while it is pending.
    pub name: Cow<'a, str>,
    /// `host:port` of its Engine.
    pub addr: Cow<'a, str>,
    /// Of its Engine, from 1.2.1.
    pub id: Cow<'a, str>,
    /// `Healthy`, `Pending`, `Unhealthy` or `Disconnected`, from 1.0.1.
    pub status: Cow<'a, str>,
    /// The last error; empty without one.
    pub error: Cow<'a, str>,
    /// Of its Engine, from 1.2.0.
    pub server_version: Cow<'a, str>,
    containers: Cow<'a, str>,
    reserved_cpus: Cow<'a, str>,
    reserved_memory: Cow<'a, str>,
    labels: Cow<'a, str>,
    updated_at: Cow<'a, str>,
}

/// How much of what a node has is reserved, as texts; empty where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reservation<'a> {
    /// Reserved by containers.
    pub reserved: &'a str,
    /// What there is.
    pub total: &'a str,
}

impl<'a> ClassicNode<'a> {
    /// Reads `[[" node-1","10.0.0.1:2375"],["  └ Status","Healthy"],…]`, and reports bad rows.
    pub fn read(rows: &'a [u8], problems: &mut Problems) -> Self {
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
                node.name = trimmed(key);
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

    /// The same without reports.
    pub fn of(rows: &'a [u8]) -> Self {
        Self::read(rows, &mut Problems::default())
    }

    /// The host name and the address in the same rows, without reading the others.
    pub fn name_of(rows: &'a [u8]) -> (Cow<'a, str>, Cow<'a, str>) {
        let first = Reader::new(rows.get(1..).unwrap_or_default()).skip();
        let (name, addr) = first.ok().and_then(|row| pair(row).ok()).unwrap_or_default();
        (trimmed(name), addr)
    }

    /// How many containers it has.
    pub fn containers(&self) -> Containers<'_> {
        Containers::read(&self.containers)
    }

    /// CPUs.
    pub fn cpus(&self) -> Reservation<'_> {
        halves(&self.reserved_cpus)
    }

    /// Memory, in texts for [`bytes()`].
    pub fn memory(&self) -> Reservation<'_> {
        halves(&self.reserved_memory)
    }

    /// The labels of its Engine, for [`split_labels`].
    pub fn labels(&self) -> &str {
        &self.labels
    }

    /// When the master last received a report of it, in microseconds since 1970, from 1.1.0; 0 if
    /// unknown.
    pub fn updated(&self) -> i64 {
        micros_of(self.updated_at.as_bytes())
    }
}

fn trimmed(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => name.trim_start().into(),
        Cow::Owned(name) => name.trim_start().to_owned().into(),
    }
}

/// Key and value of each label of the row.
///
/// Swarm writes a map into one row: sorted `k=v` pairs, joined by `, `. A value may hold both `=` and
/// `, `, so a new label starts only where a key and `=` follow the comma. That is not always right:
/// `list=x, y=z, zone=fake` could be one label or three, and is read as three. If a key then occurs
/// twice, the last one counts, which is usually the real one.
pub fn split_labels(row: &str) -> impl Iterator<Item = (&str, &str)> {
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

/// `2 (1 Running, 0 Paused, 1 Stopped)`, or `2`: numbers as texts, empty where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Containers<'a> {
    /// All of them.
    pub all: &'a str,
    /// Of those, running; from 1.2.4 of healthy nodes, as the next two.
    pub running: &'a str,
    /// Of those, paused.
    pub paused: &'a str,
    /// Of those, stopped.
    pub stopped: &'a str,
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
fn halves(text: &str) -> Reservation<'_> {
    let (reserved, total) = text.split_once(" / ").unwrap_or((text, ""));
    Reservation { reserved, total }
}

/// The bytes of a size such as `24.72 GiB`; `None` for a text that is not a size. The master has
/// rounded it to four digits.
pub fn bytes(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = units.iter().position(|known| *known == unit)?;
    let number = number.parse::<f64>().ok()?;
    let bytes = (number * 1024_f64.powi(i32::try_from(power).ok()?)).round();
    (bytes.is_finite() && number >= 0.0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (text, expected) in [
            ("0 B", Some(0.0)),
            ("64 MiB", Some(67_108_864.0)),
            ("24.72 GiB", Some(26_542_897_889.0)),
            ("1.5 KiB", Some(1536.0)),
            ("", None),
            ("64", None),
            ("x MiB", None),
            ("-1 B", None),
            ("inf GiB", None),
            ("NaN GiB", None),
            ("1e308 EiB", None),
            ("1e+03 MiB", Some(1_048_576_000.0)),
            ("1 GB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
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
