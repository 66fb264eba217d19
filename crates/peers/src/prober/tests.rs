use super::*;
use crate::PeerNode;
use crate::rounds::Finding;

/// Long enough for any machine, but for packets that must be lost.
const TIMING: Timing = Timing {
    every: Duration::from_millis(100),
    retry: Duration::from_millis(20),
    end: Duration::from_millis(40),
};

fn options(path: PeerPath, id: &str, dns_name: Option<&str>) -> PeerOptions {
    PeerOptions {
        path,
        id: id.to_owned(),
        name: format!("node-{id}"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        dns_name: dns_name.map(str::to_owned),
    }
}

fn node(id: &str, port: u16) -> PeerNode {
    PeerNode {
        id: id.to_owned(),
        name: format!("node-{id}"),
        host: Some(SocketAddr::from(([127, 0, 0, 1], port))),
        overlay: None,
    }
}

/// Runs `prober` until the finding of its only peer is one of these.
async fn run_until(prober: &PeerProber, is_found: impl Fn(Finding) -> bool) {
    let poll = async {
        loop {
            let shown = prober.rounds().shown();
            if shown.iter().filter_map(|peer| peer.finding).any(&is_found) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = prober.run() => {}
        () = poll => {}
    }
}

#[tokio::test]
async fn two_nodes_find_each_other_and_one_that_leaves_has_no_series() {
    let (list, nodes) = watch::channel(Arc::default());
    let a = PeerProber::listen(options(PeerPath::Host, "a", None), nodes.clone()).unwrap();
    let b = PeerProber::listen(options(PeerPath::Host, "b", None), nodes).unwrap();
    let both = PeerList { nodes: vec![node("a", a.port()), node("b", b.port())] };
    list.send_replace(Arc::new(both));
    let is_full = |finding| matches!(finding, Finding::Full(_));
    tokio::join!(run_until(&a, is_full), async {
        tokio::select! {
            () = b.run() => {}
            () = run_until(&a, is_full) => {}
        }
    });
    let shown = a.rounds().shown();
    assert_eq!(shown[0].label, "node-b");
    // Loopback takes more than the largest packet.
    assert_eq!(shown[0].full_bytes, 9216);
    assert!(b.rounds().answers() > 0);

    list.send_replace(Arc::new(PeerList { nodes: vec![node("a", a.port())] }));
    tokio::select! {
        () = a.run() => {}
        () = async { while !a.rounds().shown().is_empty() { tokio::task::yield_now().await; } } => {}
    }
}

#[tokio::test]
async fn a_node_that_is_gone_is_down() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let list = PeerList { nodes: vec![node("a", 1), node("b", port)] };
    let (_list, nodes) = watch::channel(Arc::new(list));
    let options = options(PeerPath::Host, "a", None);
    let a = PeerProber::with_timing(options, nodes, TIMING).unwrap();
    run_until(&a, |finding| finding == Finding::Down).await;
    let shown = a.rounds().shown();
    assert_eq!((shown[0].probes, shown[0].lost), (3, 3));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let (_list, nodes) = watch::channel(Arc::default());
    let options = PeerOptions { listen, ..options(PeerPath::Host, "a", None) };
    let error = PeerProber::listen(options, nodes).unwrap_err().to_string();
    let expected = format!("cannot listen on UDP {listen} for probes of other nodes: Address");
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn one_socket_serves_both_families() {
    let (_list, nodes) = watch::channel(Arc::default());
    let listen = "[::]:0".parse().unwrap();
    let options = PeerOptions { listen, ..options(PeerPath::Host, "a", None) };
    let a = PeerProber::listen(options, nodes).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], a.port()));
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"x", to).unwrap();
    let mut buffer = [0; 8];
    let (length, from) = a.socket.receive(&mut buffer).await.unwrap();
    assert_eq!(length, 1);
    let link: &dyn crate::rounds::Link = &a.socket;
    link.send(from, b"answer").unwrap();
    assert_eq!(sender.recv(&mut buffer).unwrap(), 6);
    assert_eq!(source(to.ip()), Some(to.ip()));
    assert!(link.mtu(to.ip()).unwrap() > 9216);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_keeps_the_peers() {
    let (_list, nodes) = watch::channel(Arc::default());
    let options = options(PeerPath::Overlay, "a", Some("tasks.agent.invalid"));
    let a = PeerProber::with_timing(options, nodes, TIMING).unwrap();
    assert_eq!(a.is_resolved(), None);
    locked(&a.names).set(&["192.0.2.1".parse().unwrap()]);
    a.apply();
    assert_eq!(a.is_resolved(), Some(true));
    tokio::select! {
        () = a.run() => {}
        () = async { while a.is_resolved() == Some(true) { tokio::task::yield_now().await; } } => {}
    }
    assert_eq!(a.rounds().candidates(), 1);
}

#[test]
fn answers_that_the_system_may_have_cut_are_added_up() {
    let addresses = |range: std::ops::Range<u8>| -> Vec<IpAddr> {
        range.map(|last| IpAddr::from([127, 0, 1, last])).collect()
    };
    let mut names = Names::default();
    assert!(names.set(&addresses(0..10)));
    assert!(!names.set(&addresses(0..10)));
    assert!(names.set(&addresses(0..9)));
    assert_eq!(names.missing.len(), 9);
    assert!(names.set(&addresses(0..48)));
    assert!(names.set(&addresses(40..88)));
    assert_eq!(names.missing.len(), 88);
    for _ in 0..MISSING - 1 {
        assert!(!names.set(&addresses(40..88)));
    }
    assert!(names.set(&addresses(40..88)));
    assert_eq!(names.missing.len(), 48);
}

#[tokio::test]
async fn a_list_cannot_make_a_node_probe_itself() {
    let list = PeerList { nodes: vec![node("b", 9)] };
    let (_list, nodes) = watch::channel(Arc::new(list));
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let options = PeerOptions { listen, ..options(PeerPath::Host, "a", None) };
    let a = PeerProber::with_timing(options, nodes, TIMING).unwrap();
    a.apply();
    assert_eq!(a.rounds().candidates(), 0);
    assert_eq!(a.states(), Vec::new());
}
