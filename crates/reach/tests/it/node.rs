//! Whose address is fetched from: recorded tables of a real node, and processes that come and go.

use std::fs;
use std::path::Path;

use swarmscout_reach::ReachableTask;

use crate::support::{CONTAINER, Node, PID, Target, read, reason, task};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup\n";

/// A node whose tables are the recorded ones, with a task that has those of a recorded container.
fn recorded(container: &str, change: impl FnOnce(&mut ReachableTask)) -> Node {
    let mut listed = ReachableTask { host_network: false, ..task(8080, "http") };
    change(&mut listed);
    let node = Node::new(listed, |_| {});
    let fixture = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        fs::read_to_string(path).unwrap()
    };
    let own = fixture(&format!("{container}/net/fib_trie"));
    node.folder.write(&format!("{PID}/net/fib_trie"), &own);
    node.folder.write("self/net/route", &fixture("host/net/route"));
    node.folder.write("self/net/fib_trie", &fixture("onhost/net/fib_trie"));
    node
}

/// What comes of a fetch from it: `status reason text`.
async fn outcome(node: &Node) -> String {
    let answer = node.get(8080).await;
    let start = format!("{} {} ", answer.status().as_u16(), reason(&answer));
    let text = read(answer).await.unwrap();
    start + text.trim_end().trim_start_matches("cannot fetch from port 8080 of task web.1: ")
}

#[tokio::test]
async fn a_task_without_a_way_to_it_is_an_error_that_says_what_to_do() {
    let inner = recorded("inner", |task| task.internal_only = true);
    inner.folder.write("sys/class/net/docker_gwbridge/bridge/x", "");
    assert_eq!(
        outcome(&inner).await,
        "403 internal all networks of the task are internal, so its node has no way to it: attach it \
         to one more network that is not"
    );
    assert_eq!(Node::count(inner.reach.stats().refused(), "internal"), 1);
    assert_eq!((inner.reach.stats().abandoned(), inner.reach.stats().in_flight()), (0, 0));
    // In a container with a network of its own.
    let elsewhere = recorded("five", |_| {});
    elsewhere.folder.write("self/net/route", "Iface Destination Gateway\n");
    let text = outcome(&elsewhere).await;
    let start = "502 no_bridge this node part has a bridge to none of its addresses (10.93.1.3, \
                 10.93.2.3, 10.93.3.3, 10.93.4.3, 10.93.5.3, 172.18.0.5): if it is not in the host's \
                 network, start it there (--network host); ";
    assert!(text.starts_with(start), "{text}");
    // The interface is not a bridge.
    let routed = recorded("five", |_| {});
    routed.folder.write("sys/class/net/docker_gwbridge/x", "");
    let text = outcome(&routed).await;
    assert!(text.starts_with(start), "{text}");
    // In the network of the host, with /sys of another one.
    let text = outcome(&recorded("five", |_| {})).await;
    let start =
        "502 no_bridge the way to its address 172.18.0.5 is the interface docker_gwbridge, which ";
    assert!(text.starts_with(start) && text.contains("Mount nothing over /sys"), "{text}");
    // An overlay network may have the numbers of a bridge.
    let excluded =
        recorded("five", |task| task.excluded_addresses = vec!["172.18.0.5".parse().unwrap()]);
    excluded.folder.write("sys/class/net/docker_gwbridge/bridge/x", "");
    assert!(outcome(&excluded).await.starts_with("502 no_bridge "));
    let alone = recorded("alone", |_| {});
    assert_eq!(
        outcome(&alone).await,
        "502 no_bridge it has no IPv4 address but that of loopback: attach it to a network with a bridge and IPv4"
    );
}

#[tokio::test]
async fn tables_that_cannot_be_read_are_named() {
    let node = recorded("five", |_| {});
    fs::remove_file(node.folder.path().join("self/net/route")).unwrap();
    let outcome_of = outcome(&node).await;
    assert!(outcome_of.starts_with("502 unreadable cannot read "), "{outcome_of}");
    assert!(outcome_of.ends_with("/self/net/route: no such file"), "{outcome_of}");
    // A container may have as many addresses as it likes.
    let node = recorded("five", |_| {});
    node.folder.write(&format!("{PID}/net/fib_trie"), &"x".repeat(300 << 10));
    let outcome_of = outcome(&node).await;
    assert!(outcome_of.ends_with("it has more than 256 KiB"), "{outcome_of}");
    let node = recorded("five", |_| {});
    fs::write(node.folder.path().join(format!("{PID}/cgroup")), [0xff; 10]).unwrap();
    let outcome_of = outcome(&node).await;
    assert!(outcome_of.starts_with("502 unreadable "), "{outcome_of}");
}

#[tokio::test]
async fn a_number_of_another_process_is_never_read() {
    let target = Target::kept(OK).await;
    let none = |change: fn(&mut ReachableTask)| {
        let mut task = task(target.port(), "http");
        change(&mut task);
        Node::new(task, |_| {})
    };
    for (what, node, words) in [
        ("no container", none(|task| task.container.clear()), "it has no running container"),
        ("no process", none(|task| task.pid = 0), "it has no running container"),
        ("another number", none(|task| task.pid = 43), "its process 43 has ended"),
        (
            "another container",
            none(|task| task.container = CONTAINER.replace('7', "8")),
            "its process 42 has ended, or this number is that of another process now",
        ),
    ] {
        let answer = node.get(target.port()).await;
        assert_eq!((answer.status().as_u16(), reason(&answer)), (502, "gone"), "{what}");
        let text = read(answer).await.unwrap();
        assert!(text.contains(words), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_kept_connection_does_not_outlive_its_process() {
    let target = Target::kept(OK).await;
    let node = target.node(|_| {});
    assert_eq!(read(node.get(target.port()).await).await.unwrap(), "up\n");
    fs::remove_dir_all(node.folder.path().join(PID.to_string())).unwrap();
    assert_eq!(reason(&node.get(target.port()).await), "gone");
    // The number is given to another process, and then the container starts again.
    node.folder.write(&format!("{PID}/cgroup"), "0::/user.slice\n");
    assert_eq!(reason(&node.get(target.port()).await), "gone");
    node.folder.write("44/cgroup", &format!("0::/docker/{CONTAINER}\n"));
    node.publish(ReachableTask { pid: 44, ..task(target.port(), "http") });
    assert_eq!(read(node.get(target.port()).await).await.unwrap(), "up\n");
    assert_eq!(node.reach.stats().connections(), 2);
}

/// An address that a container had may be that of another one now.
#[tokio::test]
async fn what_was_known_of_a_container_is_forgotten_when_it_gets_another_address() {
    let target = Target::kept(OK).await;
    let node = target.node(|_| {});
    for (addresses, connections) in [("", 1), ("", 1), ("172.18.0.2", 2), ("172.21.0.2", 3)] {
        let addresses = addresses.parse().into_iter().collect();
        node.publish(ReachableTask { addresses, ..task(target.port(), "http") });
        assert_eq!(read(node.get(target.port()).await).await.unwrap(), "up\n");
        assert_eq!(node.reach.stats().connections(), connections);
    }
}
