//! What YAML and exporter-toolkit accept and what opens a door by a slip: a key whose value is gone, a
//! `<<` that replaces what stands before it.

use std::collections::HashSet;

use swarmscout_config_decoder::Cx;
use swarmscout_config_decoder::yaml::{Data, Node, Position};

/// The sections that protect: what they lack without a value, with what to write; what `{}` means.
const SECTIONS: [(&str, &str, &str); 4] = [
    (
        "tls_server_config",
        "no value, so that TLS would be off: write cert_file and key_file, or remove the key",
        "empty: TLS is off",
    ),
    (
        "basic_auth_users",
        "no value, so that no password would be asked for: write NAME: HASH, or remove the key",
        "empty: no password is asked for",
    ),
    (
        "rate_limit",
        "no value, so that nothing would be limited: write interval and burst, or remove the key",
        "empty: nothing is limited",
    ),
    (
        "authorization",
        "no value, so that every client could do everything: write who has each right, as in \
         lists: [user:NAME], or remove the key",
        "empty: no client has any right but health",
    ),
];

/// Notes what is wrong behind the first document.
pub(crate) fn refuse_more(more: Option<Position>, cx: &mut Cx<'_>) {
    if let Some(at) = more {
        cx.error(
            at,
            "this stands behind the first document and would be ignored: write one document",
        );
    }
}

/// Notes keys without a value in the sections that protect, and what a `<<` replaces.
pub(crate) fn refuse(root: &Node, cx: &mut Cx<'_>) {
    refuse_late_merges(root, cx);
    for (section, advice, empty) in SECTIONS {
        for (at, node) in root.values(section) {
            cx.within(section, |cx| {
                if node.is_null() {
                    cx.error(at, advice);
                } else if matches!(node.data(), Data::Mapping(entries) if entries.is_empty()) {
                    // The toolkit takes it, and it was hardly written by mistake.
                    cx.warn(at, empty);
                } else {
                    refuse_late_merges(node, cx);
                    refuse_nulls(section, node, cx);
                }
            });
        }
    }
}

fn refuse_nulls(section: &str, node: &Node, cx: &mut Cx<'_>) {
    let Data::Mapping(entries) = node.data() else { return };
    for (key, value) in entries {
        if key.merge {
            value.merged().for_each(|map| refuse_nulls(section, map, cx));
        } else if value.is_null() {
            let advice = match section {
                // There an empty list is the way to say it.
                "authorization" => "no value: write who has the right, or [] for no client",
                // Its hash is missing, which is said elsewhere.
                "basic_auth_users" => continue,
                _ => "no value: write one, or remove the key",
            };
            cx.within(&key.text, |cx| cx.error(key.at, advice));
        }
    }
}

/// As Go has it, a `<<` replaces keys that stand before it. YAML says that it does not.
fn refuse_late_merges(node: &Node, cx: &mut Cx<'_>) {
    let Data::Mapping(entries) = node.data() else { return };
    let mut before = HashSet::new();
    for (key, value) in entries {
        if !key.merge {
            before.insert(&*key.text);
            continue;
        }
        let mut merged = HashSet::new();
        value.merged().for_each(|map| names(map, &mut merged));
        if let Some(name) = before.iter().filter(|name| merged.contains(*name)).min() {
            cx.error(key.at, format!("<< replaces {name}, which stands before it: write << first"));
        }
    }
}

/// The keys of a mapping, merged ones included.
fn names<'n>(map: &'n Node, into: &mut HashSet<&'n str>) {
    let Data::Mapping(entries) = map.data() else { return };
    for (key, value) in entries {
        if key.merge {
            value.merged().for_each(|map| names(map, into));
        } else {
            into.insert(&key.text);
        }
    }
}
