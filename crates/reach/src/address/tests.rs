//! On tables of a real Swarm (Docker 28.2, Linux 6.18): a worker, and containers of it.

use super::*;

const NODE: &str = include_str!("../../tests/fixtures/onhost/net/fib_trie");
const ROUTES: &str = include_str!("../../tests/fixtures/host/net/route");
/// Five overlay networks.
const FIVE: &str = include_str!("../../tests/fixtures/five/net/fib_trie");
/// One overlay network, and the routing mesh.
const ONE: &str = include_str!("../../tests/fixtures/one/net/fib_trie");
/// An overlay network, and an internal one.
const BOTH: &str = include_str!("../../tests/fixtures/both/net/fib_trie");
/// An internal network alone.
const INNER: &str = include_str!("../../tests/fixtures/inner/net/fib_trie");
/// A task without a network of the Swarm.
const PLAIN: &str = include_str!("../../tests/fixtures/plain/net/fib_trie");
/// A container of `docker run`.
const BRIDGED: &str = include_str!("../../tests/fixtures/bridged/net/fib_trie");
/// `--network none`.
const ALONE: &str = include_str!("../../tests/fixtures/alone/net/fib_trie");

fn found(container: &str, node: &str, route: &str) -> Option<String> {
    let is_bridge = |name: &str| name.starts_with("docker");
    let (container, node) = (local_addresses(container), local_addresses(node));
    on_a_bridge(&container, &node, &routes(route), is_bridge).map(|address| address.to_string())
}

#[test]
fn the_address_on_a_bridge_of_the_node_is_found() {
    for (what, table, expected) in [
        ("five overlay networks", FIVE, Some("172.18.0.5")),
        ("one and the routing mesh", ONE, Some("172.18.0.3")),
        ("one and an internal one", BOTH, Some("172.18.0.4")),
        ("an internal one alone", INNER, None),
        ("no network of the Swarm", PLAIN, Some("172.17.0.2")),
        ("no task", BRIDGED, Some("172.17.0.4")),
        ("no network at all", ALONE, None),
        // A task in the host's network, if it were not marked as one.
        ("the host's network", NODE, None),
        ("an empty table", "", None),
    ] {
        assert_eq!(found(table, NODE, ROUTES).as_deref(), expected, "{what}");
    }
}

#[test]
fn all_addresses_of_a_container_are_read() {
    let addresses = |table| {
        let addresses: Vec<_> = local_addresses(table).iter().map(ToString::to_string).collect();
        addresses.join(" ")
    };
    assert_eq!(
        addresses(FIVE),
        "10.93.1.3 10.93.2.3 10.93.3.3 10.93.4.3 10.93.5.3 127.0.0.1 172.18.0.5"
    );
    assert_eq!(addresses(INNER), "10.94.1.3 127.0.0.1");
    assert_eq!(addresses(NODE), "10.77.61.21 127.0.0.1 172.17.0.1 172.18.0.1");
}

/// The table of a container with one more address.
fn with(address: &str) -> String {
    format!("Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- {address}\n        /32 host LOCAL\n{INNER}")
}

#[test]
fn a_container_that_gives_itself_addresses_leads_nowhere_else() {
    for (address, expected) in [
        // Of its own bridge.
        ("172.18.0.77", Some("172.18.0.77")),
        // The node itself.
        ("172.18.0.1", None),
        ("172.17.0.1", None),
        ("10.77.61.21", None),
        ("127.0.0.1", None),
        ("127.1.2.3", None),
        ("0.0.0.0", None),
        ("255.255.255.255", None),
        ("224.0.0.1", None),
        // A neighbour of the node, and the cloud's metadata.
        ("10.77.61.11", None),
        ("169.254.169.254", None),
        ("8.8.8.8", None),
        ("not an address", None),
    ] {
        assert_eq!(found(&with(address), NODE, ROUTES).as_deref(), expected, "{address}");
    }
}

#[test]
fn the_route_that_the_node_takes_decides() {
    let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
    let table = with("172.18.0.77");
    for (what, routes, expected) in [
        ("the bridge's", "docker_gwbridge 000012AC 00000000 0001 0 0 0 0000FFFF 0 0 0", true),
        (
            "a more specific one over another interface",
            "docker_gwbridge 000012AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n\
             eth0 4D0012AC 00000000 0005 0 0 0 FFFFFFFF 0 0 0",
            false,
        ),
        (
            "a more specific one through a gateway",
            "docker_gwbridge 000012AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n\
             docker_gwbridge 000012AC 010012AC 0003 0 0 0 00FFFFFF 0 0 0",
            false,
        ),
        (
            "of two the one of the smaller metric",
            "docker_gwbridge 000012AC 00000000 0001 0 0 100 0000FFFF 0 0 0\n\
             eth0 000012AC 00000000 0001 0 0 50 0000FFFF 0 0 0",
            false,
        ),
        (
            "of two the one of the smaller metric, the bridge's",
            "eth0 000012AC 00000000 0001 0 0 100 0000FFFF 0 0 0\n\
             docker_gwbridge 000012AC 00000000 0001 0 0 50 0000FFFF 0 0 0",
            true,
        ),
        ("one that rejects", "docker_gwbridge 000012AC 00000000 0201 0 0 0 0000FFFF 0 0 0", false),
        ("one that is down", "docker_gwbridge 000012AC 00000000 0000 0 0 0 0000FFFF 0 0 0", false),
        ("the default route", "docker0 00000000 010012AC 0003 0 0 0 00000000 0 0 0", false),
        ("garbage", "docker_gwbridge x\n\n docker_gwbridge 000012AC 00000000 zz", false),
    ] {
        let found = found(&table, NODE, &format!("{head}{routes}\n"));
        assert_eq!(found.is_some(), expected, "{what}");
    }
}

#[test]
fn a_process_is_in_the_container_that_its_control_groups_name() {
    let id = "78e37991ebe3ce50f640047980ca42628a8f017e859c52b4b592b755c7a73f58";
    let other = "d36a2fd7fe2b9faff0687174f25e3691881c277b0f04ef7597cb5fea8859c815";
    let recorded = include_str!("../../tests/fixtures/five/cgroup");
    let of = |line: &str| line.replace("ID", id);
    for (cgroup, expected) in [
        (recorded.to_owned(), true),
        (of("0::/system.slice/docker-ID.scope\n"), true),
        (of("0::/docker/ID\n"), true),
        // Seen from a control group namespace beside it.
        (of("0::/../ID\n"), true),
        (of("0::/../docker-ID.scope\n"), true),
        (of("0::/../../system.slice/docker-ID.scope\n"), true),
        // A container that runs systemd, and a Docker in Docker.
        (of("0::/system.slice/docker-ID.scope/init.scope\n"), true),
        (format!("4:memory:/docker/{other}/docker/{id}\n"), true),
        (of("0::/\n"), false),
        (of("0::/docker/xID\n"), false),
        (of("0::/docker/IDx\n"), false),
        (of("1:name=ID:/\n"), false),
        (String::new(), false),
    ] {
        assert_eq!(is_in_container(&cgroup, id), expected, "{cgroup}");
        assert!(!is_in_container(&cgroup.replace(other, "x"), other), "{cgroup}");
    }
    assert!(!is_in_container("0::/docker\n", "docker"));
    assert!(!is_in_container("0::/\n", ""));
}

/// A bridge may have a network card in it, and the metadata of a cloud behind that.
#[test]
fn an_address_of_the_link_alone_is_never_used() {
    let routes = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                  docker_gwbridge 0000FEA9 00000000 0001 0 0 0 0000FFFF 0 0 0";
    assert_eq!(found(&with("169.254.169.254"), NODE, routes), None);
}
