//! The ways in for the fuzz targets of `crates/fuzz`. No part of this crate's interface.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http::request::Parts;

use crate::address;
use crate::{REACH_PREFIX, ReachRefusal, Reachable, decide};

/// The address that is used of a container with this `fib_trie`, on a node with this one and these
/// routes, whose bridges are the interfaces of these names.
pub fn address(
    fib_trie: &str,
    node: &str,
    routes: &str,
    is_bridge: impl Fn(&str) -> bool,
) -> Option<Ipv4Addr> {
    let (container, node) = (address::local_addresses(fib_trie), address::local_addresses(node));
    address::on_a_bridge(&container, &node, &address::routes(routes), is_bridge)
}

/// The addresses in a `fib_trie`.
pub fn addresses(fib_trie: &str) -> BTreeSet<Ipv4Addr> {
    address::local_addresses(fib_trie)
}

/// Whether a `cgroup` is that of a container.
pub fn is_in_container(cgroup: &str, container: &str) -> bool {
    address::is_in_container(cgroup, container)
}

/// Panics unless a request fetches exactly what one of the listed URLs names, or nothing.
pub fn only_listed(request: &Parts, list: &Reachable) {
    let sent = request.uri.path();
    let mut listed = list.tasks().flat_map(|task| {
        task.targets.iter().flat_map(move |target| {
            let before = format!("{REACH_PREFIX}{}/{}/{}", task.id, target.scheme(), target.port());
            target
                .paths()
                .map(move |path| (task, target, format!("{before}{path}"), path.to_owned()))
        })
    });
    let named = listed.find(|(_, _, url, _)| url == sent);
    let decided = decide(request, list, true);
    match (decided, named) {
        (Ok(fetch), Some((task, target, _, path))) => {
            assert!(request.method == http::Method::GET);
            assert!(Arc::ptr_eq(&fetch.task, task), "another task");
            assert!(fetch.port == target.port() && fetch.https == target.is_https());
            assert_eq!(fetch.path.path(), path);
            assert_eq!(fetch.path.query(), request.uri.query());
            for (name, value) in &fetch.headers {
                assert!(request.headers.get_all(name).iter().any(|sent| sent == value));
                let passed = ["accept", "accept-encoding", "x-prometheus-scrape-timeout-seconds"];
                assert!(passed.contains(&name.as_str()), "{name} is passed on");
            }
        }
        (Ok(fetch), None) => panic!("{sent} is not listed, and fetches {fetch:?}"),
        (Err(refusal), Some(_)) => {
            let is_path = matches!(
                refusal,
                ReachRefusal::Path
                    | ReachRefusal::Task
                    | ReachRefusal::Target
                    | ReachRefusal::Closed
            );
            assert!(!is_path, "{sent} is listed, and refused: {refusal}");
        }
        (Err(_), None) => {}
    }
    assert_eq!(decide(request, list, false).err(), Some(ReachRefusal::Closed));
}
