//! The rows in which a master reports its nodes.

use super::{Node, Status, Version};

/// All rows: what the master says of itself, then of each node.
///
/// `old`: keys begin with a backspace, which moved them left on a terminal of the time, and a
/// node's rows are indented by one space less.
pub(super) fn rows(
    version: Version,
    primary: Option<&str>,
    old: bool,
    nodes: &[Node],
) -> Vec<(String, String)> {
    let head = |key: &str, value: &str| {
        (if old { format!("\u{8}{key}") } else { key.to_owned() }, value.to_owned())
    };
    let filters = if version < (1, 0, 0) {
        "affinity, health, constraint, port, dependency"
    } else if version < (1, 2, 3) {
        "health, port, dependency, affinity, constraint"
    } else if version < (1, 2, 6) {
        "health, port, containerslots, dependency, affinity, constraint"
    } else {
        "health, port, containerslots, dependency, affinity, constraint, whitelist"
    };
    let mut rows = Vec::new();
    if version >= (0, 3, 0) {
        rows.push(head("Role", if primary.is_some() { "replica" } else { "primary" }));
        rows.extend(primary.map(|primary| head("Primary", primary)));
    }
    if version >= (0, 2, 0) {
        rows.extend([head("Strategy", "spread"), head("Filters", filters)]);
    }
    rows.push(head("Nodes", &nodes.len().to_string()));
    for node in nodes {
        node_rows(version, old, node, &mut rows);
    }
    rows
}

fn node_rows(version: Version, old: bool, node: &Node, rows: &mut Vec<(String, String)>) {
    let name = node.shown_name();
    rows.push((if old { name.to_owned() } else { format!(" {name}") }, node.addr.clone()));
    let known = node.status != Status::Pending;
    let mut row = |key: &str, value: String| {
        rows.push((format!("{} └ {key}", if old { "" } else { " " }), value));
    };
    if version >= (1, 2, 1) {
        row("ID", if known { node.id.clone() } else { String::new() });
    }
    if version >= (1, 0, 0) {
        row("Status", format!("{:?}", node.status));
    }
    let (running, paused, stopped) = if known { node.containers } else { (0, 0, 0) };
    let containers = running + paused + stopped;
    row(
        "Containers",
        if version >= (1, 2, 4) && node.status == Status::Healthy {
            format!("{containers} ({running} Running, {paused} Paused, {stopped} Stopped)")
        } else {
            containers.to_string()
        },
    );
    let (reserved, all) = if known { node.cpus } else { (0, 0) };
    row("Reserved CPUs", format!("{reserved} / {all}"));
    let (reserved, all) = if known { node.memory } else { (0, 0) };
    row("Reserved Memory", format!("{} / {}", size(reserved), size(all)));
    if version >= (0, 3, 0) {
        let mut labels: Vec<_> = node.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        labels.sort();
        row("Labels", if known { labels.join(", ") } else { String::new() });
    }
    if version >= (1, 1, 0) {
        match (version < (1, 2, 3), node.error.is_empty()) {
            (true, true) => row("Error", "(none)".to_owned()),
            (false, true) => {}
            (_, false) => row("Error", node.error.clone()),
        }
        row("UpdatedAt", node.updated_at.clone());
    }
    if version >= (1, 2, 0) {
        row("ServerVersion", if known { node.server_version.clone() } else { String::new() });
    }
}

/// A size in the words of go-units' `BytesSize`: four significant digits, base 1024.
fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while size >= 1024.0 {
        size /= 1024.0;
        unit = units.next().unwrap_or(unit);
    }
    let before = size.trunc().to_string().len();
    let digits = format!("{size:.*}", 4_usize.saturating_sub(before));
    let number = match digits.split_once('.') {
        Some(_) => digits.trim_end_matches('0').trim_end_matches('.'),
        None => &digits,
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_written_as_go_units_does() {
        for (bytes, text) in [
            (0, "0 B"),
            (64 << 20, "64 MiB"),
            (26_540_340_019, "24.72 GiB"),
            (1000, "1000 B"),
            (1 << 40, "1 TiB"),
            (25_276_514_304, "23.54 GiB"),
        ] {
            assert_eq!(super::size(bytes), text);
        }
    }
}
