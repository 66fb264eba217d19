//! The targets and groups that the answers of masters become.

use expect_test::expect;
use swarmscout_simulator::classic::Node;

use super::*;
use crate::RefreshScope;

#[test]
fn a_masters_target_is_the_cadvisor_beside_it() {
    let mut text = String::new();
    for url in [
        "http://master:2376",
        "https://master:2376/",
        "http://master",
        "https://me:secret@10.0.0.1:4000/swarm/",
        "tcp://10.0.0.1:2376",
        "http://[2001:db8::1]:2376",
        "unix:///var/run/swarm.sock",
    ] {
        let host = Host::parse(url).unwrap();
        let _ = writeln!(text, "{url}: {:?}", master_target(&host, "8060"));
    }
    expect![[r#"
        http://master:2376: {__address__="master:8060", __scheme__="http", instance="master:2376"}
        https://master:2376/: {__address__="master:8060", __scheme__="https", instance="master:2376"}
        http://master: {__address__="master:8060", __scheme__="http", instance="master"}
        https://me:secret@10.0.0.1:4000/swarm/: {__address__="10.0.0.1:8060", __scheme__="https", instance="10.0.0.1:4000"}
        tcp://10.0.0.1:2376: {__address__="10.0.0.1:8060", __scheme__="http", instance="10.0.0.1:2376"}
        http://[2001:db8::1]:2376: {__address__="[2001:db8::1]:8060", __scheme__="http", instance="[2001:db8::1]:2376"}
        unix:///var/run/swarm.sock: {__address__="localhost:8060", __scheme__="http", instance="/var/run/swarm.sock"}
    "#]].assert_eq(&text);
}

#[test]
fn refuses_a_server_that_is_not_a_master() {
    let mut text = String::new();
    for masters in [&[][..], &["master:2376"], &["ftp://master"], &["http://"], &["unix://"]] {
        let config = ClassicConfig {
            masters: masters.iter().map(|&master| master.to_owned()).collect(),
            refresh_interval: PromDuration::from_millis(1000),
            metrics_port: "8070".to_owned(),
            http: HttpConfig::default(),
        };
        let error = Classic::new(&config, &BuildContext::new("test")).unwrap_err();
        let _ = writeln!(text, "{masters:?}: {error}");
    }
    expect![[r#"
        []: Swarm SD configuration requires at least one Swarm master
        ["master:2376"]: parse "master:2376": host must start with unix://, tcp://, http:// or https://
        ["ftp://master"]: parse "ftp://master": host must start with unix://, tcp://, http:// or https://
        ["http://"]: parse "http://": host is missing in URL
        ["unix://"]: parse "unix://": path of the socket is missing, as in unix:///var/run/docker.sock
    "#]].assert_eq(&text);
}

#[tokio::test]
async fn a_node_without_host_shows_as_a_target_without_address() {
    let cluster = Cluster::of(1);
    cluster.edit(|nodes| nodes.push(Node::new("lost", ":2375")));
    let master = master(&cluster);
    let refreshed = classic(&[master.server.url()]).fetch(RefreshScope::Full).await.unwrap();
    let lost =
        refreshed.value[1].targets.iter().find(|target| target.get(ADDRESS).is_none()).unwrap();
    assert_eq!(lost.get("__meta_swarm_node_name"), Some("lost"));
    expect![[r#"
        problem: node "lost": address without host: :2375
    "#]]
    .assert_eq(&show(&Refreshed { value: Vec::new(), ..refreshed }));
}

#[tokio::test]
async fn the_smallest_of_colliding_label_keys_counts() {
    let cluster = Cluster::of(1);
    let labels = [("a.b", "dot"), ("a-b", "dash"), ("a_b", "line"), ("z", "")];
    cluster.edit(|nodes| {
        nodes[0].labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    });
    let master = master(&cluster);
    let refreshed = classic(&[master.server.url()]).fetch(RefreshScope::Full).await.unwrap();
    assert_eq!(refreshed.value[1].targets[0].get("__meta_swarm_node_label_a_b"), Some("dash"));
    expect![[r#"
        problem: node "node-00000": label keys that become one name: "a.b" is hidden by "a-b", both are __meta_swarm_node_label_a_b
        problem: node "node-00000": label keys that become one name: "a_b" is hidden by "a-b", both are __meta_swarm_node_label_a_b
    "#]].assert_eq(&show(&Refreshed { value: Vec::new(), ..refreshed }));
}

/// A flat row does not say what belongs to which label; the last value of a key counts.
#[tokio::test]
async fn a_value_that_refreshes_like_more_labels() {
    let cluster = Cluster::of(1);
    let labels = [("list", "x, y=z, zone=fake"), ("zone", "z2")];
    cluster.edit(|nodes| {
        nodes[0].labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    });
    let master = master(&cluster);
    let refreshed = classic(&[master.server.url()]).fetch(RefreshScope::Full).await.unwrap();
    let label =
        |name: &str| refreshed.value[1].targets[0].get(&format!("__meta_swarm_node_label_{name}"));
    assert_eq!((label("list"), label("y"), label("zone")), (Some("x"), Some("z"), Some("z2")));
}

#[tokio::test]
async fn odd_rows_are_skipped_and_reported() {
    let rows = r#"{"SystemStatus":[["Nodes","3"],["Role"],[" a","10.0.0.1:1"],5,["  └ Status",7],
        ["  └ Error"="x"],["  └ Error","y"},["  └ Labels","zone=\u003ca\u003e"],["  \u2514 ID","x"],["  └ Mood","new"],["Motto","?"],
        [" b","10.0.0.2:1"],[" c",null]],"DriverStatus":null,"Swarm":{}}"#;
    let server = Server::start(Listen::Tcp, move |_| swarmscout_simulator::Response::json(rows));
    let server = server.unwrap();
    let mut classic = classic(&[server.url()]);
    expect![[r#"
        swarm_masters role="master"
          __address__="127.0.0.1:8070" __scheme__="http" instance="MASTER"
        swarm_nodes role="node"
          __address__="10.0.0.1:8070" id="x" label_zone="<a>" name="a" instance="10.0.0.1:1"
          __address__="10.0.0.2:8070" name="b" instance="10.0.0.2:1"
          name="c"
        problem: node "": row that is not two texts: ["Role"]
        problem: node "a": row that is not two texts: 5
        problem: node "a": row that is not two texts: ["  └ Error","y"}
        problem: node "a": row that is not two texts: ["  └ Error"="x"]
        problem: node "a": row that is not two texts: ["  └ Status",7]
        problem: node "c": address without host: 
    "#]]
    .assert_eq(&refresh(&mut classic, &server).await);
}

#[tokio::test]
async fn over_a_unix_socket() {
    let folder = std::env::temp_dir().join(format!("swarmscout-classic-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let master = Master::start(Listen::Unix(folder.join("s")), &Cluster::of(1), NEWEST).unwrap();
    let mut classic = classic(&[master.server.url()]);
    assert_eq!(nodes(&mut classic).await.unwrap(), ["10.77.0.0:8070"]);
    drop(master);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn over_tcp_and_with_a_user() {
    let master = master(&Cluster::of(1));
    let address = master.server.addr().unwrap();
    let mut tcp = classic(&[&format!("tcp://{address}")]);
    assert_eq!(nodes(&mut tcp).await.unwrap().len(), 1);
    let mut user = classic(&[&format!("http://me:secret@{address}/")]);
    assert_eq!(nodes(&mut user).await.unwrap().len(), 1);
    let authorization = &master.server.requests()[1].headers["authorization"];
    assert_eq!(authorization, "Basic bWU6c2VjcmV0");
    master.server.faults().set(swarmscout_simulator::Fault::CutJson);
    let error = user.fetch(RefreshScope::Full).await.unwrap_err().to_string();
    assert_eq!(error, format!("http://me:xxxxx@{address}/info: the answer ends early"));
}

#[tokio::test]
async fn a_change_of_one_node_changes_one_group_of_many() {
    let cluster = Cluster::of(1000);
    let master = master(&cluster);
    let mut classic = classic(&[master.server.url()]);
    let before = classic.fetch(RefreshScope::Full).await.unwrap().value;
    assert!(before.len() > 16, "{} groups", before.len());
    assert!(before.iter().all(|group| group.targets.len() <= 64));
    assert_eq!(classic.fetch(RefreshScope::Full).await.unwrap().value, before);
    cluster.edit(|nodes| "new".clone_into(&mut nodes[500].server_version));
    let after = classic.fetch(RefreshScope::Full).await.unwrap().value;
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
    assert_eq!(changed.count(), 1);
    cluster.edit(|nodes| drop(nodes.remove(500)));
    let fewer = nodes(&mut classic).await.unwrap();
    assert_eq!(fewer.len(), 999);
    assert_eq!(classic.cache.unwrap().nodes.len(), 999, "what is gone is forgotten");
}

/// What a master counts of a node changes all the time.
#[tokio::test]
async fn a_report_of_a_node_is_no_change_of_its_target() {
    let cluster = Cluster::of(2);
    let master = master(&cluster);
    let mut classic = classic(&[master.server.url()]);
    let before = classic.fetch(RefreshScope::Full).await.unwrap().value;
    cluster.edit(|nodes| {
        "2026-11-23T00:18:47Z".clone_into(&mut nodes[0].updated_at);
        nodes[0].containers = (7, 1, 2);
        nodes[0].cpus.0 += 1;
        nodes[1].memory.0 += 1 << 30;
    });
    let after = classic.fetch(RefreshScope::Full).await.unwrap().value;
    assert_eq!(before, after);
    let text = |groups: &Groups| groups[1].targets[0].as_bytes().as_ptr();
    assert_eq!(text(&before), text(&after), "not even made again");
    cluster.edit(|nodes| nodes[0].cpus.1 += 1);
    assert_ne!(classic.fetch(RefreshScope::Full).await.unwrap().value, after);
}

#[tokio::test]
async fn an_answer_is_as_old_as_its_request() {
    let master = master(&Cluster::of(1));
    let before = Instant::now();
    let refreshed = classic(&[master.server.url()]).fetch(RefreshScope::Full).await.unwrap();
    assert!(before <= refreshed.as_of && refreshed.as_of <= Instant::now());
}
