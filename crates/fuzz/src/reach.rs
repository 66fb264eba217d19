//! Requests that fetch from tasks, and the kernel's tables that say where those are.

use http::Request;
use swarmscout_reach::{ReachTarget, Reachable, ReachableTask, fuzzing};

/// What stands between the list of what may be fetched and the request, and between two tables.
pub const THEN: &str = "\n--\n";

/// Targets (`task scheme port path`, one a line), then a request: its URI, its headers.
///
/// What is fetched is compared with the URLs of all targets.
pub fn request(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let (list, request) = text.split_once(THEN).unwrap_or(("", &text));
    let tasks = list.lines().take(100).filter_map(|line| {
        let mut words = line.splitn(4, ' ');
        let id = words.next()?.to_owned();
        let (scheme, port) = (words.next()?, words.next()?.parse().ok()?);
        let targets = vec![ReachTarget::new(scheme, port, words.next().unwrap_or_default())?];
        Some(ReachableTask { id, targets, ..ReachableTask::default() })
    });
    let list: Reachable = tasks.collect();
    // As it came, and as each listed target would be asked for.
    let (uri, headers) = request.split_once('\n').unwrap_or((request, ""));
    decide(uri, headers, &list);
    for task in list.tasks() {
        for target in &task.targets {
            let before = format!("/reach/{}/{}/{}", task.id, target.scheme(), target.port());
            for path in target.paths() {
                decide(&format!("{before}{path}"), headers, &list);
                decide(&format!("{before}{path}{uri}"), headers, &list);
            }
        }
    }
}

fn decide(uri: &str, headers: &str, list: &Reachable) {
    let mut request = Request::get(uri);
    for line in headers.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        request = request.header(name, value);
    }
    // hyper passes on nothing that cannot be a request.
    if let Ok(request) = request.body(()) {
        fuzzing::only_listed(&request.into_parts().0, list);
    }
}

/// `fib_trie` of a container, `fib_trie` and `route` of its node; interfaces with an even number of
/// letters are bridges.
pub fn tables(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let mut tables = text.splitn(3, THEN);
    let mut next = || tables.next().unwrap_or_default();
    let (container, node, routes) = (next(), next(), next());
    let is_bridge = |name: &str| name.len().is_multiple_of(2);
    let Some(address) = fuzzing::address(container, node, routes, is_bridge) else { return };
    assert!(container.contains(&address.to_string()), "{address} is not of the container");
    assert!(!address.is_loopback());
    assert!(!fuzzing::addresses(node).contains(&address), "{address} is the node's");
    // Some line of the routes has the interface, and a mask that lets the address through.
    let leads = routes.lines().any(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let number = |at: usize| {
            let word = words.get(at).copied().unwrap_or_default();
            u32::from_str_radix(word, 16).map_or(1, u32::swap_bytes)
        };
        let [destination, gateway, mask] = [number(1), number(2), number(7)];
        words.first().is_some_and(|name| is_bridge(name))
            && u32::from(address) & mask == destination
            && gateway == 0
    });
    assert!(leads, "no route of a bridge leads to {address}");
}
