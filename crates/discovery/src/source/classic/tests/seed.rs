//! Bugs of the plugin of 2016 stay fixed.

use expect_test::expect;
use swarmscout_simulator::Fault;
use swarmscout_simulator::classic::{Node, Status};

use super::*;
use crate::RefreshScope;

/// It cut two of the four bytes of `└ ` off, so that no attribute had a name that it knew.
#[tokio::test]
async fn attributes_are_found_behind_the_bullet() {
    for version in swarmscout_simulator::classic::VERSIONS {
        let cluster = Cluster::of(1);
        let master = Master::start(Listen::Tcp, &cluster, version).unwrap();
        let refreshed = classic(&[master.server.url()]).fetch(RefreshScope::Full).await.unwrap();
        let node = &refreshed.value[1].targets[0];
        assert_eq!(node.get("__meta_swarm_node_total_cpus"), Some("4"), "{version:?}");
        let zone = (version >= (0, 3, 0)).then_some("eu-central-1a");
        assert_eq!(node.get("__meta_swarm_node_label_zone"), zone, "{version:?}");
    }
}

/// After a first refresh that failed the plugin never refreshed again.
#[tokio::test]
async fn a_first_refresh_that_fails_is_not_the_last() {
    let master = master(&Cluster::of(1));
    master.server.refuse();
    let mut classic = classic(&[master.server.url()]);
    assert!(classic.fetch(RefreshScope::Full).await.is_err());
    master.server.accept().unwrap();
    assert_eq!(nodes(&mut classic).await.unwrap(), ["10.77.0.0:8070"]);
}

/// Its requests had no deadline.
#[tokio::test]
async fn a_master_that_hangs_is_left() {
    let master = master(&Cluster::of(1));
    master.server.faults().set(Fault::HangInBody);
    let mut classic = classic(&[master.server.url()]);
    classic.deadlines.rule = |_, _| Duration::from_millis(30);
    let error = classic.fetch(RefreshScope::Full).await.unwrap_err().to_string();
    let address = master.server.addr().unwrap();
    assert_eq!(error, format!("no complete answer from {address} within 30ms"));
}

/// Only an error of the transport made it ask another master.
#[tokio::test]
async fn a_status_other_than_200_moves_on() {
    let cluster = Cluster::of(1);
    let (bad, good) = (master(&cluster), master(&cluster));
    bad.server.faults().set(Fault::Status(500, "no".to_owned()));
    let mut classic = classic(&[bad.server.url(), good.server.url()]);
    assert_eq!(nodes(&mut classic).await.unwrap().len(), 1);
}

/// Pending nodes are all called `(unknown)`, and became one.
#[tokio::test]
async fn pending_nodes_stay_apart() {
    let cluster = Cluster::default();
    cluster.edit(|nodes| {
        for addr in ["10.0.0.8:2375", "10.0.0.9:2375"] {
            nodes.push(Node { status: Status::Pending, ..Node::new("x", addr) });
        }
    });
    check(&cluster, NEWEST, expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.0.0.8:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.0.0.8:2375"
          __address__="10.0.0.9:8070" status="Pending" total_cpus="0" total_memory_bytes="0" instance="10.0.0.9:2375"
    "#]]).await;
}

/// It cut a label's value at its second `=`.
#[tokio::test]
async fn values_may_hold_an_equals_sign() {
    let cluster = Cluster::of(1);
    cluster.edit(|nodes| nodes[0].labels = [("note".into(), "a=b=c".into())].into());
    let master = master(&cluster);
    let refreshed = classic(&[master.server.url()]).fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(refreshed.value[1].targets[0].get("__meta_swarm_node_label_note"), Some("a=b=c"));
}

/// It joined IPv6 addresses and ports without brackets.
#[tokio::test]
async fn ipv6_addresses_have_brackets() {
    let cluster = Cluster::default();
    cluster.edit(|nodes| {
        nodes.extend(["[2001:db8::1]:2375", "2001:db8::2:2375"].map(|addr| Node::new(addr, addr)));
    });
    let master = master(&cluster);
    let mut classic = classic(&[master.server.url()]);
    let found = nodes(&mut classic).await.unwrap();
    assert_eq!(found, ["[2001:db8::1]:8070", "[2001:db8::2]:8070"]);
}

/// It took `8 (8 Running, …)` for no number and read no further, so that labels were lost.
#[tokio::test]
async fn container_counts_of_1_2_4_do_not_hide_the_labels() {
    let cluster = Cluster::of(1);
    cluster.edit(|nodes| nodes[0].containers = (5, 2, 1));
    check(&cluster, (1, 2, 4), expect![[r#"
        swarm_masters role="master" strategy="spread"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node" strategy="spread"
          __address__="10.77.0.0:8070" id="BH6L:ZAFV:IWB6:AKI3:DROI:G4NM:7XVL:HKE2:N4XM:VBY4:GHDS:BY6W" label_kernelversion="6.1.0-32-amd64" label_operatingsystem="Debian GNU/Linux 12 (bookworm)" label_ostype="linux" label_storage="ssd" label_storagedriver="overlay2" label_zone="eu-central-1a" name="node-00000" server_version="20.10.24+dfsg1" status="Healthy" total_cpus="4" total_memory_bytes="26542897889" instance="10.77.0.0:2375"
    "#]]).await;
}

/// It asked `//info` of a master whose URL ends in a slash.
#[tokio::test]
async fn a_slash_at_the_end_is_not_doubled() {
    let master = master(&Cluster::of(1));
    let mut classic = classic(&[&format!("{}/", master.server.url())]);
    assert_eq!(nodes(&mut classic).await.unwrap().len(), 1);
    assert_eq!(master.server.requests()[0].path, "/info");
}
