//! Lists of nodes and what the DNS says.

use swarmscout_discovery::fuzzing::{self, dns};
use swarmscout_discovery::source::nodelist::{Location, MOST_NODES, expand_list};
use swarmscout_model::Labels;
use swarmscout_model::labels::ADDRESS;

use crate::checks;

/// `discovery` of a classic Swarm, and the lists that stand in it.
pub fn node_list(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match Location::parse(&text) {
        Ok(location) => {
            let shown = [location.to_string(), format!("{location:?}")];
            checks::password_is_hidden(&text, &[&shown[0], &shown[1]]);
            if let Location::Token { token, .. } = location {
                let token = token.expose();
                if token.len() >= 6 && text.matches(token).count() == 1 {
                    checks::is_hidden(token, &[&shown[0], &shown[1]]);
                }
            }
        }
        Err(error) => checks::password_is_hidden(&text, &[&error.to_string()]),
    }
    let Ok(nodes) = expand_list(&text) else { return };
    assert!(nodes.len() <= MOST_NODES);
    let size: usize = nodes.iter().map(String::len).sum();
    assert!(size <= text.len() + 300 * nodes.len(), "{size} bytes of names");
    assert!(nodes.iter().all(|node| node.contains(':')));
    let (groups, problems) = fuzzing::node_list(&nodes, nodes.first().map(String::as_str));
    checks::groups(&groups);
    assert!(problems.len() <= nodes.len() + 1);
}

/// An answer of a DNS server: the names in it are names again when they are asked for.
pub fn dns_answer(message: &[u8]) {
    let Some(targets) = dns::targets(message) else { return };
    for target in &targets {
        checks::discovered(target);
        assert!(target.get(ADDRESS).is_some());
        for (name, value) in target {
            if name.ends_with("_record_target") {
                let wire = dns::name_on_the_wire(value);
                assert!(wire.is_ok_and(|wire| wire.len() <= 255), "{value:?} is not a name");
            }
        }
    }
    // A pointer of two bytes stands for a name of 255, and each of these may be written as `\\DDD`.
    let size: usize = targets.iter().map(Labels::heap_size).sum();
    assert!(size <= 300 * message.len(), "{size} bytes of targets");
}

/// A `resolv.conf` behind a line with a name to look up.
pub fn resolv_conf(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let (name, conf) = text.split_once('\n').unwrap_or((&text, ""));
    let (servers, names) = dns::complete(conf, name);
    assert!(servers > 0 && !names.is_empty());
    for name in names {
        if let Ok(wire) = dns::name_on_the_wire(&name) {
            assert!(wire.len() <= 255, "{name:?}");
        }
    }
}
