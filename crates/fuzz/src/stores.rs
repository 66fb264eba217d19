//! What the stores answer in which classic Swarms keep their lists of nodes.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::Value;
use swarmscout_discovery::fuzzing::{self, stores};

use crate::checks;

/// etcd's version 2.
pub fn etcd2(input: &[u8]) {
    check_answered(input, stores::etcd2);
}

/// etcd's version 3.
pub fn etcd3(input: &[u8]) {
    check_answered(input, stores::etcd3);
}

/// Consul.
pub fn consul(input: &[u8]) {
    check_answered(input, stores::consul);
}

/// A service of tokens.
pub fn token(input: &[u8]) {
    check_answered(input, stores::token);
}

/// What a server of ZooKeeper says, behind a byte: whether there is a user, and whether a path.
pub fn zookeeper(input: &[u8]) {
    let Some((how, says)) = input.split_first() else { return };
    let path = if how & 1 == 0 { "" } else { "swarm/a" };
    match stores::zookeeper(says, path, how & 2 != 0) {
        Ok(listed) => check_listed(&listed, says.len()),
        Err(reason) => assert!(reason.len() <= 3 * says.len() + 500, "{reason}"),
    }
}

/// An answer over HTTP, behind a line with its status, its version and the path of the
/// configuration. Each node stands in it as a text, or in base64.
fn check_answered(input: &[u8], list: fn(stores::Answered<'_>) -> Vec<stores::Listed>) {
    let Some(line) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (head, body) = (String::from_utf8_lossy(&input[..line]), &input[line + 1..]);
    let mut words = head.split(' ');
    let status = words.next().and_then(|status| status.parse::<StatusCode>().ok());
    let index = words.next().and_then(|index| index.parse().ok());
    let path = words.next().unwrap_or_default().trim_matches('/');
    let answered = stores::Answered { path, status: status.unwrap_or_default(), index, body };
    for listed in list(answered) {
        check_listed(&listed, body.len());
        let mut texts = BTreeSet::new();
        // Every answer that lists something is JSON, where it was checked.
        let text = String::from_utf8_lossy(body);
        if let (false, Ok(json)) = (listed.nodes.is_empty(), serde_json::from_str(&text)) {
            collect(&json, &mut texts);
        }
        for node in listed.nodes.iter().take(100) {
            let below_path = || texts.iter().any(|text| text.ends_with(node.as_str()));
            assert!(texts.contains(node) || below_path(), "{node:?} stands nowhere");
        }
    }
}

fn check_listed(listed: &stores::Listed, input: usize) {
    let size: usize = listed.nodes.iter().map(String::len).sum();
    // A byte that is no UTF-8 is three bytes of text.
    assert!(size <= 3 * input, "{size} bytes of nodes");
    let (groups, problems) = fuzzing::node_list(&listed.nodes, listed.primary.as_deref());
    checks::groups(&groups);
    assert!(problems.len() <= listed.nodes.len() + 1);
}

/// All texts of a value, and what they are in base64.
fn collect(json: &Value, texts: &mut BTreeSet<String>) {
    match json {
        Value::String(text) => {
            let decoded = STANDARD.decode(text).ok();
            texts.extend(decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
            texts.insert(text.clone());
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, texts)),
        Value::Object(members) => members.values().for_each(|member| collect(member, texts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    /// A refresh that stops at its first answer would say nothing of the others.
    #[test]
    fn the_seeds_are_whole_refreshes() {
        let refreshes = seeds::zookeeper();
        let listed =
            |refresh: usize| stores::zookeeper(&refreshes[refresh][1..], "", false).unwrap();
        let both = ["10.0.0.1:2375", "10.0.0.2:2375"];
        assert_eq!(listed(0).nodes, both);
        assert_eq!(listed(0).primary.as_deref(), Some("10.0.0.9:3375"));
        assert_eq!(listed(1).nodes, both[..1]);
    }
}
