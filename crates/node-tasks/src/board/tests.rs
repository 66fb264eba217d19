use swarmscout_docker::engine::Task;
use swarmscout_refresh::supervisor::{Health, LastGood};
use swarmscout_swarm::{Feed, ListScope};

use super::*;
use crate::query::NodeQuery;

const NODES: usize = 3000;

/// A Swarm of many nodes, each with a task.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
    for number in 0..NODES {
        let id: Arc<str> = format!("n{number}").into();
        snapshot.nodes.insert(Arc::new(Node {
            id: Arc::clone(&id),
            hostname: Arc::clone(&id),
            state: "ready".into(),
            address: format!("10.0.{}.{}", number / 250, number % 250 + 1).into(),
            ..Node::default()
        }));
        snapshot.tasks.insert(Arc::new(task(number, "running")));
    }
    snapshot
}

fn task(number: usize, state: &str) -> Task {
    Task {
        id: format!("t{number}").into(),
        service: format!("s{}", number % 7).into(),
        node: format!("n{number}").into(),
        state: state.into(),
        ..Task::default()
    }
}

fn swarm() -> (watch::Sender<LastGood<Arc<Snapshot>>>, Swarm) {
    let known = watch::Sender::new(LastGood { value: None, health: Health::default() });
    let feed = watch::channel(Arc::new(Feed::new("swarm".into()))).1;
    let swarm = Swarm { feed, known: known.subscribe(), tasks: None, is_whole: true };
    (known, swarm)
}

#[test]
fn a_change_of_one_task_wakes_one_of_many_nodes() {
    let (board, (_known, swarm)) = (Board::default(), swarm());
    let mut snapshot = snapshot();
    let follow = |snapshot: &Snapshot| {
        board.follow(vec![(swarm.clone(), Some(Arc::new(snapshot.clone())))], &[]);
    };
    follow(&snapshot);
    let labels = AllowedLabels::default();
    let mut waiting: Vec<_> = (0..NODES)
        .map(|number| {
            let id = format!("n{number}");
            let receiver = board.subscribe_node(&id);
            board.answer(&id, &labels).unwrap();
            receiver
        })
        .collect();
    let before = board.stats();
    assert_eq!((before.renderings, before.wakes), (3000, 0));
    snapshot.tasks.insert(Arc::new(task(1234, "starting")));
    follow(&snapshot);
    let woken: Vec<_> = (0..NODES).filter(|at| waiting[*at].has_changed().unwrap()).collect();
    assert_eq!((&woken[..], board.stats().wakes), (&[1234][..], 1));
    waiting[1234].mark_unchanged();
    // All others are answered as before.
    for number in 0..NODES {
        board.answer(&format!("n{number}"), &labels).unwrap();
    }
    assert_eq!(board.stats().renderings, 3001);
    // A node that leaves gets its answer at once, and the others wait on.
    snapshot.nodes.remove("", "n7");
    follow(&snapshot);
    let woken: Vec<_> =
        (0..NODES).filter(|at| waiting[*at].has_changed().unwrap_or(true)).collect();
    assert_eq!(woken, [7]);
    assert!(matches!(board.find(&NodeRef::Id("n7".to_owned())), Err(NoNode::Unknown(_))));
}

#[test]
fn an_overlay_address_is_registered_only_if_a_task_of_the_node_has_it() {
    let (board, (_known, swarm)) = (Board::default(), swarm());
    let mut snapshot = snapshot();
    let own = IpAddr::from([10, 0, 9, 3]);
    let attachment = swarmscout_docker::engine::Attachment {
        network: "probes".into(),
        addresses: vec![own],
        ..Default::default()
    };
    let probing = Task { attachments: vec![attachment], ..task(1, "running") };
    snapshot.tasks.insert(Arc::new(probing));
    board.follow(vec![(swarm.clone(), Some(Arc::new(snapshot.clone())))], &[]);
    for number in 0..3 {
        let registration = Registration { port: 9466, overlay: Some(own) };
        board.register(&format!("n{number}"), registration);
    }
    board.follow(vec![(swarm, Some(Arc::new(snapshot)))], &[]);
    let answer = board.answer("n0", &AllowedLabels::default()).unwrap();
    let tasks = crate::wire::read(&answer.body).unwrap();
    let overlays: Vec<_> = tasks.peers.iter().map(|peer| (&*peer.id, peer.overlay)).collect();
    let mut expected = [("n1", Some(own)), ("n2", None)];
    expected.sort_unstable_by_key(|(id, _)| overlays.iter().position(|(of, _)| of == id));
    assert_eq!(overlays, expected);
    assert!(board.node_ports().borrow().is_empty(), "9466 is the usual port");
    assert_eq!(board.stats().registered, 3);
}

#[test]
fn a_name_is_unique_only_if_no_other_swarm_has_it() {
    let board = Board::default();
    let (first, second) = (swarm(), swarm());
    let node = |id: &str, name: &str, address: &str| Node {
        id: id.into(),
        hostname: name.into(),
        address: address.into(),
        ..Node::default()
    };
    let of = |nodes: &[Node]| {
        let mut snapshot = Snapshot { scope: ListScope::everything(), ..Snapshot::default() };
        for node in nodes {
            snapshot.nodes.insert(Arc::new(node.clone()));
        }
        Some(Arc::new(snapshot))
    };
    let of_first = of(&[node("a1", "worker-1", "10.0.0.1"), node("a2", "worker-2", "10.0.0.2")]);
    let of_second = of(&[node("b1", "worker-1", "10.0.0.9"), node("b3", "worker-3", "10.0.0.2")]);
    board.follow(vec![(first.1, of_first), (second.1, of_second)], &[]);
    for (id, is_name_unique, is_address_unique) in
        [("a1", false, true), ("b1", false, true), ("a2", true, false), ("b3", true, false)]
    {
        let found = board.find(&NodeRef::Id(id.to_owned())).unwrap();
        let unique = (found.is_name_unique, found.is_address_unique);
        assert_eq!(unique, (is_name_unique, is_address_unique), "{id}");
    }
}

#[test]
fn what_nodes_report_of_the_network_counts_by_path_and_between_known_nodes() {
    let (board, (_known, swarm)) = (Board::default(), swarm());
    board.follow(vec![(swarm, Some(Arc::new(snapshot())))], &[]);
    let report =
        |node: &str, query: &str| board.report(node, &NodeQuery::parse(query).unwrap().report);
    let links = || {
        let links = board.links();
        let words = links
            .iter()
            .map(|PeerLink { from, to, path, state }| format!("{from} {to} {path:?} {state:?}"));
        words.collect::<Vec<_>>()
    };
    report("n1", "port=1");
    assert_eq!((links(), board.stats().reporting), (Vec::new(), 0));
    // Itself, and a node that no Swarm has, are not its peers.
    report("n1", "peers.host=un2,dn3,dn1,dgone");
    // Another part of the same node has the other path.
    report("n1", "peers.overlay=ln2");
    report("n2", "peers.host=");
    assert_eq!(links(), ["n1 n2 Host Up", "n1 n2 Overlay LargeLost", "n1 n3 Host Down"]);
    assert_eq!(board.stats().reporting, 2);
    // A report replaces the one before of its path.
    report("n1", "peers.host=un3");
    assert_eq!(links(), ["n1 n2 Overlay LargeLost", "n1 n3 Host Up"]);
    assert!(NodeQuery::parse("peers.host=dn1,../n2").is_err());
}

#[test]
fn a_part_that_is_refused_is_known_until_it_registers() {
    let (board, (_known, swarm)) = (Board::default(), swarm());
    board.follow(vec![(swarm, Some(Arc::new(snapshot())))], &[]);
    let refusal = PartRefusal { from: None, has_certificate: true };
    let id = |id: &str| NodeRef::Id(id.to_owned());
    board.refuse(&id("n1"), refusal);
    board.refuse(&NodeRef::Name("n2".to_owned()), refusal);
    // No Swarm has it.
    board.refuse(&id("gone"), refusal);
    let parts = || {
        let NodeParts { registered, refused, .. } = board.node_parts();
        (registered.into_iter().collect::<Vec<_>>(), refused.into_keys().collect::<Vec<_>>())
    };
    assert_eq!(parts(), (vec![], vec!["n1".to_owned(), "n2".to_owned()]));
    board.register("n1", Registration { port: 9466, overlay: None });
    assert_eq!(parts(), (vec!["n1".to_owned()], vec!["n2".to_owned()]));
    assert!(!board.node_parts().had_time);
}
